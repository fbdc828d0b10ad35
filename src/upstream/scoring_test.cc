// SPDX-License-Identifier: Apache-2.0
//
// OpenAiBackend::Score against a scripted upstream.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>

#include "upstream/backend_fixture.h"

namespace aio::upstream {
namespace {

using std::chrono_literals::operator""s;
using Then = ScriptedUpstream::Then;
using ScoringTest = OpenAiBackendTest;

std::string ScoreStream() {
  return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" code\"},"
         "\"logprobs\":{\"content\":[{\"token\":\" code\",\"logprob\":-0.5,"
         "\"top_logprobs\":[{\"token\":\" code\",\"logprob\":-0.5},"
         "{\"token\":\" math\",\"logprob\":-1.5}]}]},"
         "\"finish_reason\":\"length\"}]}\n\n" +
         std::string(kUsage) + kEnd;
}

TEST_F(ScoringTest, ScoresByTheTopLogprobs) {
  upstream_.AddStream(ScoreStream());
  const auto scores = Score({" code", " math"});
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_FLOAT_EQ(scores->logits[0] - scores->logits[1], 1);
  EXPECT_EQ(scores->tokens, 50);
  EXPECT_FALSE(scores->kept);
  const auto body =
      boost::json::parse(upstream_.requests()[0].body()).as_object();
  EXPECT_EQ(body.at("model"), "openPangu-7B");
  EXPECT_EQ(body.at("max_tokens"), 1);
  EXPECT_EQ(body.at("continue_final_message"), true);
}

TEST_F(ScoringTest, ScoresInThePlainFormWhereTheExactOneIsRefused) {
  upstream_.AddAnswer(
      "400 Bad Request", "application/json",
      R"({"error":{"message":"unknown field","param":"add_generation_prompt"}})");
  upstream_.AddStream(ScoreStream());
  upstream_.AddStream(ScoreStream());
  ASSERT_TRUE(Score({" code", " math"}));
  ASSERT_TRUE(Score({" code", " math"}));
  ASSERT_EQ(upstream_.requests().size(), 3u);  // and remembers that
  EXPECT_EQ(upstream_.requests()[2].body().find("continue_final"),
            std::string::npos);
  EXPECT_TRUE(Healthy());
}

TEST_F(ScoringTest, CannotScoreWithoutLogprobs) {
  upstream_.AddStream(WholeStream());
  const auto scores = Score({" code", " math"});
  ASSERT_FALSE(scores);
  EXPECT_EQ(scores.error().code, ErrorCode::kUnsupported);
}

TEST_F(ScoringTest, AMissedProbeDeadlineIsNoSickness) {
  upstream_.Add({{}, Then::kStall});
  backend();
  clock_.Advance(1s);
  const auto scores = Score({" code", " math"}, clock_.Now());
  // The deadline has passed already; the task that says so is due.
  ASSERT_FALSE(scores);
  EXPECT_EQ(scores.error().code, ErrorCode::kDeadline);
  EXPECT_TRUE(Healthy());
}

}  // namespace
}  // namespace aio::upstream
