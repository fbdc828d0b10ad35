// SPDX-License-Identifier: Apache-2.0
#include "openai/answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "openai/json.h"

namespace aio::openai {
namespace {

TEST(AnswerTest, ReadsAChatChunk) {
  const std::string chunk =
      R"({"id":"x","object":"chat.completion.chunk","created":1,"model":"m",)"
      R"("system_fingerprint":"fp","choices":[{"index":0,"delta":)"
      R"({"content":"hi","reasoning_content":"hm"},"logprobs":{"content":)"
      R"([{"token":"hi","logprob":-0.5,"bytes":[104,105],"top_logprobs":)"
      R"([{"token":"\\xe2","logprob":-1,"bytes":[226]}]}]},)"
      R"("finish_reason":null}],"unknown":7})";
  const auto answer = ParseAnswer(chunk, 1);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->deltas.size(), 1u);
  const core::Delta& delta = answer->deltas[0];
  EXPECT_EQ(delta.text, "hi");
  EXPECT_EQ(delta.reasoning, "hm");
  ASSERT_EQ(delta.logprobs.size(), 1u);
  EXPECT_EQ(delta.logprobs[0].bytes, "hi");
  EXPECT_FLOAT_EQ(delta.logprobs[0].logprob, -0.5f);
  ASSERT_EQ(delta.logprobs[0].top.size(), 1u);
  EXPECT_EQ(delta.logprobs[0].top[0].bytes, "\xE2");
  EXPECT_EQ(delta.raw_json, chunk);
  EXPECT_EQ(answer->fingerprint, "fp");
  EXPECT_TRUE(answer->finished.empty());
  EXPECT_FALSE(answer->usage);
}

TEST(AnswerTest, ReadsAWholeChatAnswerWithToolCallsAndUsage) {
  const auto answer = ParseAnswer(
      R"({"choices":[{"index":0,"message":{"role":"assistant","content":null,)"
      R"("tool_calls":[{"id":"c1"}]},"finish_reason":"tool_calls"},)"
      R"({"index":1,"message":{"content":"b"},"finish_reason":"length"}],)"
      R"("usage":{"prompt_tokens":3,"completion_tokens":4,)"
      R"("prompt_tokens_details":{"cached_tokens":2},)"
      R"("completion_tokens_details":{"accepted_prediction_tokens":5,)"
      R"("rejected_prediction_tokens":2147483647}}})",
      2);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->deltas.size(), 2u);
  EXPECT_EQ(answer->deltas[0].tool_calls, R"([{"id":"c1"}])");
  EXPECT_EQ(answer->deltas[1].text, "b");
  ASSERT_EQ(answer->finished.size(), 2u);
  EXPECT_EQ(answer->finished[0].reason, core::FinishReason::kStop);
  EXPECT_EQ(answer->finished[1].reason, core::FinishReason::kLength);
  ASSERT_TRUE(answer->usage);
  EXPECT_EQ(answer->usage->prompt_tokens, 3);
  EXPECT_EQ(answer->usage->completion_tokens, 4);
  EXPECT_EQ(answer->usage->cached_tokens, 2);
  EXPECT_EQ(answer->usage->accepted_tokens, 5);
  EXPECT_EQ(answer->usage->drafted_tokens, 2147483647);
}

TEST(AnswerTest, GivesEachChoiceARawMessageOfItsOwn) {
  const auto answer = ParseAnswer(
      R"({"x":1,"choices":[{"index":1,"text":"b"},{"index":0,"text":"a"}]})",
      2);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->deltas.size(), 2u);
  for (const core::Delta& delta : answer->deltas) {
    const auto one = ParseAnswer(delta.raw_json, 2);
    ASSERT_TRUE(one) << delta.raw_json;
    ASSERT_EQ(one->deltas.size(), 1u);
    EXPECT_EQ(one->deltas[0].choice, delta.choice);
    EXPECT_EQ(one->deltas[0].text, delta.text);
    EXPECT_NE(delta.raw_json.find("\"x\":1"), std::string::npos);
  }
}

TEST(AnswerTest, ReadsCompletionLogprobs) {
  const auto answer = ParseAnswer(
      R"({"choices":[{"index":0,"text":"a","logprobs":{"tokens":["a",)"
      R"("bytes:\\xf0\\x9f"],"token_logprobs":[-1,null],"top_logprobs":)"
      R"([{"a":-1,"b":-2},null],"text_offset":[0,1]}}]})",
      1);
  ASSERT_TRUE(answer);
  const auto& logprobs = answer->deltas[0].logprobs;
  ASSERT_EQ(logprobs.size(), 2u);
  EXPECT_EQ(logprobs[0].top.size(), 2u);
  EXPECT_EQ(logprobs[1].bytes, "\xF0\x9F");
  EXPECT_TRUE(std::isinf(logprobs[1].logprob));
}

TEST(AnswerTest, TakesTheUsageChunkThatHasNoChoices) {
  const auto answer = ParseAnswer(
      R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})", 1);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->deltas.empty());
  EXPECT_EQ(answer->usage->completion_tokens, 2);
}

TEST(AnswerTest, TurnsAnErrorInsideAStreamIntoThatError) {
  const auto answer = ParseAnswer(
      R"({"error":{"message":"full","type":"x","param":null,"code":429}})", 1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(answer.error().message, "full");
}

TEST(AnswerTest, CallsWhatDoesNotFollowTheFormatCorrupt) {
  for (const char* text :
       {"", "nonsense", "[]", "{}", R"({"choices":3})", R"({"choices":[3]})",
        R"({"choices":[{"index":1,"text":"a"}]})",
        R"({"choices":[{"index":-1,"text":"a"}]})",
        R"({"choices":[{"index":0,"delta":"a"}]})"}) {
    const auto answer = ParseAnswer(text, 1);
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(AnswerTest, BoundsCountsThatNoIntHolds) {
  const auto answer = ParseAnswer(
      R"({"choices":[],"usage":{"prompt_tokens":1e15,"completion_tokens":-4}})",
      1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->usage->prompt_tokens, INT32_MAX);
  EXPECT_EQ(answer->usage->completion_tokens, 0);
}

}  // namespace
}  // namespace aio::openai
