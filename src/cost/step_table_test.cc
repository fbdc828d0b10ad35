// SPDX-License-Identifier: Apache-2.0
#include "cost/step_table.h"

#include <gtest/gtest.h>

#include <limits>

namespace aio::cost {
namespace {

StepTable Some() {
  StepTable t;
  t.columns = {1, 2, 4, 8, 16};
  t.seconds = {0.10, 0.11, 0.12, 0.13, 0.20};
  t.kv_seconds_per_context_token = 1e-6;
  t.prefill_seconds_per_token = 0.01;
  return t;
}

TEST(StepTableTest, IsLinearBetweenEntriesAndByThePrefillRatePastTheLast) {
  const StepTable t = Some();
  EXPECT_DOUBLE_EQ(t.Seconds(4, 0), 0.12);
  EXPECT_DOUBLE_EQ(t.Seconds(3, 0), 0.115);
  EXPECT_DOUBLE_EQ(t.Seconds(12, 0), 0.165);
  EXPECT_DOUBLE_EQ(t.Seconds(20, 0), 0.24);
  EXPECT_DOUBLE_EQ(t.Seconds(1, 1000), 0.101);
  EXPECT_DOUBLE_EQ(t.C(16), 2);
}

TEST(StepTableTest, BelowTheFirstEntryAStepCostsAsMuchAsTheFirst) {
  StepTable t = Some();
  t.columns[0] = 2;
  t.columns[1] = 3;
  EXPECT_DOUBLE_EQ(t.Seconds(1, 0), 0.10);
}

TEST(StepTableTest, ColumnsWithinIsTheLargestMultipleOfEightThatFits) {
  const StepTable t = Some();
  EXPECT_EQ(t.ColumnsWithin(1.0, 1), 0) << "8 columns take 1.3 times one";
  EXPECT_EQ(t.ColumnsWithin(1.5, 1), 8);
  EXPECT_EQ(t.ColumnsWithin(2.0, 1), 16);
  EXPECT_EQ(t.ColumnsWithin(2.7, 1), 16) << "24 would take 2.8";
  EXPECT_EQ(t.ColumnsWithin(2.9, 1), 24);
  for (int decode = 1; decode < 40; ++decode) {
    const int n = t.ColumnsWithin(1.5, decode);
    EXPECT_EQ(n % 8, 0);
    EXPECT_TRUE(n == 0 || t.Seconds(n, 0) <= 1.5 * t.Seconds(decode, 0));
    EXPECT_GT(t.Seconds(n + 8, 0), 1.5 * t.Seconds(decode, 0));
  }
}

TEST(StepTableTest, ATableInWhichColumnsAreFreeStillHasAnEnd) {
  StepTable t;
  t.columns = {1};
  t.seconds = {0.1};
  const int n = t.ColumnsWithin(1.5, 1);
  EXPECT_GE(n, 512);
  EXPECT_EQ(n % 8, 0);
}

TEST(StepTableTest, NoiseThatMadeTimesDecreaseIsRaised) {
  StepTable t = Some();
  t.seconds = {0.10, 0.09, 0.12, 0.11, 0.20};
  const auto checked = Checked(t);
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->seconds,
            (std::vector<double>{0.10, 0.10, 0.12, 0.12, 0.20}));
}

TEST(StepTableTest, ImpossibleMeasurementsAreRefused) {
  for (int i = 0; i < 6; ++i) {
    StepTable t = Some();
    if (i == 0) t.columns.pop_back();
    if (i == 1) t.columns[2] = 2;
    if (i == 2) t.columns[0] = 0;
    if (i == 3) t.seconds[1] = -1;
    if (i == 4) t.seconds[1] = std::numeric_limits<double>::quiet_NaN();
    if (i == 5) t = {};
    EXPECT_FALSE(Checked(t)) << i;
  }
}

TEST(StepTableTest, AStepOfColumnsTakesAtMostAStepEach) {
  StepTable measured;
  measured.columns = {1, 2, 8};
  measured.seconds = {0.010, 0.012, 0.400};  // disturbed at 8
  measured.prefill_seconds_per_token = 0.001;
  const auto table = Checked(std::move(measured));
  ASSERT_TRUE(table);
  EXPECT_DOUBLE_EQ(table->Seconds(2, 0), 0.012);
  EXPECT_DOUBLE_EQ(table->Seconds(8, 0), 0.080);
}

}  // namespace
}  // namespace aio::cost
