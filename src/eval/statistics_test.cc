// SPDX-License-Identifier: Apache-2.0
#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/median.h"

namespace aio::eval {
namespace {

void ExpectInterval(const Interval& interval, double low, double high) {
  EXPECT_NEAR(interval.low, low, 5e-5);
  EXPECT_NEAR(interval.high, high, 5e-5);
}

// Newcombe, "Two-sided confidence intervals for the single proportion",
// Statistics in Medicine 17 (1998), table I, method 3.
TEST(StatisticsTest, WilsonAgreesWithPublishedIntervals) {
  ExpectInterval(Wilson95(81, 263), 0.2553, 0.3662);
  ExpectInterval(Wilson95(15, 148), 0.0624, 0.1605);
  ExpectInterval(Wilson95(0, 20), 0.0000, 0.1611);
  ExpectInterval(Wilson95(1, 29), 0.0061, 0.1718);
}

TEST(StatisticsTest, WilsonIsSymmetricAndStaysAShare) {
  for (int total = 1; total < 40; ++total) {
    for (int right = 0; right <= total; ++right) {
      const Interval here = Wilson95(right, total);
      const Interval there = Wilson95(total - right, total);
      EXPECT_NEAR(here.low, 1 - there.high, 1e-12);
      EXPECT_GE(here.low, 0);
      EXPECT_LE(here.high, 1);
      EXPECT_LE(here.low, static_cast<double>(right) / total);
      EXPECT_GE(here.high, static_cast<double>(right) / total);
    }
  }
  ExpectInterval(Wilson95(0, 0), 0, 1);
}

TEST(StatisticsTest, TheMedianOfAnEvenCountLiesInTheMiddle) {
  EXPECT_EQ(Median(std::vector<double>{}), 0);
  EXPECT_EQ(Median(std::vector<double>{3}), 3);
  EXPECT_EQ(Median(std::vector<double>{9, 1, 2}), 2);
  EXPECT_EQ(Median(std::vector<double>{4, 1, 2, 9}), 3);
}

TEST(StatisticsTest, TheBootstrapIsDeterministicAndHoldsTheMedian) {
  std::vector<double> values;
  for (int i = 0; i < 25; ++i) values.push_back(1 + 0.01 * ((i * 7) % 25));
  const Interval a = BootstrapMedian95(values, 1);
  const Interval b = BootstrapMedian95(values, 1);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_LT(a.low, Median(values));
  EXPECT_GT(a.high, Median(values));
  EXPECT_GE(a.low, 1.0);
  EXPECT_LE(a.high, 1.24);
  ExpectInterval(BootstrapMedian95(std::vector<double>(9, 2.5), 1), 2.5, 2.5);
}

// Order statistics bound the median of n = 20 at 95 % between the 6th and the
// 15th value (binomial); the bootstrap must land there, give or take one.
TEST(StatisticsTest, TheBootstrapAgreesWithTheOrderStatistics) {
  std::vector<double> values;
  for (int i = 1; i <= 20; ++i) values.push_back(i);
  const Interval interval = BootstrapMedian95(values, 7);
  EXPECT_NEAR(interval.low, 6, 1);
  EXPECT_NEAR(interval.high, 15, 1);
}

TEST(StatisticsTest, ClaimsNothingFromFewPairsNorFromSmallDifferences) {
  EXPECT_EQ(CompareRatios(std::vector<double>(19, 2.0), 1).claim,
            Claim::kTooFewPairs);
  EXPECT_EQ(CompareRatios(std::vector<double>(20, 2.0), 1).claim,
            Claim::kDifference);
  EXPECT_EQ(CompareRatios(std::vector<double>(20, 0.5), 1).claim,
            Claim::kDifference);
  EXPECT_EQ(CompareRatios(std::vector<double>(20, 1.04), 1).claim,
            Claim::kNoDifference);
  std::vector<double> noisy;
  for (int i = 0; i < 30; ++i) noisy.push_back(i % 2 == 0 ? 0.5 : 1.9);
  EXPECT_EQ(CompareRatios(noisy, 1).claim, Claim::kNoDifference);
}

}  // namespace
}  // namespace aio::eval
