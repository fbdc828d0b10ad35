// SPDX-License-Identifier: Apache-2.0
#include "cost/learner.h"

#include <gtest/gtest.h>

#include <limits>

namespace aio::cost {
namespace {

using core::Label;
using std::chrono_literals::operator""ms;

core::Intent Sure(Label label) {
  core::Intent intent;
  intent.probabilities.fill(0);
  intent.probabilities[static_cast<size_t>(label)] = 1;
  return intent;
}

core::Outcome Took(const std::string& variant, int prompt, int output) {
  core::Outcome o;
  o.variant = variant;
  o.intent = Label::kCode;
  o.usage.prompt_tokens = prompt;
  o.usage.completion_tokens = output;
  o.to_first_token = 1ms * prompt;
  o.total = o.to_first_token + 20ms * (output - 1);
  return o;
}

Estimate Of(const Learner& learner, const core::Intent& intent,
            std::optional<int> max_tokens = {}) {
  Learner::Question q;
  q.variant = "a";
  q.prompt_tokens = 100;
  q.max_tokens = max_tokens;
  q.intent = &intent;
  q.bytes_per_token = 1000;
  return learner.Of(q);
}

TEST(LearnerTest, LengthsOfThoughtsAreNotThoseOfAnswers) {
  Learner learner({"a"}, {.memory = 4, .prior_samples = 1});
  const core::Intent code = Sure(Label::kCode);
  const auto tokens = [&](std::optional<core::Thinking> thinking) {
    Learner::Question q;
    q.variant = "a";
    q.thinking = thinking;
    q.intent = &code;
    return learner.Of(q).output_tokens;
  };
  using core::Thinking;
  EXPECT_EQ(tokens({}), 300);
  EXPECT_EQ(tokens(Thinking::kOff), 300);
  EXPECT_EQ(tokens(Thinking::kOn), 2600);
  EXPECT_EQ(tokens(Thinking::kAuto), 1900);
  core::Outcome long_one = Took("a", 10, 1000);
  long_one.thinking = Thinking::kOff;
  learner.Learn(long_one);
  EXPECT_EQ(tokens(Thinking::kOff), 650) << "half the prior, half the sample";
  EXPECT_EQ(tokens({}), 300);
  EXPECT_EQ(tokens(Thinking::kOn), 2600);
}

TEST(LearnerTest, MeasuredLengthsAreOfTheirMode) {
  core::LengthTable lengths;
  lengths["a"][0] = 50;
  lengths["a+think"][0] = 700;
  const Learner learner({"a"}, {.lengths = lengths});
  const core::Intent code = Sure(Label::kCode);
  const auto tokens = [&](std::optional<core::Thinking> thinking) {
    Learner::Question q;
    q.variant = "a";
    q.thinking = thinking;
    q.intent = &code;
    return learner.Of(q).output_tokens;
  };
  EXPECT_EQ(tokens({}), 50);
  EXPECT_EQ(tokens(core::Thinking::kOn), 700);
  EXPECT_EQ(tokens(core::Thinking::kOff), 300) << "not measured";
}

TEST(LearnerTest, KnowsOnlyThePriorsAtFirst) {
  const Learner learner({"a", "b"});
  const Estimate e = Of(learner, Sure(Label::kCode));
  EXPECT_EQ(e.output_tokens, kPriorOutputTokens[0]);
  EXPECT_EQ(e.context_tokens, 100 + kPriorOutputTokens[0]);
  EXPECT_EQ(e.seconds_per_token, 0);
  EXPECT_EQ(e.seconds, 0);
  EXPECT_EQ(e.bytes_read, static_cast<int64_t>(1000 * kPriorOutputTokens[0]));
}

TEST(LearnerTest, StartsFromLengthsThatWereMeasured) {
  Learner::Options options;
  options.lengths["a"][static_cast<size_t>(Label::kCode)] = 40;
  Learner learner({"a", "b"}, options);
  EXPECT_EQ(Of(learner, Sure(Label::kCode)).output_tokens, 40);
  EXPECT_EQ(Of(learner, Sure(Label::kQa)).output_tokens,
            kPriorOutputTokens[static_cast<size_t>(Label::kQa)])
      << "not measured";
  Learner::Question other;
  other.variant = "b";
  const core::Intent code = Sure(Label::kCode);
  other.intent = &code;
  EXPECT_EQ(learner.Of(other).output_tokens, kPriorOutputTokens[0]);
  // Samples replace it as they do a prior: 4 weigh as much as it.
  options.memory = 1e9;
  Learner slow({"a"}, options);
  for (int i = 0; i < 4; ++i) slow.Learn(Took("a", 50, 80));
  EXPECT_NEAR(Of(slow, Sure(Label::kCode)).output_tokens, 60, 1e-6);
}

TEST(LearnerTest, ConvergesToConstantRatesAndLengths) {
  Learner learner({"a"});
  for (int i = 0; i < 300; ++i) learner.Learn(Took("a", 50 + i % 7, 40));
  const Estimate e = Of(learner, Sure(Label::kCode));
  EXPECT_NEAR(e.prefill_seconds, 0.1, 1e-9);
  EXPECT_NEAR(e.seconds_per_token, 0.02, 1e-9);
  EXPECT_NEAR(e.output_tokens, 40, 40 * 0.5);
  EXPECT_NEAR(e.seconds, 0.1 + e.output_tokens * 0.02, 1e-9);
}

TEST(LearnerTest, FollowsAChange) {
  Learner learner({"a"});
  for (int i = 0; i < 1000; ++i) learner.Learn(Took("a", 50, 1000));
  for (int i = 0; i < 400; ++i) learner.Learn(Took("a", 50, 10));
  EXPECT_LT(Of(learner, Sure(Label::kCode)).output_tokens, 40);
}

TEST(LearnerTest, LearnsPerVariantAndIntent) {
  Learner learner({"a", "b"});
  for (int i = 0; i < 100; ++i) learner.Learn(Took("b", 50, 7));
  EXPECT_EQ(learner.samples("a"), 0);
  EXPECT_EQ(learner.samples("b"), 100);
  EXPECT_EQ(Of(learner, Sure(Label::kCode)).output_tokens,
            kPriorOutputTokens[0]);
  for (int i = 0; i < 100; ++i) learner.Learn(Took("a", 50, 7));
  EXPECT_EQ(Of(learner, Sure(Label::kMath)).output_tokens,
            kPriorOutputTokens[1]);
}

TEST(LearnerTest, WeighsLengthsByTheIntentsProbabilities) {
  const Learner learner({"a"});
  core::Intent half = Sure(Label::kCode);
  half.probabilities[0] = half.probabilities[1] = 0.5;
  EXPECT_EQ(Of(learner, half).output_tokens,
            (kPriorOutputTokens[0] + kPriorOutputTokens[1]) / 2);
}

TEST(LearnerTest, ContextNeedIsCappedByMaxTokens) {
  const Learner learner({"a"});
  EXPECT_EQ(Of(learner, Sure(Label::kCode), 5).context_tokens, 105);
  EXPECT_EQ(Of(learner, Sure(Label::kCode), 1 << 30).context_tokens,
            100 + kPriorOutputTokens[0]);
  EXPECT_EQ(Of(learner, Sure(Label::kCode), -3).context_tokens, 100);
}

TEST(LearnerTest, ShortMaxTokensDoNotTeachThatAnswersAreShort) {
  Learner learner({"a"});
  for (int i = 0; i < 100; ++i) {
    core::Outcome o = Took("a", 50, 2);
    o.cut = true;
    learner.Learn(o);
  }
  EXPECT_EQ(Of(learner, Sure(Label::kCode)).output_tokens,
            kPriorOutputTokens[0]);
  core::Outcome longer = Took("a", 50, 4000);
  longer.cut = true;
  learner.Learn(longer);
  EXPECT_GT(Of(learner, Sure(Label::kCode)).output_tokens,
            kPriorOutputTokens[0]);
}

TEST(LearnerTest, ChoicesAreDecodedTogether) {
  Learner learner({"a"});
  for (int i = 0; i < 500; ++i) {
    core::Outcome o = Took("a", 50, 40);
    o.usage.completion_tokens = 160;
    o.choices = 4;
    learner.Learn(o);
  }
  const Estimate e = Of(learner, Sure(Label::kCode));
  EXPECT_NEAR(e.seconds_per_token, 0.02, 1e-9);
  EXPECT_LT(e.output_tokens, 60);
}

TEST(LearnerTest, CachedPromptTokensArePrefilledForNothing) {
  Learner learner({"a"});
  learner.Learn(Took("a", 100, 10));
  Learner::Question q;
  q.variant = "a";
  q.prompt_tokens = 100;
  q.cached_tokens = 90;
  const core::Intent intent = Sure(Label::kCode);
  q.intent = &intent;
  EXPECT_NEAR(learner.Of(q).prefill_seconds, 0.01, 1e-9);
}

TEST(LearnerTest, IgnoresFailuresUnknownVariantsAndImpossibleCounters) {
  Learner learner({"a"});
  core::Outcome failed = Took("a", 50, 10);
  failed.error = ErrorCode::kUnavailable;
  learner.Learn(failed);
  learner.Learn(Took("nobody", 50, 10));
  core::Outcome negative = Took("a", 50, 10);
  negative.usage.completion_tokens = -1;
  learner.Learn(negative);
  core::Outcome huge = Took("a", 50, 10);
  huge.usage.prompt_tokens = std::numeric_limits<int>::max();
  learner.Learn(huge);
  core::Outcome backwards = Took("a", 50, 10);
  backwards.total = Duration::zero();
  learner.Learn(backwards);
  core::Outcome none = Took("a", 50, 10);
  none.choices = 0;
  learner.Learn(none);
  EXPECT_EQ(learner.samples("a"), 0);
}

TEST(LearnerTest, AnUnknownVariantIsAnsweredFromThePriors) {
  const Learner learner({"b"});
  EXPECT_EQ(Of(learner, Sure(Label::kCode)).output_tokens,
            kPriorOutputTokens[0]);
}

}  // namespace
}  // namespace aio::cost
