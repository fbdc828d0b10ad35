// SPDX-License-Identifier: Apache-2.0
#include "cost/step_fit.h"

#include <gtest/gtest.h>

#include <vector>

namespace aio::cost {
namespace {

// 10 ms and 1 ms a column.
StepCost Some() {
  StepCost cost;
  cost.table.columns = {1, 8, 64};
  cost.table.seconds = {0.011, 0.018, 0.074};
  cost.table.prefill_seconds_per_token = 0.001;
  cost.table.kv_seconds_per_context_token = 1e-6;
  cost.table.pair_seconds = 1e-6;
  return cost;
}

StepSize Decode(int columns, int64_t context) {
  return {.columns = columns, .context_tokens = context};
}

TEST(StepCostTest, SeveralPromptsHaveFewerPairsThanOne) {
  const StepCost cost = Some();
  StepSize one = {.columns = 64};
  one.Add(0, 64);
  EXPECT_DOUBLE_EQ(cost.Seconds(one), 0.074 + 64e-6);
  StepSize two = {.columns = 64};
  two.Add(0, 32);
  two.Add(0, 32);
  // 2 * 512 pairs instead of 2,048.
  EXPECT_DOUBLE_EQ(cost.Seconds(two), 0.074 - 1024e-6 + 64e-6);
  StepSize chunk = {.columns = 64};
  chunk.Add(100, 64);
  EXPECT_DOUBLE_EQ(cost.Seconds(chunk), 0.074 + 6400e-6 + 164e-6);
}

// A prompt of 60 and ten of 2 have some 1,400 pairs less than one of 80.
TEST(StepCostTest, AStepTakesNoLessThanItsLongestPrompt) {
  StepCost cost = Some();
  cost.table.pair_seconds = 1e-4;
  StepSize step = {.columns = 80};
  step.Add(0, 60);
  for (int i = 0; i < 10; ++i) step.Add(0, 2);
  EXPECT_DOUBLE_EQ(cost.Seconds(step), cost.table.Seconds(60, 0) + 80e-6);
}

TEST(StepFitTest, ErrorsAreOfAllSecondsAndOfTheUsualStep) {
  const StepCost cost = Some();
  const double one = cost.Seconds(Decode(1, 0));
  const std::vector<TimedStep> steps = {{Decode(1, 0), 0.9 * one},
                                        {Decode(1, 0), 1.3 * one},
                                        {Decode(1, 0), 1.2 * one}};
  const StepErrors errors = ErrorsOf(cost, steps);
  EXPECT_EQ(errors.steps, 3);
  EXPECT_NEAR(errors.ratio, 3.4 / 3, 1e-12);
  EXPECT_NEAR(errors.off, 0.2, 1e-12);
  EXPECT_EQ(ErrorsOf(cost, {}).steps, 0);
  EXPECT_EQ(ErrorsOf(cost, {}).ratio, 1);
}

// Truth is 1.5 times as slow at one column and at wide steps as said, with the
// same price of context.
TEST(StepFitTest, ACorrectedTableSaysWhatStepsTook) {
  const StepCost said = Some();
  std::vector<TimedStep> steps;
  for (const double noise : {0.8, 1.0, 1.0, 1.0, 1.2}) {
    steps.push_back({Decode(1, 0), 1.5 * 0.011 * noise});
    steps.push_back({Decode(4, 0), 1.2 * 0.014 * noise});
    steps.push_back({Decode(64, 0), 1.1 * 0.074 * noise});
  }
  const StepCost cost = Corrected(said, steps);
  EXPECT_NEAR(cost.Seconds(Decode(1, 0)), 1.5 * 0.011, 1e-9);
  EXPECT_NEAR(cost.Seconds(Decode(4, 0)), 1.2 * 0.014, 1e-9);
  EXPECT_NEAR(cost.Seconds(Decode(64, 0)), 1.1 * 0.074, 1e-9);
  // Half way from 4 to 16 and a quarter from 4 to 64, by the logarithm.
  EXPECT_NEAR(cost.Seconds(Decode(8, 0)), (1.2 - 0.025) * 0.018, 1e-9);
  EXPECT_NEAR(cost.Seconds(Decode(164, 0)), 1.1 * (0.074 + 0.1), 1e-9);
  EXPECT_NEAR(cost.Seconds(Decode(1, 1000)) - cost.Seconds(Decode(1, 0)), 1e-3,
              1e-9);
}

// A queue feels the slow ones; one that was stopped counts as four.
TEST(StepFitTest, TheMeanCountsAndNotTheMedian) {
  const StepCost said = Some();
  std::vector<TimedStep> steps;
  for (const double noise : {1.0, 1.0, 1.0, 2.0, 40.0}) {
    steps.push_back({Decode(1, 0), 0.011 * noise});
  }
  EXPECT_NEAR(Corrected(said, steps).Seconds(Decode(1, 0)), 0.011 * 9 / 5,
              1e-9);
}

// 95, 100 and 105 columns are one width, 100.
TEST(StepFitTest, PromptsOfAboutOneWidthCountTogether) {
  const StepCost said = Some();
  std::vector<TimedStep> steps;
  for (const int columns : {95, 100, 105}) {
    const StepSize size = Decode(columns, 0);
    steps.push_back({size, 1.2 * said.Seconds(size)});
  }
  const StepCost cost = Corrected(said, steps);
  EXPECT_NEAR(cost.Seconds(Decode(100, 0)), 1.2 * 0.110, 1e-9);
}

// One prompt of 64 takes what is said, eight of 8 take 1 ms less: of 1,792
// pairs.
TEST(StepFitTest, PairsAreFittedToStepsOfSeveralPrompts) {
  StepCost said = Some();
  said.table.kv_seconds_per_context_token = 0;
  said.table.pair_seconds = 0;
  StepSize one = {.columns = 64}, eight = {.columns = 64};
  one.Add(0, 64);
  for (int i = 0; i < 8; ++i) eight.Add(0, 8);
  std::vector<TimedStep> steps;
  for (int i = 0; i < 3; ++i) {
    steps.push_back({one, 0.074});
    steps.push_back({eight, 0.073});
  }
  const StepCost cost = Corrected(said, steps);
  EXPECT_NEAR(cost.table.pair_seconds, 0.001 / 1792, 1e-12);
  EXPECT_NEAR(cost.Seconds(one), 0.074, 1e-12);
  EXPECT_NEAR(cost.Seconds(eight), 0.073, 1e-12);
}

TEST(StepFitTest, TwoStepsOfAWidthAreNotEnough) {
  const StepCost said = Some();
  const std::vector<TimedStep> steps = {{Decode(1, 0), 1}, {Decode(1, 0), 1}};
  EXPECT_EQ(Corrected(said, steps).table.seconds, said.table.seconds);
}

TEST(StepFitTest, StepsOfFourBitsCorrectTheirOwnTable) {
  StepCost said = Some();
  said.coarse = said.table;
  StepSize coarse = Decode(1, 0);
  coarse.coarse = true;
  const std::vector<TimedStep> steps(3, {coarse, 0.0055});
  const StepCost cost = Corrected(said, steps);
  EXPECT_NEAR(cost.Seconds(coarse), 0.0055, 1e-12);
  EXPECT_EQ(cost.table.seconds, said.table.seconds);
}

}  // namespace
}  // namespace aio::cost
