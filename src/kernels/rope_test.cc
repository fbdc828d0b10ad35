// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/reference.h"

namespace aio::kernels {
namespace {

void ExpectMatchesReference(const RopeParameters& parameters, int position) {
  const RopeTable table = MakeRopeTable(parameters);
  const auto dim = static_cast<size_t>(parameters.dim);
  std::vector<float> x(2 * dim), cos(dim / 2), sin(dim / 2);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i % 7) - 3.0f;
  }
  reference::Vector want(x.begin(), x.end());
  reference::Rope(table, position, want.data());
  reference::Rope(table, position, want.data() + dim);
  RopeAngles(table, position, cos.data(), sin.data());
  ApplyRope(table.style, table.dim(), 2, cos.data(), sin.data(), x.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], want[i], 4e-6);
}

TEST(RopeTest, TurnsPairsByAngles) {
  for (const RopeStyle style : {RopeStyle::kNorm, RopeStyle::kNeox}) {
    for (const int dim : {2, 8, 64, 128}) {
      for (const int position : {0, 1, 100, 32767}) {
        RopeParameters p;
        p.style = style;
        p.dim = dim;
        ExpectMatchesReference(p, position);
      }
    }
  }
}

TEST(RopeTest, PositionZeroChangesNothing) {
  RopeParameters p;
  p.dim = 8;
  float cos[4], sin[4], x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  RopeAngles(MakeRopeTable(p), 0, cos, sin);
  ApplyRope(RopeStyle::kNeox, 8, 1, cos, sin, x);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(x[i], i + 1);
}

TEST(RopeTest, FrequenciesAreThoseOfThePaper) {
  RopeParameters p;
  p.dim = 4;
  p.base = 10000;
  const RopeTable table = MakeRopeTable(p);
  EXPECT_DOUBLE_EQ(table.frequency[0], 1);
  EXPECT_DOUBLE_EQ(table.frequency[1], 0.01);
  EXPECT_DOUBLE_EQ(table.magnitude, 1);
}

TEST(RopeTest, LinearScalingAndDivisorsDivideTheFrequency) {
  RopeParameters p;
  p.dim = 4;
  p.scaling = RopeScaling::kLinear;
  p.factor = 4;
  p.frequency_divisors = {1, 8};
  const RopeTable table = MakeRopeTable(p);
  EXPECT_DOUBLE_EQ(table.frequency[0], 0.25);
  EXPECT_DOUBLE_EQ(table.frequency[1], 0.01 / 32);
}

// Qwen2.5's published long-context setting, worked by hand from the paper:
// pair(r) = 128 * ln(32768 / (r * 2 pi)) / (2 ln 1e6) is 23.6 at 32 rotations
// and 39.6 at one, so pairs up to 23 keep their frequency, from 40 on they are
// divided by 4.
TEST(RopeTest, YarnKeepsFastWavesAndStretchesSlowOnes) {
  RopeParameters p;
  p.dim = 128;
  p.base = 1e6;
  p.scaling = RopeScaling::kYarn;
  p.factor = 4;
  p.context_original = 32768;
  const RopeTable table = MakeRopeTable(p);
  const auto plain = [](int i) { return std::pow(1e6, -i / 64.0); };
  for (int i = 0; i <= 23; ++i) {
    EXPECT_DOUBLE_EQ(table.frequency[static_cast<size_t>(i)], plain(i)) << i;
  }
  for (int i = 40; i < 64; ++i) {
    EXPECT_DOUBLE_EQ(table.frequency[static_cast<size_t>(i)], plain(i) / 4);
  }
  const double keep = 1 - (30 - 23) / 17.0;
  EXPECT_NEAR(table.frequency[30], plain(30) * (keep + (1 - keep) / 4), 1e-12);
  EXPECT_NEAR(table.magnitude, 1 + 0.1 * std::log(4), 1e-12);
}

}  // namespace
}  // namespace aio::kernels
