// SPDX-License-Identifier: Apache-2.0
#include "cost/price.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"

namespace aio::cost {
namespace {

// 9 ms and 1 ms a column; times `slower`.
StepCost Linear(double slower = 1) {
  StepCost cost;
  cost.table.columns = {1, 512};
  cost.table.seconds = {0.010 * slower, 0.521 * slower};
  cost.table.prefill_seconds_per_token = 0.001 * slower;
  return cost;
}

ModelLoad On(const StepCost& steps, std::vector<Load> loads = {}) {
  ModelLoad model;
  model.steps = &steps;
  model.loads = std::move(loads);
  return model;
}

// 100 tokens of prompt and 11 of answer, the first of which the prompt gives.
constexpr Ask kAsk = {.new_tokens = 100, .output_tokens = 11};

TEST(PriceTest, WhoIsAlonePaysForAll) {
  const StepCost steps = Linear();
  const std::vector<ModelLoad> device = {On(steps)};
  const Price p = PriceOf(device, kAsk);
  EXPECT_NEAR(p.prefill, 0.109, 1e-12);
  EXPECT_NEAR(p.step, 0.010, 1e-12);
  EXPECT_NEAR(p.steps, 10, 1e-12);
  EXPECT_NEAR(p.system(), 0.209, 1e-12);
  EXPECT_NEAR(p.ttft, 0.109, 1e-12);
  EXPECT_NEAR(p.own(), 0.209, 1e-12);
  EXPECT_EQ(p.others, 0);
  EXPECT_EQ(p.queue, 0);
}

// Steps within 1.5 times 10 ms have less than 8 columns, so they have 8: 7 of
// the prompt for 17 ms instead of 10. A token more is one column.
TEST(PriceTest, WhoJoinsPaysForItsColumns) {
  const StepCost steps = Linear();
  const std::vector<ModelLoad> device = {On(steps, {{.tokens_left = 100}})};
  const Price p = PriceOf(device, kAsk);
  EXPECT_NEAR(p.prefill, 100 / 7.0 * 0.007, 1e-12);
  EXPECT_NEAR(p.step, 0.001, 1e-12);
  EXPECT_NEAR(p.queue, 0.5 * 0.010, 1e-12) << "the step under way";
  EXPECT_NEAR(p.ttft, p.queue + 14 * 0.017 + 0.012, 1e-12) << "2 are left";
  EXPECT_NEAR(p.step_own, 0.011, 1e-12);
  EXPECT_NEAR(p.own(), 0.365, 1e-12) << "as docs/cost_model.md has it";
  EXPECT_NEAR(p.others, p.prefill + 10 * 0.001, 1e-12);
}

// A step that reads 8 bits for one reads them for all: 11 ms instead of 5.
TEST(PriceTest, WhoNeedsEightBitsPaysForAllWhoDidNot) {
  StepCost steps = Linear();
  steps.coarse = Linear(0.5).table;
  const Ask fine = {.new_tokens = 1, .output_tokens = 11};
  const Ask coarse = {.coarse = true, .new_tokens = 1, .output_tokens = 11};
  const std::vector<ModelLoad> four = {
      On(steps, {{.tokens_left = 100, .coarse = true}})};
  EXPECT_NEAR(PriceOf(four, coarse).step, 0.0055 - 0.005, 1e-12);
  EXPECT_NEAR(PriceOf(four, fine).step, 0.011 - 0.005, 1e-12);
  const std::vector<ModelLoad> eight = {On(steps, {{.tokens_left = 100}})};
  EXPECT_NEAR(PriceOf(eight, coarse).step, 0.001, 1e-12);
  EXPECT_NEAR(PriceOf(eight, fine).step, 0.001, 1e-12);
}

// Half of its steps it has company, the other half none.
TEST(PriceTest, WhoOutlivesTheOthersPaysForTheRest) {
  const StepCost steps = Linear();
  const std::vector<ModelLoad> device = {On(steps, {{.tokens_left = 5}})};
  const Price p = PriceOf(device, {.new_tokens = 1, .output_tokens = 11});
  EXPECT_NEAR(p.step, 0.5 * 0.001 + 0.5 * 0.010, 1e-12);
  EXPECT_NEAR(p.step_own, 0.5 * 0.011 + 0.5 * 0.010, 1e-12);
  EXPECT_NEAR(p.others, p.prefill + 5 * p.step, 1e-12);
}

// Small wakes beside a large model that has long to go: half of the device.
TEST(PriceTest, ModelsShareTheDevice) {
  const StepCost small = Linear(), large = Linear(5);
  const std::vector<ModelLoad> device = {On(small),
                                         On(large, {{.tokens_left = 1000}})};
  const Price p = PriceOf(device, kAsk);
  EXPECT_NEAR(p.system(), 0.209, 1e-12);
  EXPECT_NEAR(p.queue, 0.5 * 0.050, 1e-12);
  EXPECT_NEAR(p.own(), p.queue + 2 * 0.209, 1e-12);
  EXPECT_NEAR(p.others, 0.109 + 10 * 0.010, 1e-12);
}

// The large model gets three times our time: four seconds for one of ours. 50
// ms of it take 17 of ours, so of our ten steps it has six, of which three are
// the last of one of the two.
TEST(PriceTest, ModelsShareByTheirWeights) {
  const StepCost small = Linear(), large = Linear(5);
  std::vector<ModelLoad> device = {
      On(small), On(large, {{.tokens_left = 1000}, {.tokens_left = 3}})};
  device[1].turn_weight = 6;
  device[0].turn_weight = 2;
  const Price p = PriceOf(device, {.new_tokens = 1, .output_tokens = 11});
  EXPECT_NEAR(p.own(), 0.5 * 0.055 + 4 * 0.110, 1e-12);
  EXPECT_NEAR(p.others, 0.010 * (2 + 10 + 3 * 5.5 / 3), 1e-12);
  // The last 80 ms of the prompt have nobody's turn behind them; for the first
  // 29 there are two turns, at once and after 18.
  device[0].step_in_seconds = 0;
  EXPECT_NEAR(PriceOf(device, kAsk).ttft, 0.109 + 2 * 0.055, 1e-12);
}

TEST(PriceTest, WakingIsSharedByThoseExpectedToJoin) {
  const StepCost steps = Linear();
  std::vector<ModelLoad> device = {On(steps)};
  device[0].arrivals_per_second = 20;
  // A life of 100 ms: one joiner is expected, half way.
  const double share = 1 - std::exp(-1.0);
  EXPECT_NEAR(PriceOf(device, kAsk).step, 0.010 * share, 1e-12);
}

// A thousand a second would come while we are here, but two have a place.
TEST(PriceTest, NewcomersFindNoMorePlacesThanThereAre) {
  const StepCost steps = Linear();
  std::vector<ModelLoad> device = {On(steps, {{.tokens_left = 1000}})};
  device[0].arrivals_per_second = 1000;
  device[0].sequences_max = 3;
  EXPECT_NEAR(PriceOf(device, kAsk).step_own, 0.012, 1e-12);
}

// After 5 steps of 17 ms and 35 columns the rest is computed alone.
TEST(PriceTest, APromptRidesAsLongAsThereAreSteps) {
  const StepCost steps = Linear();
  const std::vector<ModelLoad> device = {On(steps, {{.tokens_left = 5}})};
  const Price p = PriceOf(device, kAsk);
  EXPECT_NEAR(p.ttft, p.queue + 5 * 0.017 + 0.65 * 0.109, 1e-12);
  EXPECT_NEAR(p.prefill, 35 * 0.001 + 0.65 * 0.109, 1e-12);
}

TEST(PriceTest, WhoFindsNoPlaceWaitsForOne) {
  const StepCost steps = Linear();
  std::vector<ModelLoad> device = {
      On(steps, {{.tokens_left = 50}, {.tokens_left = 20}})};
  device[0].sequences_max = 2;
  const Price p = PriceOf(device, kAsk);
  const double under_way = 0.5 * 0.011;
  EXPECT_NEAR(p.queue, under_way + 20 * 0.012, 1e-12);
  device[0].loads.push_back({.tokens_left = 100});  // before us
  EXPECT_NEAR(PriceOf(device, kAsk).queue, under_way + 50 * 0.012, 1e-12);
}

TEST(PriceTest, PromptsBeforeOursComeFirst) {
  const StepCost steps = Linear();
  const auto with = [&](std::vector<int> prompts) {
    std::vector<Load> loads;
    for (const int n : prompts) {
      loads.push_back({.tokens_left = 10,
                       .prompt_tokens = n,
                       .prefill_seconds = 0.009 + 0.001 * n});
    }
    const std::vector<ModelLoad> device = {On(steps, loads)};
    return PriceOf(device, kAsk);
  };
  // Half of a step of so many columns is under way.
  const Price p = with({291});
  EXPECT_NEAR(p.queue, 0.5 * 0.010 + 0.109, 1e-12) << "the oldest: as many";
  EXPECT_NEAR(p.ttft, p.queue + 0.109, 1e-12) << "nobody decodes yet";
  EXPECT_NEAR(with({60}).queue, 0.5 * 0.010 + 0.069, 1e-12);
  EXPECT_NEAR(with({291, 50}).queue, 0.5 * 0.011 + 0.209, 1e-12)
      << "a shorter one, and the oldest as many as it and ours";
  EXPECT_NEAR(with({291, 500}).queue, 0.5 * 0.011 + 0.109, 1e-12)
      << "a longer one waits";
}

// A step of 30 ms that has 20 ms left, and then the large model's turn.
TEST(PriceTest, ABackendThatTellsIsBelieved) {
  const StepCost small = Linear(), large = Linear(5);
  std::vector<ModelLoad> device = {On(small, {{.tokens_left = 1000}}),
                                   On(large, {{.tokens_left = 1000}})};
  device[0].step_in_seconds = 0.020;
  const Ask one = {.new_tokens = 7, .output_tokens = 11};
  EXPECT_NEAR(PriceOf(device, one).queue, 0.020, 1e-12);
  EXPECT_NEAR(PriceOf(device, one).ttft, 0.020 + 0.017, 1e-12)
      << "the others have no turn before its first step's end";
  // 14 full steps and one of 3 columns: 5 turns of 50 ms, the first at once.
  EXPECT_NEAR(PriceOf(device, kAsk).ttft,
              0.020 + 14 * 0.017 + 0.012 + 5 * 0.050, 1e-12);
  device[0].run_seconds = 0.100;
  EXPECT_NEAR(PriceOf(device, kAsk).ttft,
              0.020 + 14 * 0.017 + 0.012 + 3 * 0.050, 1e-12);
}

// A prompt of two steps, and between them a turn that is longer than both.
TEST(PriceTest, ATurnBeforeTheFirstTokenMakesNoTokenNegative) {
  const StepCost small = Linear(), large = Linear(20);
  std::vector<ModelLoad> device = {On(small, {{.tokens_left = 1000}}),
                                   On(large, {{.tokens_left = 1000}})};
  device[0].step_in_seconds = 0;
  const Price p = PriceOf(device, {.new_tokens = 8, .output_tokens = 2});
  EXPECT_NEAR(p.ttft, 0.017 + 0.080 + 0.011, 1e-12);
  EXPECT_NEAR(p.step_own, 0.011, 1e-12);
  EXPECT_GE(p.stairs, 0);
}

// 10 a second come to the large model and stay for a second each; ours takes
// 210 ms of the device. What comes, comes by the clock: while somebody is there
// we have half of it.
TEST(PriceTest, OthersComeMeanwhile) {
  const StepCost small = Linear(), large = Linear(5);
  std::vector<ModelLoad> device = {On(small), On(large)};
  const Ask ask = {.new_tokens = 1, .output_tokens = 21};
  EXPECT_NEAR(PriceOf(device, ask).own(), 0.210, 1e-12);
  device[1].arrivals_per_second = 10;
  device[1].life_seconds = 1;
  const auto there = [](double seconds) {
    return seconds - (1 - std::exp(-10 * seconds)) / 10;
  };
  double own = PriceOf(device, ask).own();
  EXPECT_NEAR(own - 0.5 * there(own), 0.210, 1e-3);
  // Whoever is there already is not counted twice: 50 ms of work, which are
  // over after 100.
  device[1].loads = {{.tokens_left = 1}};
  own = PriceOf(device, ask).own() - 0.5 * 0.050;
  EXPECT_NEAR(own - 0.050 - 0.5 * (there(own) - there(0.100)), 0.210, 1e-3);
}

// Ten a second that stay for 50 ms are half a one.
TEST(PriceTest, NewcomersGo) {
  const StepCost steps = Linear();
  std::vector<ModelLoad> device = {On(steps, {{.tokens_left = 1000}})};
  device[0].arrivals_per_second = 10;
  device[0].life_seconds = 0.050;
  const Ask ask = {.new_tokens = 1, .output_tokens = 1001};
  EXPECT_NEAR(PriceOf(device, ask).step_own, 0.0115, 1e-9);
}

// A lone prompt of 64 costs a launch of 0.1 s; beside others it rides in steps
// that are quick. True, but no reason to prefer the busy model.
TEST(PriceTest, NobodyCountsOnAStair) {
  StepCost steps;
  steps.table.columns = {1, 32, 33, 512};
  steps.table.seconds = {0.010, 0.010, 0.100, 0.100};
  std::vector<ModelLoad> device = {On(steps)};
  const Ask ask = {.new_tokens = 64, .output_tokens = 11};
  const Price alone = PriceOf(device, ask);
  EXPECT_NEAR(alone.ttft, 0.100, 1e-12);
  EXPECT_NEAR(alone.stairs, 0, 1e-12);
  device[0].loads = {{.tokens_left = 1000}};
  device[0].step_in_seconds = 0;
  const Price busy = PriceOf(device, ask);
  EXPECT_NEAR(busy.ttft, 0.030, 1e-12) << "31 columns a step";
  EXPECT_NEAR(busy.stairs, 0.070, 1e-12);
  EXPECT_NEAR(busy.own(), alone.own(), 1e-12);
}

TEST(PriceTest, ACachedPrefixCostsNothingButItsContext) {
  StepCost steps = Linear();
  steps.table.kv_seconds_per_context_token = 1e-6;
  const std::vector<ModelLoad> device = {On(steps)};
  Ask ask = kAsk;
  ask.cached_tokens = 1000;
  const Price p = PriceOf(device, ask);
  EXPECT_NEAR(p.prefill, 0.109 + 1100e-6, 1e-9);
  EXPECT_NEAR(p.step, 0.010 + 1105e-6, 1e-9);
}

// The difference that each makes, in the order they come: together the step.
TEST(PriceTest, TheChargesOfABatchSumToItsStep) {
  StepCost steps;
  steps.table.columns = {1, 2, 3, 4, 8, 9, 16};
  steps.table.seconds = {0.10, 0.104, 0.11, 0.111, 0.13, 0.2, 0.21};
  std::vector<ModelLoad> device = {On(steps)};
  double sum = 0;
  for (int n = 1; n <= 16; ++n) {
    sum += PriceOf(device, kAsk).step;
    EXPECT_NEAR(sum, steps.table.Seconds(n, 0), 1e-12) << n;
    device[0].loads.push_back({.tokens_left = 1e6});
  }
}

// Whatever the tables and whoever is there.
TEST(PriceTest, OneMoreRequestNeverMakesOursQuicker) {
  uint64_t draws = 0;
  const auto random = [&](double most) {
    return most * RandomUnit(7, 0, draws++);
  };
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    StepCost costs[2];
    for (StepCost& cost : costs) {
      double at = 0.001 + random(0.1);
      for (const int n : {1, 2, 4, 8, 16, 64, 512}) {
        cost.table.columns.push_back(n);
        cost.table.seconds.push_back(at);
        at += random(0.05);
      }
      cost.table.prefill_seconds_per_token = random(0.01);
    }
    std::vector<ModelLoad> device = {On(costs[0]), On(costs[1])};
    const Ask ask = {.new_tokens = 1 + static_cast<int>(random(600)),
                     .output_tokens = 1 + random(300)};
    double last = 0;
    for (int n = 0; n < 12; ++n) {
      const Price p = PriceOf(device, ask);
      EXPECT_GE(p.own(), last * (1 - 1e-9)) << n;
      EXPECT_GE(p.system(), 0);
      EXPECT_GE(p.others, 0);
      last = p.own();
      device[random(1) < 0.5 ? 0 : 1].loads.push_back(
          {.tokens_left = 1 + random(300)});
    }
  }
}

}  // namespace
}  // namespace aio::cost
