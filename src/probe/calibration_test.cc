// SPDX-License-Identifier: Apache-2.0
#include "probe/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace aio::probe {
namespace {

using core::Label;

// Logits of a probe that is `sharpness` times too sure: labels are drawn from
// softmax(logits / sharpness).
struct Synthetic {
  std::vector<Logits> logits;
  std::vector<Label> labels;
};

Synthetic Draw(int prompts, double sharpness, uint64_t seed = 1) {
  Synthetic s;
  for (int i = 0; i < prompts; ++i) {
    Logits x;
    for (size_t k = 0; k < x.size(); ++k) {
      x[k] = 4 * RandomUnit(seed, i, k) * sharpness;
    }
    const Distribution p = Softmax(x, sharpness);
    double draw = RandomUnit(seed, i, 100);
    size_t label = 0;
    while (label + 1 < p.size() && draw >= p[label]) draw -= p[label++];
    s.logits.push_back(x);
    s.labels.push_back(static_cast<Label>(label));
  }
  return s;
}

std::vector<Distribution> At(const Synthetic& s, double temperature) {
  std::vector<Distribution> said;
  for (const Logits& x : s.logits) said.push_back(Softmax(x, temperature));
  return said;
}

TEST(CalibrationTest, TheFitRecoversTheTemperatureThatTheLabelsWereDrawnAt) {
  for (const double truth : {0.1, 0.5, 1.0, 3.0, 12.0}) {
    const Synthetic s = Draw(4000, truth);
    EXPECT_NEAR(FitTemperature(s.logits, s.labels) / truth, 1, 0.08) << truth;
  }
}

TEST(CalibrationTest, OfNothingTheTemperatureIsOne) {
  EXPECT_EQ(FitTemperature({}, {}), 1);
}

TEST(CalibrationTest, ProbabilitiesThatLabelsWereDrawnFromHaveNoError) {
  const Synthetic s = Draw(20000, 3);
  EXPECT_LT(ReliabilityOf(At(s, 3), s.labels).error, 0.02);
  EXPECT_GT(ReliabilityOf(At(s, 1), s.labels).error, 0.2);   // too sure
  EXPECT_GT(ReliabilityOf(At(s, 12), s.labels).error, 0.1);  // not sure enough
}

TEST(CalibrationTest, TheErrorIsTheWeightedGapOfTheBins) {
  // Three prompts said 0.9 of which two are right, one said 0.5 and is wrong.
  Distribution sure{0.9, 0.1}, half{0.5, 0.3, 0.2};
  const std::vector<Distribution> said = {sure, sure, sure, half};
  const std::vector<Label> labels = {Label::kCode, Label::kCode, Label::kMath,
                                     Label::kQa};
  const Reliability r = ReliabilityOf(said, labels);
  EXPECT_NEAR(r.error, (3 * (0.9 - 2.0 / 3) + 1 * 0.5) / 4, 1e-12);
  EXPECT_EQ(r.bins[9].prompts, 3);
  EXPECT_EQ(r.bins[5].prompts, 1);
  EXPECT_EQ(r.bins[5].right, 0);
}

TEST(CalibrationTest, CertaintyFallsIntoTheLastBin) {
  const std::vector<Distribution> said = {Distribution{1}};
  const std::vector<Label> labels = {Label::kCode};
  const Reliability r = ReliabilityOf(said, labels);
  EXPECT_EQ(r.bins[9].prompts, 1);
  EXPECT_EQ(r.error, 0);
}

TEST(CalibrationTest, NoPromptIsCalibratedWithItself) {
  // Fold 0 would like T = 10, fold 1 T = 0.2: each gets the other's.
  const Synthetic hot = Draw(3000, 10, 2), cold = Draw(3000, 0.2, 3);
  Synthetic both = hot;
  std::vector<int> folds(hot.logits.size(), 0);
  both.logits.insert(both.logits.end(), cold.logits.begin(), cold.logits.end());
  both.labels.insert(both.labels.end(), cold.labels.begin(), cold.labels.end());
  folds.resize(both.logits.size(), 1);
  const auto said = CrossCalibrate(both.logits, both.labels, folds);
  const double of_hot = FitTemperature(hot.logits, hot.labels);
  const double of_cold = FitTemperature(cold.logits, cold.labels);
  EXPECT_EQ(said.front(), Softmax(hot.logits.front(), of_cold));
  EXPECT_EQ(said.back(), Softmax(cold.logits.back(), of_hot));
}

TEST(CalibrationTest, CrossCalibrationMendsAProbeThatIsTooSure) {
  const Synthetic s = Draw(4000, 3);
  std::vector<int> folds;
  for (size_t i = 0; i < s.logits.size(); ++i) {
    folds.push_back(static_cast<int>(i % 5));
  }
  const auto said = CrossCalibrate(s.logits, s.labels, folds);
  EXPECT_LT(ReliabilityOf(said, s.labels).error, 0.04);
}

TEST(CalibrationTest, SoftmaxOfHugeLogitsIsADistribution) {
  const Distribution p = Softmax({3e38, -3e38}, 0.05);
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(p[1], 0);
}

}  // namespace
}  // namespace aio::probe
