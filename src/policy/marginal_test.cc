// SPDX-License-Identifier: Apache-2.0
#include "policy/marginal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "policy/policies.h"

namespace aio::policy {
namespace {

using core::Label;

std::shared_ptr<const Policy> Named(std::string_view kind,
                                    double quality_floor = 0.97) {
  Options o;
  o.variants = {{"small", 100}, {"large", 700}};
  o.quality_floor = quality_floor;
  auto made = Make(kind, o);
  EXPECT_TRUE(made) << made.error().message;
  return *made;
}

cost::Price PriceOf(double system, double own, double others) {
  cost::Price p;
  p.prefill = system;
  p.ttft = own;
  p.others = others;
  return p;
}

Candidate Of(std::string_view name, double quality, double system, double own,
             double others) {
  Candidate c;
  c.variant = name;
  c.bytes_per_token = name == "small" ? 100 : 700;
  c.estimate.context_tokens = 100;
  c.estimate.price = PriceOf(system, own, others);
  c.quality = quality;
  return c;
}

// Small is worse by 2 %, and by 10 % for code.
Input Two() {
  Input input;
  input.candidates = {Of("small", 0.49, 1, 2, 3), Of("large", 0.50, 2, 4, 1)};
  input.intent.probabilities = {};
  input.intent.probabilities[static_cast<size_t>(Label::kQa)] = 1;
  return input;
}

// Nobody who is as good takes less of the device, of the user and of the
// others.
TEST(MarginalTest, WhatItChoosesIsInTheParetoSet) {
  int chosen_small = 0, asleep_left = 0;
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    uint64_t draws = 0;
    const auto draw = [&] { return RandomUnit(seed, 1, draws++); };
    Input input;
    for (int i = 0; i < 5; ++i) {
      Candidate c = Of("small", 0.8 + 0.2 * draw(), draw(), draw(), draw());
      c.asleep = draw() < 0.3;
      input.candidates.push_back(std::move(c));
    }
    const Decision d = Named("marginal", 0.9)->Decide(input);
    ASSERT_GE(d.candidate, 0);
    const Candidate& mine = input.candidates[static_cast<size_t>(d.candidate)];
    ASSERT_TRUE(d.good[static_cast<size_t>(d.candidate)]);
    const cost::Price& p = *mine.estimate.price;
    for (size_t i = 0; i < input.candidates.size(); ++i) {
      const Candidate& other = input.candidates[i];
      const cost::Price& q = *other.estimate.price;
      // One asleep stands back, unless all are.
      if (other.asleep && !mine.asleep) continue;
      EXPECT_FALSE(d.good[i] && !other.asleep && mine.asleep);
      EXPECT_FALSE(d.good[i] && q.system() < p.system() && q.own() < p.own() &&
                   q.others < p.others)
          << seed;
    }
    chosen_small += d.candidate == 0;
    asleep_left += mine.asleep;
  }
  EXPECT_GT(chosen_small, 500);
  EXPECT_LT(asleep_left, 1000);
}

TEST(MarginalTest, OneAsleepIsTakenOnlyWhereNoOtherWillDo) {
  Input input = Two();
  input.candidates[0].asleep = true;
  Decision d = Named("marginal")->Decide(input);
  EXPECT_EQ(d.candidate, 1);
  EXPECT_EQ(d.why[0], "better left asleep");
  EXPECT_EQ(d.good, (std::vector<bool>{true, true}));
  EXPECT_EQ(Named("marginal:own+system+others")->Decide(input).candidate, 0)
      << "the ablation without the plan";
  input.candidates[1].quality = 0.4;
  d = Named("marginal")->Decide(input);
  EXPECT_EQ(d.candidate, 0);
  EXPECT_EQ(d.why[1], "not good enough");
}

// Large again without its thoughts: 1 % worse, and half as dear as with them.
TEST(MarginalTest, ChoosesWhetherToThink) {
  Input input = Two();
  input.candidates[0].quality = 0.4;
  input.candidates[1].thinking = core::Thinking::kOn;
  input.candidates.push_back(Of("large", 0.495, 1, 2, 0.5));
  input.candidates[2].thinking = core::Thinking::kOff;
  input.candidates[2].usual = false;
  const Decision d = Named("marginal")->Decide(input);
  EXPECT_EQ(d.candidate, 2) << "3.5 s against 7, and 0.99 of the best";
  EXPECT_EQ(d.reason,
            "quality 0.495 of 0.500, costs 3.500 s (device 1.000, own 2.000, "
            "others 0.500), thinking off");
  input.candidates[2].quality = 0.48;
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1) << "0.96 of it";
}

