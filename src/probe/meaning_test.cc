// SPDX-License-Identifier: Apache-2.0
#include "probe/meaning.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace aio::probe {
namespace {

using core::Label;

constexpr auto kQa = static_cast<size_t>(Label::kQa);
constexpr auto kExtract = static_cast<size_t>(Label::kExtract);
constexpr auto kCreative = static_cast<size_t>(Label::kCreative);

// That surely, and the rest evenly.
Distribution Say(Label label, double sure) {
  Distribution p;
  p.fill((1 - sure) / (core::kLabels - 1));
  p[static_cast<size_t>(label)] = sure;
  return p;
}

struct Prompts {
  std::vector<Distribution> said;
  std::vector<Label> labels;
  std::vector<int> folds;

  void Add(int count, Label is, const Distribution& p) {
    for (; count > 0; --count) {
      said.push_back(p);
      labels.push_back(is);
      folds.push_back(static_cast<int>(folds.size()) % 5);
    }
  }
  MeaningFit Fit() const { return CrossFitMeaning(said, labels, folds); }
};

double Sum(const Distribution& p) {
  double sum = 0;
  for (const double x : p) sum += x;
  return sum;
}

// It takes 6 in 10 prompts to extract for questions, but is less sure of them.
Prompts Confused() {
  Prompts p;
  p.Add(100, Label::kQa, Say(Label::kQa, 0.95));
  p.Add(60, Label::kExtract, Say(Label::kQa, 0.6));
  p.Add(40, Label::kExtract, Say(Label::kExtract, 0.9));
  return p;
}

TEST(MeaningTest, TellsWhatIsSaidSurelyFromWhatIsNot) {
  const Prompts p = Confused();
  const MeaningFit fit = p.Fit();
  EXPECT_TRUE(fit.helps);
  EXPECT_NEAR(fit.right_plain, 0.7, 1e-12);
  EXPECT_EQ(fit.right, 1);
  EXPECT_LT(fit.loss, 0.5 * fit.loss_plain);
  EXPECT_GT(Meant(fit.meaning, Say(Label::kQa, 0.95))[kQa], 0.8);
  EXPECT_GT(Meant(fit.meaning, Say(Label::kQa, 0.6))[kExtract], 0.55);
  EXPECT_GT(Meant(fit.meaning, Say(Label::kExtract, 0.9))[kExtract], 0.8);
}

// The same words for either: what is left is how often it is which.
TEST(MeaningTest, WhereNothingTellsThemApartItSaysHowOften) {
  Prompts p;
  p.Add(150, Label::kQa, Say(Label::kQa, 0.9));
  p.Add(50, Label::kExtract, Say(Label::kQa, 0.9));
  const core::Meaning meaning = p.Fit().meaning;
  const Distribution meant = Meant(meaning, p.said.front());
  // But for what the labels that no prompt has keep, 0.1 * 6 / 7, and the pull
  // towards what it says.
  EXPECT_NEAR(meant[kQa], 0.75 * (0.9 + 0.1 / 7), 0.02);
  EXPECT_NEAR(meant[kExtract], 0.25 * (0.9 + 0.1 / 7), 0.02);
  EXPECT_NEAR(Sum(meant), 1, 1e-12);
}

TEST(MeaningTest, NothingIsKnownOfLabelsThatNoPromptHas) {
  Prompts p = Confused();
  p.Add(100, Label::kQa, Say(Label::kCreative, 0.9));
  const core::Meaning meaning = p.Fit().meaning;
  EXPECT_FALSE(meaning.known[kCreative]);
  const Distribution meant = Meant(meaning, Say(Label::kCreative, 0.9));
  EXPECT_NEAR(meant[kCreative], 0.9, 1e-12);
  EXPECT_NEAR(Sum(meant), 1, 1e-12);
  // Nor of any, before there are prompts.
  const Distribution said = Say(Label::kQa, 0.7);
  EXPECT_EQ(Meant(core::Meaning(), said), said);
  EXPECT_EQ(Meant(FitMeaning({}, {}), said), said);
}

// A zero has no logarithm, and a label may have all of it.
TEST(MeaningTest, WhatIsSaidForCertainStaysADistribution) {
  const core::Meaning meaning = Confused().Fit().meaning;
  for (const Label label : {Label::kQa, Label::kExtract, Label::kCreative}) {
    const Distribution meant = Meant(meaning, Say(label, 1));
    EXPECT_NEAR(Sum(meant), 1, 1e-12);
    for (const double x : meant) EXPECT_GE(x, 0);
  }
}

// Judged on prompts that it was not fitted on: noise teaches nothing, and a
// probe that is right needs nobody.
TEST(MeaningTest, IsNoHelpWhereThereIsNothingToLearn) {
  Prompts noise;
  for (uint64_t i = 0; i < 40; ++i) {
    Distribution said;
    for (size_t k = 0; k < said.size(); ++k) said[k] = RandomUnit(5, i, k);
    const double sum = Sum(said);
    for (double& x : said) x /= sum;
    double draw = RandomUnit(6, i, 0);
    size_t label = 0;
    while (label + 1 < said.size() && draw >= said[label])
      draw -= said[label++];
    noise.Add(1, static_cast<Label>(label), said);
  }
  EXPECT_FALSE(noise.Fit().helps);
  EXPECT_FALSE(CrossFitMeaning({}, {}, {}).helps);
}

}  // namespace
}  // namespace aio::probe
