// SPDX-License-Identifier: Apache-2.0
#include "cost/learned_steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace aio::cost {
namespace {

double TokenSeconds(const LearnedSteps& learned, int requests,
                    int64_t context) {
  StepSize step;
  step.columns = requests;
  step.context_tokens = context;
  return learned.Now().Seconds(step);
}

double PromptSeconds(const LearnedSteps& learned, int tokens) {
  StepSize step;
  step.Add(0, tokens);
  step.columns = tokens;
  return learned.Now().Seconds(step);
}

TEST(LearnedStepsTest, BeginsWithTheGuess) {
  const StepCost guess = UnknownSteps();
  const LearnedSteps learned(guess, 64);
  EXPECT_NEAR(TokenSeconds(learned, 1, 0), 0.025, 1e-9);
  EXPECT_NEAR(TokenSeconds(learned, 16, 0), 0.03, 1e-9);
  EXPECT_NEAR(learned.Now().table.prefill_seconds_per_token, 0.08 / 512, 1e-9);
}

// A server ten times as quick as was guessed, whose tokens take longer with
// company and context: found from noisy answers at whatever load there was.
TEST(LearnedStepsTest, FindsWhatAServerTakesFromItsAnswers) {
  LearnedSteps learned(UnknownSteps(), 64);
  const auto truth = [](double requests, double context) {
    return 0.0025 + 0.0001 * (requests - 1) + 2e-8 * context;
  };
  for (uint64_t i = 0; i < 400; ++i) {
    LearnedSteps::Answer answer;
    answer.requests = 1 + 31 * RandomUnit(1, 0, i);
    answer.context_tokens = answer.requests * 2000 * RandomUnit(1, 1, i);
    answer.seconds_per_token = truth(answer.requests, answer.context_tokens) *
                               (0.9 + 0.2 * RandomUnit(1, 2, i));
    learned.Learn(answer);
    const int tokens = 1 + static_cast<int>(4000 * RandomUnit(1, 3, i));
    learned.LearnPrompt(tokens, 0.004 + 2e-5 * tokens);
  }
  for (const int requests : {1, 8, 32}) {
    for (const int64_t context : {0, 10000, 40000}) {
      EXPECT_NEAR(TokenSeconds(learned, requests, context) /
                      truth(requests, static_cast<double>(context)),
                  1, 0.1)
          << requests << " " << context;
    }
  }
  EXPECT_NEAR(PromptSeconds(learned, 2048) / (0.004 + 2e-5 * 2048), 1, 0.1);
}

TEST(LearnedStepsTest, FollowsAServerThatBecomesSlower) {
  LearnedSteps learned(UnknownSteps(), 64);
  for (int i = 0; i < 200; ++i) learned.Learn({1 + i % 8 * 1.0, 0, 0.010});
  EXPECT_NEAR(TokenSeconds(learned, 4, 0), 0.010, 0.001);
  for (int i = 0; i < 200; ++i) learned.Learn({1 + i % 8 * 1.0, 0, 0.030});
  EXPECT_NEAR(TokenSeconds(learned, 4, 0), 0.030, 0.003);
}

TEST(LearnedStepsTest, NothingGetsCheaperByMoreWork) {
  LearnedSteps learned(UnknownSteps(), 64);
  for (int i = 0; i < 300; ++i) {
    const double requests = 1 + i % 16;
    learned.Learn({requests, 1000 * requests, 0.05 / requests});
    learned.LearnPrompt(100 + i, 1.0 / (100 + i));
  }
  double before = 0;
  for (int n = 1; n <= 64; ++n) {
    EXPECT_GE(TokenSeconds(learned, n, 0), before);
    before = TokenSeconds(learned, n, 0);
  }
  EXPECT_GE(TokenSeconds(learned, 1, 100000), TokenSeconds(learned, 1, 0));
  EXPECT_GT(before, 0);
}

TEST(LearnedStepsTest, LearnsNothingFromNonsense) {
  LearnedSteps learned(UnknownSteps(), 64);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinite, -1.0, 0.0}) {
    learned.Learn({1, 0, bad});
    learned.Learn({bad, 0, 0.1});
    learned.LearnPrompt(100, bad);
  }
  learned.Learn({1, nan, 0.1});
  learned.LearnPrompt(0, 1);
  EXPECT_NEAR(TokenSeconds(learned, 1, 0), 0.025, 1e-9);
  EXPECT_NEAR(TokenSeconds(learned, 16, 0), 0.03, 1e-9);
}

}  // namespace
}  // namespace aio::cost
