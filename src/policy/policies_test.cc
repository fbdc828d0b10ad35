// SPDX-License-Identifier: Apache-2.0
#include "policy/policies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "policy/paper.h"

namespace aio::policy {
namespace {

using core::Label;

Options TwoVariants() {
  Options o;
  o.variants = {{"small", 100}, {"large", 700}};
  return o;
}

std::shared_ptr<const Policy> Named(std::string_view kind,
                                    const Options& options = TwoVariants()) {
  auto made = Make(kind, options);
  EXPECT_TRUE(made) << made.error().message;
  return *made;
}

Candidate Of(std::string_view name, int64_t bytes, int context = 100) {
  Candidate c;
  c.variant = name;
  c.bytes_per_token = bytes;
  c.estimate.context_tokens = context;
  return c;
}

Input Two() {
  Input input;
  input.candidates = {Of("small", 100), Of("large", 700)};
  return input;
}

core::Intent Split(double code, double math, double qa = 0, double chat = 0) {
  core::Intent intent;
  intent.probabilities = {code, math, qa, chat, 0, 0, 0, 0};
  intent.probabilities[7] = 1 - code - math - qa - chat;
  intent.source = core::IntentSource::kText;
  return intent;
}

// ---- Making -----------------------------------------------------------------

TEST(MakeTest, KnowsItsKinds) {
  EXPECT_EQ(Named("paper")->name(), "paper");
  EXPECT_EQ(Named("random")->name(), "random");
  EXPECT_EQ(Named("static:large")->name(), "static:large");
}

TEST(MakeTest, NamesTheKeyAndTheNearestVariant) {
  const auto typo = Make("static:larg", TwoVariants());
  ASSERT_FALSE(typo);
  EXPECT_EQ(typo.error().param, "policy.kind");
  EXPECT_NE(typo.error().message.find("large"), std::string::npos);
  Options o = TwoVariants();
  o.small = "smal";
  EXPECT_EQ(Make("paper", o).error().param, "policy.small");
  EXPECT_EQ(Make("clever", TwoVariants()).error().param, "policy.kind");
  EXPECT_EQ(Make("static:", TwoVariants()).error().param, "policy.kind");
  EXPECT_EQ(Make("paper", Options{}).error().param, "variants");
}

TEST(MakeTest, RefusesLimitsThatMeanNothing) {
  Options o = TwoVariants();
  o.entropy_max = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Make("paper", o).error().param, "policy.entropy_max");
  o = TwoVariants();
  o.context_tokens_max = -1;
  EXPECT_EQ(Make("paper", o).error().param, "policy.context_tokens_max");
}

TEST(MakeTest, FindsSmallAndLargeBySizeWhateverTheOrder) {
  Options o;
  o.variants = {{"b", 700}, {"a", 100}, {"c", 300}};
  Input input;
  input.candidates = {Of("b", 700), Of("a", 100), Of("c", 300)};
  const auto paper = Named("paper", o);
  input.intent = Split(1, 0);
  EXPECT_EQ(paper->Decide(input).candidate, 1);
  input.intent = Split(0, 1);
  EXPECT_EQ(paper->Decide(input).candidate, 0);
}

TEST(EndsTest, AreTheNamedElseTheFirstOfTheSmallestAndOfTheLargest) {
  Options o;
  o.variants = {{"b", 700}, {"a", 100}, {"b2", 700}, {"a2", 100}, {"c", 300}};
  const auto ends = [&] {
    const auto found = EndsOf(o);
    return found ? found->small + " " + found->large : found.error().message;
  };
  EXPECT_EQ(ends(), "a b");
  o.small = "c";
  EXPECT_EQ(ends(), "c b");
  o.large = "a2";
  EXPECT_EQ(ends(), "c a2");
  o.large = "b3";
  EXPECT_EQ(ends(), "policy.large: there is no variant 'b3'; nearest: b");
  o = {};
  EXPECT_EQ(EndsOf(o).error().param, "variants");
  o.variants = {{"upstream", 0}};
  EXPECT_EQ(ends(), "upstream upstream");
  o.variants.push_back({"a", 100});
  EXPECT_EQ(EndsOf(o).error().param, "policy.small");
  o.small = "upstream";
  EXPECT_EQ(EndsOf(o).error().param, "policy.large");
}

TEST(MakeTest, AsksForNamesWhereASizeIsUnknown) {
  Options o = TwoVariants();
  o.variants.push_back({"upstream", 0});
  EXPECT_EQ(Make("paper", o).error().param, "policy.small");
  o.small = "small";
  EXPECT_EQ(Make("paper", o).error().param, "policy.large");
  o.large = "upstream";
  EXPECT_TRUE(Make("paper", o));
  EXPECT_TRUE(Make("random", o));
  Options one;
  one.variants = {{"upstream", 0}};
  EXPECT_TRUE(Make("paper", one));
}

// ---- paper ------------------------------------------------------------------

TEST(PaperTest, CertainCodeOfShortContextGoesSmall) {
  Input input = Two();
  input.intent = Split(0.95, 0.02);
  const Decision d = Named("paper")->Decide(input);
  EXPECT_EQ(d.candidate, 0);
  EXPECT_EQ(d.strategy, core::Strategy::kPlain);
  EXPECT_EQ(d.reason, "code, entropy 0.232 <= 0.450");
  EXPECT_EQ(d.why[0], d.reason);
}

TEST(PaperTest, EverythingElseThatIsCertainGoesLarge) {
  Input input = Two();
  input.can_ask = true;
  for (const core::Intent& intent :
       {Split(0.01, 0.98), Split(0.01, 0.01, 0.98), Split(0, 0, 0.5, 0.5)}) {
    input.intent = intent;
    const Decision d = Named("paper")->Decide(input);
    EXPECT_FALSE(d.ask);
    EXPECT_EQ(d.candidate, 1) << d.reason;
  }
}

TEST(PaperTest, EntropyIsTakenOverThreeLabelsNotEight) {
  Input input = Two();
  input.can_ask = true;
  input.intent = Split(0.01, 0.01, 0.5, 0.2);  // four ways in doubt: not code
  EXPECT_GT(input.intent.Entropy(), 0.45);
  const Decision d = Named("paper")->Decide(input);
  EXPECT_FALSE(d.ask);
  EXPECT_EQ(d.candidate, 1);
}

TEST(PaperTest, TheThresholdItselfIsCertain) {
  Options o = TwoVariants();
  const core::Intent half = Split(0.5, 0.5);
  Input input = Two();
  input.intent = half;
  o.entropy_max = std::log(2.0);
  EXPECT_EQ(Named("paper", o)->Decide(input).candidate, 0);
  o.entropy_max = std::nextafter(std::log(2.0), 0);
  EXPECT_EQ(Named("paper", o)->Decide(input).candidate, 1);
}

TEST(PaperTest, UncertainGoesToTheBest) {
  Input input = Two();
  input.intent = Split(0.6, 0.2);
  const Decision d = Named("paper")->Decide(input);
  EXPECT_FALSE(d.ask);
  EXPECT_EQ(d.candidate, 1);
  EXPECT_EQ(d.reason.rfind("uncertain", 0), 0u) << d.reason;
}

TEST(PaperTest, LongContextGoesLargeAndTheLimitItselfIsShort) {
  Input input = Two();
  input.intent = Split(1, 0);
  input.candidates[0].estimate.context_tokens = 2048;
  EXPECT_EQ(Named("paper")->Decide(input).candidate, 0);
  input.candidates[0].estimate.context_tokens = 2049;
  input.can_ask = true;
  const Decision d = Named("paper")->Decide(input);
  EXPECT_EQ(d.candidate, 1);
  EXPECT_EQ(d.reason, "context 2049 > 2048");
}

TEST(PaperTest, AsksOnlyWhereTheAnswerCouldChangeTheChoice) {
  const auto paper = Named("paper");
  Input doubt = Two();
  doubt.intent = Split(0.6, 0.2);
  doubt.can_ask = true;
  const Decision asks = paper->Decide(doubt);
  EXPECT_TRUE(asks.ask);
  EXPECT_EQ(asks.candidate, -1);
  EXPECT_EQ(asks.why.size(), 2u);

  Input cannot = doubt;
  cannot.can_ask = false;
  EXPECT_FALSE(paper->Decide(cannot).ask);
  Input clear = doubt;
  clear.intent = Split(0.98, 0.01);
  EXPECT_FALSE(paper->Decide(clear).ask);
  Input no_small = doubt;
  no_small.candidates[0].unfit = "unhealthy";
  EXPECT_FALSE(paper->Decide(no_small).ask);
  EXPECT_EQ(paper->Decide(no_small).candidate, 1);
  Input no_large = doubt;
  no_large.candidates[1].unfit = "unhealthy";
  EXPECT_FALSE(paper->Decide(no_large).ask);
  EXPECT_EQ(paper->Decide(no_large).candidate, 0);
  Input longer = doubt;
  longer.candidates[0].estimate.context_tokens = 4000;
  EXPECT_FALSE(paper->Decide(longer).ask);
}

TEST(PaperTest, NobodyAskedIsUncertain) {
  Input input = Two();
  EXPECT_EQ(Named("paper")->Decide(input).candidate, 1);
  input.can_ask = true;
  EXPECT_TRUE(Named("paper")->Decide(input).ask);
}

TEST(PaperTest, WhatIsNoProbabilityIsUncertain) {
  Input input = Two();
  input.intent.probabilities.fill(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(Named("paper")->Decide(input).candidate, 1);
}

TEST(PaperTest, AnUnfitChoiceIsReplacedAndTheReasonSaysSo) {
  Input input = Two();
  input.intent = Split(0, 1);
  input.candidates[1].unfit = "context 5120 > 512";
  const Decision d = Named("paper")->Decide(input);
  EXPECT_EQ(d.candidate, 0);
  EXPECT_NE(d.reason.find("large cannot: context 5120 > 512"),
            std::string::npos)
      << d.reason;
  EXPECT_EQ(d.why[1], "context 5120 > 512");
}

TEST(PaperTest, WithOneVariantItIsTheChoice) {
  Options o;
  o.variants = {{"only", 100}};
  Input input;
  input.candidates = {Of("only", 100)};
  input.can_ask = true;
  const Decision d = Named("paper", o)->Decide(input);
  EXPECT_FALSE(d.ask);
  EXPECT_EQ(d.candidate, 0);
}

TEST(PaperTest, ACandidateTheRuleDoesNotNameStandsInLast) {
  Options o = TwoVariants();
  o.variants.push_back({"middle", 300});
  Input input = Two();
  input.candidates.push_back(Of("middle", 300));
  input.intent = Split(0, 1);
  const auto paper = Named("paper", o);
  EXPECT_EQ(paper->Decide(input).candidate, 1);
  input.candidates[1].unfit = "unhealthy";
  EXPECT_EQ(paper->Decide(input).candidate, 2);  // the largest that is left
}

// ---- static and random ------------------------------------------------------

TEST(StaticTest, TakesItsVariantAndAnotherOnlyIfThatIsUnfit) {
  Input input = Two();
  input.intent = Split(0, 1);
  const auto small = Named("static:small");
  EXPECT_EQ(small->Decide(input).candidate, 0);
  input.candidates[0].unfit = "unhealthy";
  const Decision d = small->Decide(input);
  EXPECT_EQ(d.candidate, 1);
  EXPECT_EQ(d.reason, "static:small; small cannot: unhealthy");
}

TEST(RandomTest, DrawsEvenlyAmongTheFit) {
  Input input = Two();
  input.candidates.push_back(Of("third", 1));
  input.candidates[1].unfit = "unhealthy";
  const auto random = Named("random");
  int count[3] = {};
  for (int i = 0; i < 1000; ++i) {
    input.random = i / 1000.0;
    ++count[random->Decide(input).candidate];
  }
  EXPECT_EQ(count[0], 500);
  EXPECT_EQ(count[1], 0);
  EXPECT_EQ(count[2], 500);
}

TEST(RandomTest, StaysInRangeAtTheEnds) {
  Input input = Two();
  for (const double r : {-1.0, 0.0, std::nextafter(1.0, 0.0), 1.0, 7.0,
                         std::numeric_limits<double>::quiet_NaN()}) {
    input.random = r;
    const int chosen = Named("random")->Decide(input).candidate;
    EXPECT_TRUE(chosen == 0 || chosen == 1) << r;
  }
}

// ---- Arms -------------------------------------------------------------------

// Each variant twice, first as it answers unless told.
Input TwiceTwo() {
  Input input;
  for (const Candidate& c : Two().candidates) {
    input.candidates.insert(input.candidates.end(), 2, c);
    input.candidates.back().usual = false;
  }
  return input;
}

TEST(ArmsTest, PoliciesThatDoNotWeighThemTakeTheUsualOne) {
  Input input = TwiceTwo();
  input.intent = Split(0, 1);
  EXPECT_EQ(Named("paper")->Decide(input).candidate, 2);
  EXPECT_EQ(Named("static:large")->Decide(input).candidate, 2);
  for (int i = 0; i < 100; ++i) {
    input.random = i / 100.0;
    EXPECT_EQ(Named("random")->Decide(input).candidate, i < 50 ? 0 : 2);
  }
}

TEST(ArmsTest, StandInOnlyWhereNoUsualOneIsFit) {
  Input input = TwiceTwo();
  input.intent = Split(0, 1);
  input.candidates[2].unfit = "no room";
  EXPECT_EQ(Named("static:large")->Decide(input).candidate, 0);
  input.candidates[0].unfit = "no room";
  EXPECT_EQ(Named("static:large")->Decide(input).candidate, 3);
  EXPECT_EQ(Named("random")->Decide(input).candidate, 3);
}

// ---- What holds for all of them ---------------------------------------------

Input Arbitrary(uint64_t seed) {
  uint64_t at = 0;
  const auto unit = [&] { return RandomUnit(seed, 7, at++); };
  Input input;
  double sum = 0;
  for (double& p : input.intent.probabilities) {
    p = std::pow(unit(), 1 + 8 * unit());
    sum += p;
  }
  for (double& p : input.intent.probabilities) p /= sum;
  input.can_ask = unit() < 0.5;
  input.random = unit();
  constexpr std::string_view kNames[] = {"small", "large", "x", "y"};
  for (const std::string_view name : kNames) {
    if (unit() < 0.2) continue;  // may be absent
    Candidate c = Of(name, static_cast<int64_t>(unit() * 1000),
                     static_cast<int>(unit() * 4096));
    if (unit() < 0.3) c.unfit = "unfit";
    c.usual = unit() < 0.8;
    input.candidates.push_back(c);
  }
  return input;
}

class EveryPolicy : public testing::TestWithParam<const char*> {};

TEST_P(EveryPolicy, NeverChoosesAnUnfitCandidateAndSaysWhyOfEach) {
  const auto policy = Named(GetParam());
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    const Input input = Arbitrary(seed);
    const Decision d = policy->Decide(input);
    bool any = false;
    for (const Candidate& c : input.candidates) any |= c.unfit.empty();
    ASSERT_EQ(d.why.size(), input.candidates.size());
    ASSERT_FALSE(d.reason.empty());
    if (d.ask) {
      ASSERT_TRUE(input.can_ask);
      ASSERT_EQ(d.candidate, -1);
      ASSERT_TRUE(any);
      continue;
    }
    ASSERT_EQ(d.candidate >= 0, any) << seed;
    if (!any) continue;
    ASSERT_LT(d.candidate, static_cast<int>(input.candidates.size()));
    ASSERT_EQ(input.candidates[d.candidate].unfit, "") << seed;
    for (const std::string& why : d.why) ASSERT_FALSE(why.empty());
  }
}

TEST_P(EveryPolicy, TheSameInputGivesTheSameDecision) {
  const auto policy = Named(GetParam()), twin = Named(GetParam());
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const Input input = Arbitrary(seed);
    const Decision a = policy->Decide(input), b = twin->Decide(input);
    ASSERT_EQ(a.ask, b.ask);
    ASSERT_EQ(a.candidate, b.candidate);
    ASSERT_EQ(a.reason, b.reason);
    ASSERT_EQ(a.why, b.why);
  }
}

TEST_P(EveryPolicy, AskingTwiceIsImpossible) {
  const auto policy = Named(GetParam());
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Input input = Arbitrary(seed);
    input.can_ask = false;
    ASSERT_FALSE(policy->Decide(input).ask);
  }
}

TEST_P(EveryPolicy, ReasonsAreOnePrintableLine) {
  const auto policy = Named(GetParam());
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    for (const char c : policy->Decide(Arbitrary(seed)).reason) {
      ASSERT_TRUE(c >= ' ' && c <= '~');
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPolicy,
                         testing::Values("paper", "random", "static:small",
                                         "static:large"));

}  // namespace
}  // namespace aio::policy
