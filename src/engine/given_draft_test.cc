// SPDX-License-Identifier: Apache-2.0
//
// An answer that somebody else has begun: verified as a draft, or gone on with.
#include <gtest/gtest.h>

#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

using Ids = std::vector<int32_t>;

class GivenDraftTest : public EngineTest {
 protected:
  static constexpr int kTokens = 40;

  GivenDraftTest() { tokenizer_->endless = true; }

  std::shared_ptr<core::Request> Greedy() {
    auto request = Ask("r");
    request->max_tokens = kTokens;
    request->sampling.temperature = 0;
    return request;
  }
  // The first tokens that the engine would draw.
  Ids Right(const core::Request& request, int count) {
    Choice choice(request, request.sampling.seed.value_or(1), 0, prompt_,
                  tokenizer_, kTokens);
    Ids text = prompt_, ids;
    for (int i = 0; i < count; ++i) {
      choice.Push(HashForward::Expected(small_, text));
      ids.push_back(choice.last_token());
      text.push_back(choice.last_token());
    }
    return ids;
  }
  // Asks with `given`; the answer must be what it is without.
  core::Usage Check(std::shared_ptr<core::Request> request, Ids given) {
    const double before = Steps();
    given_ = std::move(given);
    const auto answer = Start(request, prompt_);
    given_.clear();
    Finish();
    EXPECT_TRUE(answer->ok());
    for (int c = 0; c < request->choices; ++c) {
      EXPECT_EQ(answer->text[c], Expected(*request, prompt_, c));
    }
    steps_ = static_cast<int>(Steps() - before);
    EXPECT_EQ(Metric("aio_kv_pages_free{variant=\"small\"}"), small_.pages);
    return (*answer->done)->usage;
  }
  double Steps() { return Metric("aio_engine_steps_total{variant=\"small\"}"); }

  const Ids prompt_ = {1, 2, 3};
  int steps_ = 0;
};

TEST_F(GivenDraftTest, WhatIsRightTakesThePromptsOwnStep) {
  Make();
  const auto request = Greedy();
  const core::Usage usage = Check(request, Right(*request, 20));
  EXPECT_EQ(usage.drafted_tokens, 20);
  EXPECT_EQ(usage.accepted_tokens, 20);
  EXPECT_EQ(usage.completion_tokens, kTokens);
  EXPECT_EQ(steps_, 1 + kTokens - 21);
  const std::string labels =
      R"({intent="unknown",strategy="given",variant="small"})";
  EXPECT_EQ(Metric("aio_speculation_accepted_tokens_total" + labels), 20);
}

TEST_F(GivenDraftTest, WhatHasNoLogitsLeftWaitsForTheNextStep) {
  speculation_.drafts_max = 8;
  Make();
  const auto request = Greedy();
  const core::Usage usage = Check(request, Right(*request, 26));
  // Each step brings eight and one more, which is the given text's as well.
  EXPECT_EQ(usage.drafted_tokens, 8 + 8 + 8);
  EXPECT_EQ(usage.accepted_tokens, 24);
  EXPECT_EQ(steps_, 3 + kTokens - 27);
}

TEST_F(GivenDraftTest, WhatIsWrongIsNotTriedAgain) {
  Make();
  const auto request = Greedy();
  Ids given = Right(*request, 20);
  for (const int wrong : {0, 7, 19}) {
    SCOPED_TRACE(wrong);
    Ids now = given;
    now[wrong] = (now[wrong] + 1) % 60;
    const core::Usage usage = Check(request, now);
    EXPECT_EQ(usage.drafted_tokens, 20);
    EXPECT_EQ(usage.accepted_tokens, wrong);
  }
  // Where logits ran out between what is right and what is wrong.
  speculation_.drafts_max = 8;
  Make();
  Ids now = given;
  now[8] = (now[8] + 1) % 60;
  const core::Usage usage = Check(request, now);
  EXPECT_EQ(usage.drafted_tokens, 8);
  EXPECT_EQ(usage.accepted_tokens, 8);
}

TEST_F(GivenDraftTest, WhatIsLongerThanTheAnswerIsCut) {
  Make();
  const auto request = Greedy();
  const Ids given = Right(*request, 30);
  for (const int tokens : {1, 2, 10}) {
    request->max_tokens = tokens;
    const core::Usage usage = Check(request, given);
    EXPECT_EQ(usage.completion_tokens, tokens);
    EXPECT_EQ(usage.accepted_tokens, tokens - 1);
  }
}

TEST_F(GivenDraftTest, EndsAndSpecialTokensInItEndNothing) {
  tokenizer_->endless = false;
  Make();
  const auto request = Greedy();
  for (const Ids& given : {Ids{63}, Ids{62, 63}, Ids{63, 63, 1}, Ids{}}) {
    Check(request, given);
  }
}

TEST_F(GivenDraftTest, SampledAnswersAndSeveralChoicesAreTheSame) {
  Make();
  int accepted = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto request = Ask("r");
    request->sampling.seed = seed;
    request->sampling.temperature = 0.9f;
    request->sampling.frequency_penalty = 0.3f;
    request->choices = 1 + static_cast<int>(seed % 3);
    accepted += Check(request, Right(*request, 25)).accepted_tokens;
  }
  EXPECT_GE(accepted, 30 * 25) << "of the first choice, all";
}

TEST_F(GivenDraftTest, GoesOnBehindWhatWasShown) {
  Make({.vocabulary = 8});
  const auto request = Greedy();
  request->sampling.frequency_penalty = 2;
  request->sampling.presence_penalty = 2;
  request->sampling.repetition_penalty = 1.2f;
  const std::string whole = Expected(*request, prompt_);
  const Ids shown = Right(*request, 11);
  Ids prompt = prompt_;
  prompt.insert(prompt.end(), shown.begin(), shown.end());
  request->max_tokens = kTokens - 11;
  shown_ = 11;
  const auto answer = Start(request, prompt);
  Finish();
  ASSERT_TRUE(answer->ok());
  EXPECT_EQ(answer->text[0], whole.substr(11)) << "penalties count it too";
  EXPECT_EQ((*answer->done)->usage.prompt_tokens, 3);
  EXPECT_EQ((*answer->done)->usage.completion_tokens, kTokens - 11);
}

}  // namespace
}  // namespace aio::engine