TEST(MarginalTest, TakesTheCheapestOfThoseGoodEnough) {
  Input input = Two();
  const Decision d = Named("marginal")->Decide(input);
  EXPECT_EQ(d.candidate, 0) << "6 s against 7";
  EXPECT_FALSE(d.ask);
  EXPECT_EQ(d.reason,
            "quality 0.490 of 0.500, costs 6.000 s (device 1.000, own 2.000, "
            "others 3.000)");
  input.candidates[0].quality = 0.48;  // 0.96 of the best
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1);
  EXPECT_EQ(Named("marginal", 0.9)->Decide(input).candidate, 0);
  input.quality_floor = 0.95;  // the request's own goes first
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 0);
  input.quality_floor = 0.99;
  EXPECT_EQ(Named("marginal", 0.9)->Decide(input).candidate, 1);
}

TEST(MarginalTest, ObjectivesWeighTheSameSeconds) {
  const Input input = Two();
  EXPECT_EQ(Named("marginal:throughput")->Decide(input).candidate, 0);
  EXPECT_EQ(Named("marginal:own")->Decide(input).candidate, 0);
  EXPECT_EQ(Named("marginal:latency")->Decide(input).candidate, 0)
      << "5 s each: the first of equals";
  Input other = input;
  other.candidates[0].estimate.price->others = 3.1;
  EXPECT_EQ(Named("marginal:latency")->Decide(other).candidate, 1);
  EXPECT_EQ(Named("marginal")->Decide(other).candidate, 0);
}

// Small takes 1 s of its device, 2 of the user and 3 of others; large 2, 4, 1.
TEST(MarginalTest, ADevicesPriceIsOfItsOwnSecondsOnly) {
  Input input = Two();
  input.candidates[0].device_price = 1.9;
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 0) << "6.9 s against 7";
  EXPECT_EQ(Named("marginal")->Decide(input).reason,
            "quality 0.490 of 0.500, costs 6.900 s (device 1.000 at 1.900, own "
            "2.000, others 3.000)");
  input.candidates[0].device_price = 2.1;
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1) << "7.1 s";
  EXPECT_EQ(Named("marginal:throughput")->Decide(input).candidate, 1);
  EXPECT_EQ(Named("marginal:own")->Decide(input).candidate, 0);
  input.candidates[0].estimate.price->others = 3.1;
  input.candidates[0].device_price = 0.01;
  EXPECT_EQ(Named("marginal:latency")->Decide(input).candidate, 1)
      << "no device is dear or cheap to whom its seconds are nothing";
}

TEST(MarginalTest, NeverTakesTheUnfit) {
  Input input = Two();
  input.candidates[0].unfit = "unhealthy";
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1);
  input.candidates[1].unfit = "unhealthy";
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, -1);
}

// What is unfit sets no standard either.
TEST(MarginalTest, TheBestIsOfThoseThatCanAnswer) {
  Input input = Two();
  input.candidates.push_back(Of("huge", 0.9, 9, 9, 9));
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 2);
  input.candidates[2].unfit = "context 5120 > 512";
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 0);
}

TEST(MarginalTest, WithoutATableItIsThePapersRuleAndSaysSo) {
  Input input = Two();
  for (Candidate& c : input.candidates) c.quality = std::nullopt;
  const Decision paper = Named("paper")->Decide(input);
  const Decision d = Named("marginal")->Decide(input);
  EXPECT_EQ(d.candidate, paper.candidate);
  EXPECT_EQ(d.reason, "no_quality_table: " + paper.reason);
}

TEST(MarginalTest, AVariantOfUnknownStepsCostsWhatRequestsTook) {
  Input input = Two();
  input.candidates[0].estimate.price = std::nullopt;
  input.candidates[0].estimate.seconds = 4;  // of the device, and own
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1) << "8 s against 7";
  input.candidates[0].estimate.seconds = 3;
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 0);
  input.candidates[0].device_price = 1.4;
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1) << "7.2 s against 7";
}

