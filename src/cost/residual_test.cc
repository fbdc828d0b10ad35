// SPDX-License-Identifier: Apache-2.0
#include "cost/residual.h"

#include <gtest/gtest.h>

#include <limits>

namespace aio::cost {
namespace {

TEST(ResidualTest, SaysNothingBeforeItHasLearned) {
  EXPECT_EQ(Residual().Factor(), 1);
  EXPECT_FALSE(Residual().drifted());
}

// Whatever is said takes 1.3 times as long, corrections and all.
TEST(ResidualTest, FindsTheFactorAndStaysThere) {
  Residual residual;
  for (int i = 0; i < 500; ++i) residual.Learn(2 * residual.Factor(), 2 * 1.3);
  // The prior weighs 8 of 72.
  EXPECT_NEAR(residual.Factor(), 1.3, 0.05);
  EXPECT_FALSE(residual.drifted());
}

TEST(ResidualTest, CorrectsNoFurtherThanItsBoundsAndSaysSo) {
  Residual residual;
  for (int i = 0; i < 500; ++i) residual.Learn(residual.Factor(), 3);
  EXPECT_EQ(residual.Factor(), 1.5);
  EXPECT_TRUE(residual.drifted());
  for (int i = 0; i < 500; ++i) residual.Learn(residual.Factor(), 0.25);
  EXPECT_NEAR(residual.Factor(), 0.25, 0.05) << "drafts, say";
  EXPECT_FALSE(residual.drifted());
  for (int i = 0; i < 500; ++i) residual.Learn(residual.Factor(), 0.01);
  EXPECT_EQ(residual.Factor(), 1.0 / 6);
  EXPECT_TRUE(residual.drifted());
  for (int i = 0; i < 500; ++i) residual.Learn(residual.Factor(), 1);
  EXPECT_NEAR(residual.Factor(), 1, 0.02);
  EXPECT_FALSE(residual.drifted());
}

TEST(ResidualTest, OneThatWaitedForHoursCountsAsTenfold) {
  Residual a, b;
  a.Learn(1, 10);
  b.Learn(1, 10000);
  EXPECT_EQ(a.Factor(), b.Factor());
}

TEST(ResidualTest, WhatIsNoTimeTeachesNothing) {
  Residual residual;
  for (const double x : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                         std::numeric_limits<double>::infinity()}) {
    residual.Learn(x, 1);
    residual.Learn(1, x);
  }
  EXPECT_EQ(residual.Factor(), 1);
}

}  // namespace
}  // namespace aio::cost
