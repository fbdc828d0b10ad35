// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_report.h"

#include <gtest/gtest.h>

namespace aio::cli {
namespace {

TEST(TimesTest, TheMiddleHalfStandsBesideTheMedian) {
  const Times even = TimesOf({8, 1, 3, 2, 5, 4, 7, 6});
  EXPECT_EQ(even.median, 4.5);
  EXPECT_EQ(even.low, 3);
  EXPECT_EQ(even.high, 6);
  const Times odd = TimesOf({9, 1, 5});
  EXPECT_EQ(odd.median, 5);
  EXPECT_EQ(odd.low, 1);
  EXPECT_EQ(odd.high, 9);
  EXPECT_EQ(TimesOf({2}).median, 2);
}

BenchReport Steps() {
  BenchReport report;
  report.benchmark = "decode";
  report.unit = "columns";
  report.read = 20e9;
  report.rows = {{1, {0.1, 0.09, 0.12}, 1e9, 1}, {8, {0.4, 0.4, 0.4}, 2e9, 8}};
  return report;
}

TEST(BenchReportTest, FiguresFollowFromSecondsAndBytes) {
  const auto json = BenchJson(Steps());
  EXPECT_DOUBLE_EQ(json.at("tokens_per_second").as_double(), 10);
  EXPECT_DOUBLE_EQ(json.at("gigabytes_per_second").as_double(), 10);
  EXPECT_DOUBLE_EQ(json.at("share_of_read_bandwidth").as_double(), 0.5);
  EXPECT_TRUE(json.at("logits_hash").is_null());
  const auto& wide = json.at("columns").at(1);
  EXPECT_EQ(wide.at("n"), 8);
  EXPECT_DOUBLE_EQ(wide.at("seconds").as_double(), 0.4);
  EXPECT_DOUBLE_EQ(wide.at("c").as_double(), 4);
  EXPECT_DOUBLE_EQ(wide.at("share_of_read_bandwidth").as_double(), 0.25);
}

TEST(BenchReportTest, TheHeadlineMayBeAnotherRow) {
  BenchReport report = Steps();
  report.headline = 1;
  report.logits_hash = 0xab;
  report.more["peak_bytes"] = 7;
  const auto json = BenchJson(report);
  EXPECT_EQ(json.at("n"), 8);
  EXPECT_DOUBLE_EQ(json.at("tokens_per_second").as_double(), 20);
  EXPECT_EQ(json.at("logits_hash"), "00000000000000ab");
  EXPECT_EQ(json.at("peak_bytes"), 7);
}

TEST(BenchReportTest, WithoutTokensThereIsNoRateOfThem) {
  BenchReport report = Steps();
  report.rows[0].tokens = 0;
  EXPECT_TRUE(BenchJson(report).at("tokens_per_second").is_null());
}

TEST(ProfileTest, TheLongestStageComesFirstWithItsShare) {
  EXPECT_EQ(PrintProfile({{"norms", 0.001}, {"matmul", 0.009}}),
            "stage      ms   share\n"
            "matmul  9.000  90.0 %\n"
            "norms   1.000  10.0 %\n");
}

}  // namespace
}  // namespace aio::cli