// Half code, where small is good enough and saves 6 s of 7; half questions,
// where it is not. Not knowing, large answers.
Input Unsure() {
  Input input = Two();
  input.candidates[0] = Of("small", 0.4, 0.5, 0.5, 0);
  const auto code = static_cast<size_t>(Label::kCode);
  const auto qa = static_cast<size_t>(Label::kQa);
  input.candidates[0].quality_of[code] = 0.5;
  input.candidates[0].quality_of[qa] = 0.3;
  input.candidates[1].quality_of[code] = 0.5;
  input.candidates[1].quality_of[qa] = 0.5;
  input.intent.probabilities[code] = input.intent.probabilities[qa] = 0.5;
  input.can_ask = true;
  input.ask = AskPrice{.price = PriceOf(1, 1, 0.9), .candidate = 0};
  return input;
}

TEST(MarginalTest, AsksWhereKnowingSavesMoreThanAsking) {
  Input input = Unsure();
  const Decision d = Named("marginal")->Decide(input);
  EXPECT_TRUE(d.ask) << "saves 0.5 * 6 s for 2.9";
  EXPECT_EQ(d.candidate, -1);
  input.ask->price.others = 1.1;
  EXPECT_FALSE(Named("marginal")->Decide(input).ask);
  EXPECT_EQ(Named("marginal")->Decide(input).candidate, 1);
}

TEST(MarginalTest, AskingCostsWhatItsDeviceIsWorth) {
  Input input = Unsure();
  // The other one, so that only asking gets dearer.
  input.ask->candidate = 2;
  input.candidates.push_back(input.candidates[0]);
  input.candidates[2].unfit = "only asked";
  EXPECT_TRUE(Named("marginal")->Decide(input).ask) << "2.9 s for 3";
  input.candidates[2].device_price = 1.2;
  EXPECT_FALSE(Named("marginal")->Decide(input).ask) << "3.1 s";
  for (const int nobody : {-1, 3}) {  // as a log may have it
    input.ask->candidate = nobody;
    EXPECT_TRUE(Named("marginal")->Decide(input).ask);
  }
}

TEST(MarginalTest, DoesNotAskWhatItCannotOrNeedNotKnow) {
  Input input = Unsure();
  input.can_ask = false;
  EXPECT_FALSE(Named("marginal")->Decide(input).ask);
  input.can_ask = true;
  input.ask = std::nullopt;
  EXPECT_FALSE(Named("marginal")->Decide(input).ask);
  input = Unsure();
  // Good enough for both, and cheaper: no label changes it.
  input.candidates[0].quality = 0.5;
  input.candidates[0].quality_of[static_cast<size_t>(Label::kQa)] = 0.5;
  EXPECT_FALSE(Named("marginal")->Decide(input).ask);
}

TEST(MarginalTest, KindsAndKeysAreChecked) {
  Options o;
  o.variants = {{"small", 100}, {"large", 700}};
  EXPECT_EQ(Make("marginal:speed", o).error().param, "policy.objective");
  o.objective = "speed";
  EXPECT_EQ(Make("marginal", o).error().param, "policy.objective");
  o.objective = "latency";
  o.quality_floor = 1.5;
  EXPECT_EQ(Make("marginal", o).error().param, "policy.quality_floor");
}

// ---- Replicas ---------------------------------------------------------------

// Three replicas of one variant; the second is busy, and joining it costs its
// device next to nothing.
Input Replicas(double random) {
  Input input;
  input.random = random;
  for (const char* replica : {"a", "b", "c"}) {
    Candidate c;
    c.variant = "large";
    c.replica = replica;
    c.quality = 0.8;
    cost::Price price;
    const bool busy = std::string_view(replica) == "b";
    price.steps = 10;
    price.step = busy ? 0.001 : 0.03;
    price.step_own = busy ? 0.033 : 0.03;
    price.ttft = 0.1;
    c.estimate.price = price;
    input.candidates.push_back(std::move(c));
  }
  return input;
}

TEST(MarginalReplicaTest, GoesWhereItWaitsLeastNotWhereTheDeviceGivesLeast) {
  Options o;
  o.variants = {{"large", 700}};
  const auto made = Make("marginal", o);
  ASSERT_TRUE(made);
  std::map<std::string_view, int> taken;
  for (int i = 0; i < 1000; ++i) {
    const Input input = Replicas((i + 0.5) / 1000);
    const Decision decision = (*made)->Decide(input);
    ASSERT_GE(decision.candidate, 0);
    ++taken[input.candidates[decision.candidate].replica];
  }
  EXPECT_NEAR(taken["a"], 500, 20);
  EXPECT_NEAR(taken["c"], 500, 20);
  // One in fifty goes to any, so that a slow one is seen to be well again.
  EXPECT_GE(taken["b"], 5);
  EXPECT_LE(taken["b"], 8);
}

}  // namespace
}  // namespace aio::policy
