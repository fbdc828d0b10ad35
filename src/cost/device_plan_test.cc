// SPDX-License-Identifier: Apache-2.0
#include "cost/device_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace aio::cost {
namespace {

// Milliseconds: a step of 1 column and of 64, straight between them.
StepCost Steps(double one, double sixty_four) {
  StepCost cost;
  cost.table.columns = {1, 64};
  cost.table.seconds = {1e-3 * one, 1e-3 * sixty_four};
  return cost;
}

// Small and large; 70 % of the requests may be on either, the others on large
// only. Prompts of a token, answers of 100.
class DevicePlanTest : public testing::Test {
 protected:
  std::vector<bool> At(double in_flight) const {
    return VariantsAtWork(variants_, classes_, in_flight);
  }
  void Use(const StepCost& small, const StepCost& large) {
    small_ = small;
    large_ = large;
  }

  StepCost small_, large_;
  std::vector<PlanVariant> variants_ = {{&small_, 0, false},
                                        {&large_, 1, false}};
  std::vector<TrafficClass> classes_ = {
      {.good = {true, true}, .share = 7, .output_tokens = 100},
      {.good = {false, true}, .share = 3, .output_tokens = 100}};
};

const std::vector<bool> kBoth = {true, true};
const std::vector<bool> kLarge = {false, true};

// Steps take 8 and 10 ms whoever is in them: of 16 requests some must be on
// large, and then small's steps only hold everybody up. One at a time, there is
// nobody to hold up.
TEST_F(DevicePlanTest, WhereLaunchesTakeTheTimeOneModelIsEnough) {
  Use(Steps(8, 8), Steps(10, 10));
  EXPECT_EQ(At(1), kBoth);
  EXPECT_EQ(At(16), kLarge);
  // A prompt of one column, then 100 steps shared by all who are there.
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kLarge, 16),
              0.010 + 100 * 0.010 / 16, 1e-12);
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kLarge, 1),
              0.010 + 100 * 0.010, 1e-12);
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kBoth, 1),
              0.7 * (0.008 + 100 * 0.008) + 0.3 * (0.010 + 100 * 0.010), 1e-12);
}

// Steps take as long as they are wide: what small takes, large need not.
TEST_F(DevicePlanTest, WhereArithmeticTakesTheTimeBothAreAtWork) {
  Use(Steps(1, 64), Steps(10, 640));
  EXPECT_EQ(At(1), kBoth);
  EXPECT_EQ(At(16), kBoth);
}

// Of 100 requests 32 have a place on either model. For each on large (560 /
// 300)^(2/3) are on small, so it is full first.
TEST_F(DevicePlanTest, WhoHasNoPlaceMakesNoStepFuller) {
  Use(Steps(8, 8), Steps(10, 10));
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kLarge, 100),
              0.010 + 100 * 0.010 / 32, 1e-12);
  EXPECT_NEAR(
      SecondsARequest(variants_, classes_, kBoth, 100),
      0.7 * (0.008 + 100 * 0.008 / 32) +
          0.3 * (0.010 + 100 * 0.010 * std::pow(560 / 300.0, 2 / 3.0) / 32),
      1e-12);
}

TEST_F(DevicePlanTest, WhatNobodyNeedsSleeps) {
  Use(Steps(8, 8), Steps(10, 10));
  classes_[1].good = {true, true};
  EXPECT_EQ(At(16), (std::vector<bool>{true, false}));
  EXPECT_EQ(At(2), (std::vector<bool>{true, false}));
  EXPECT_EQ(At(1), kBoth) << "a long prompt may be quicker on large";
}

TEST_F(DevicePlanTest, NobodyIsLeftWithoutAVariant) {
  Use(Steps(1, 1), Steps(100, 6400));
  EXPECT_TRUE(
      std::isinf(SecondsARequest(variants_, classes_, {true, false}, 16)));
  EXPECT_TRUE(At(16)[1]);
}

TEST_F(DevicePlanTest, AllStayWhereThereIsNoTraffic) {
  Use(Steps(8, 8), Steps(10, 10));
  EXPECT_EQ(VariantsAtWork(variants_, {}, 16), kBoth);
}

// Whatever steps take: never worse than all at work, and fewer than those that
// would be used then only where it is worthwhile.
TEST_F(DevicePlanTest, FewerAreAtWorkOnlyWhereItPays) {
  int fewer = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const auto draw = [&](uint64_t i, double least, double most) {
      return least * std::pow(most / least, RandomUnit(seed, 1, i));
    };
    const double small = draw(0, 1, 20), large = draw(1, 1, 20);
    Use(Steps(small, draw(2, small, 64 * small)),
        Steps(large, draw(3, large, 64 * large)));
    classes_[0].share = draw(4, 0.1, 10);
    const double in_flight = draw(5, 1, 32);
    const double all = SecondsARequest(variants_, classes_, kBoth, in_flight);
    const std::vector<bool> chosen = At(in_flight);
    const double now = SecondsARequest(variants_, classes_, chosen, in_flight);
    EXPECT_LE(now, all);
    if (chosen == kBoth || now == all) continue;
    ++fewer;
    EXPECT_LT(now, 0.98 * all);
  }
  EXPECT_GT(fewer, 100);
}

// Views of one model are stepped together: 8 bits beside 4 read all bytes.
TEST_F(DevicePlanTest, ViewsOfOneModelShareItsSteps) {
  Use(Steps(1, 1), Steps(10, 10));
  large_.coarse = Steps(6, 6).table;
  variants_ = {{&large_, 1, false}, {&large_, 1, true}};
  classes_ = {{.good = {true, true}, .share = 1, .output_tokens = 100}};
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kBoth, 16),
              0.006 + 100 * 0.006 / 16, 1e-12);
  EXPECT_EQ(At(16), (std::vector<bool>{false, true}));
  // Some need 8 bits: then 4 bits beside them save their prompt alone.
  classes_.push_back({.good = {true, false}, .share = 1, .output_tokens = 100});
  EXPECT_NEAR(SecondsARequest(variants_, classes_, kBoth, 16),
              0.5 * (0.006 + 0.010) + 100 * 0.010 / 16, 1e-12);
  EXPECT_EQ(At(16), kBoth);
}

TEST_F(DevicePlanTest, SequencesPileUpWhereStepsAreSlow) {
  // 70 % of the tokens at 1 ms, 30 % at 30 ms a step, and time by the root of
  // the sequences, n: so n^1.5 are as 0.7 to 9.
  Use(Steps(1, 1), Steps(30, 30));
  const double to_one = std::pow(9 / 0.7, 2 / 3.0);
  const double small = 16 / (1 + to_one), large = 16 - small;
  EXPECT_NEAR(0.7 * 0.001 / std::pow(small, 1.5),
              0.3 * 0.030 / std::pow(large, 1.5), 1e-9)
      << "the time that either needs is what it gets";
  EXPECT_NEAR(
      SecondsARequest(variants_, classes_, kBoth, 16),
      0.7 * 0.001 + 0.3 * 0.030 + 70 * 0.001 / small + 30 * 0.030 / large,
      1e-9);
}

}  // namespace
}  // namespace aio::cost
