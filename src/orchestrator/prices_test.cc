// SPDX-License-Identifier: Apache-2.0
//
// What requests under way do to the price of the next.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <string>

#include "orchestrator/decision_json.h"
#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

// 9 ms and 1 ms a column, times `slower`.
ModelCost Linear(double slower) {
  ModelCost cost;
  cost.steps.table.columns = {1, 512};
  cost.steps.table.seconds = {0.010 * slower, 0.521 * slower};
  cost.steps.table.prefill_seconds_per_token = 0.001 * slower;
  return cost;
}

class PricesTest : public OrchestratorTest {
 protected:
  // Equally good.
  void Know(const std::string& variant) {
    for (auto& quality : parts_.quality[variant]) {
      quality = core::Quality{.value = 0.5};
    }
  }
  void Use(const std::string& kind) {
    policy::Options o;
    for (const auto& v : parts_.variants) {
      o.variants.push_back({v.name, v.bytes_per_token});
      Know(v.name);
    }
    parts_.policy = *policy::Make(kind, o);
    orchestrator_.emplace(parts_, options_);
  }
  const cost::Price& PriceOf(const Explanation& e, size_t candidate) {
    return *e.candidates.at(candidate).estimate.price;
  }
  // That its decision can be made again from what it says alone.
  void Replays(const boost::json::value& line) {
    const auto& round = line.at("rounds").at(0);
    const auto kept = InputOf(round.at("input").as_object());
    const auto then = DecisionOf(round.at("decision").as_object());
    ASSERT_TRUE(kept && then);
    const policy::Decision now = parts_.policy->Decide((*kept)->input);
    EXPECT_EQ(now.candidate, then->candidate);
    EXPECT_EQ(now.reason, then->reason);
    EXPECT_EQ(ToJson((*kept)->input), round.at("input"));
  }
};

// Both models on one device.
class OneDeviceTest : public PricesTest {
 protected:
  OneDeviceTest() {
    parts_.costs.devices = {{Linear(1), Linear(5)}};
    parts_.costs.variants = {VariantCost{0, 0}, VariantCost{0, 1}};
  }
};

TEST_F(OneDeviceTest, ARequestCountsFromTheMomentItIsSent) {
  Use("marginal");
  const auto idle = Route(Ask("r0"));
  ASSERT_TRUE(idle);
  EXPECT_EQ(PriceOf(*idle, 0).others, 0);
  EXPECT_EQ(idle->variant, "small");
  const auto sink = Handle(Ask("a"));  // the backend has said nothing yet
  const auto busy = Route(Ask("r1"));
  ASSERT_TRUE(busy);
  EXPECT_GT(PriceOf(*busy, 0).others, 0);
  EXPECT_LT(PriceOf(*busy, 0).step, PriceOf(*idle, 0).step) << "it joins";
  EXPECT_GT(PriceOf(*busy, 1).own(), PriceOf(*idle, 1).own()) << "it shares";
  backend_->runs.at(0).Finish();
  executor_.Run();
  const auto after = Route(Ask("r2"));
  ASSERT_TRUE(after);
  EXPECT_EQ(PriceOf(*after, 0).others, 0);
}

// A prompt of 10 tokens under way, another behind it, a third on the way.
TEST_F(OneDeviceTest, PromptsThatAStepHasTakenAreNotWaitedFor) {
  Use("marginal");
  core::Snapshot& view = backend_->views["small"];
  view.step_in_seconds = 0.030;
  const auto ttft = [&](const std::string& id) {
    const auto e = Route(Ask(id));
    return e ? PriceOf(*e, 0).ttft : 0;
  };
  const double alone = ttft("r0");
  EXPECT_NEAR(alone, 0.030 + 0.019, 1e-9);
  const auto a = Handle(Ask("a"));
  EXPECT_NEAR(ttft("r1"), alone + 0.019, 1e-9) << "it was just sent";
  view.admissions = 1;
  view.prompt_tokens = 10;
  EXPECT_NEAR(ttft("r2"), alone + 0.019, 1e-9) << "it waits";
  view.prompt_tokens = 0;
  // It decodes by then, and 7 of ours ride in a step of 8 columns.
  EXPECT_NEAR(ttft("r3"), 0.030 + 0.017 + 0.013, 1e-9);
  backend_->runs.at(0).Finish();
  executor_.Run();
}

TEST_F(OneDeviceTest, NothingIsPricedThatCannotBeChosen) {
  Use("marginal");
  backend_->views["small"].healthy = false;
  const auto e = Route(Ask("r"));
  ASSERT_TRUE(e);
  EXPECT_FALSE(e->candidates[0].estimate.price);
  EXPECT_EQ(e->variant, "large");
}

TEST_F(OneDeviceTest, APolicyThatDoesNotLookIsNotTold) {
  Use("paper");
  const auto e = Route(Ask("r"));
  ASSERT_TRUE(e);
  EXPECT_FALSE(e->candidates[0].estimate.price);
}

// Two requests to the small one; the shadow would have sent them to the large.
TEST_F(OneDeviceTest, AShadowIsCountedAndChangesNothing) {
  policy::Options o;
  o.variants = {{"small", 100}, {"large", 700}};
  parts_.shadow = *policy::Make("static:large", o);
  Use("marginal");
  const auto a = Handle(Ask("a"));
  const auto b = Handle(Ask("b"));
  ASSERT_EQ(backend_->runs.size(), 2u);
  for (auto& run : backend_->runs) {
    EXPECT_EQ(run.plan.variant, "small");
    run.Finish();
  }
  executor_.Run();
  Exports("aio_shadow_total{live=\"small\",shadow=\"large\"} 2");
  const auto total = [&](const std::string& by) {
    const std::string text = metrics_.Export();
    const std::string name =
        "aio_expected_device_seconds_total{by=\"" + by + "\"} ";
    return std::stod(text.substr(text.find(name) + name.size()));
  };
  EXPECT_GT(total("live"), 0);
  EXPECT_GT(total("shadow"), 3 * total("live"));
  EXPECT_EQ(total("shadow"), total("largest"));
}

// What is said of a request's times is held against them.
TEST_F(OneDeviceTest, ForecastsAreHeldAgainstWhatCame) {
  Use("marginal");
  const auto sink = Handle(Ask("a"));
  executor_.Advance(1s);
  backend_->runs.at(0).Say("x");
  executor_.Run();
  executor_.Advance(1s);
  backend_->runs.at(0).Finish();
  executor_.Run();
  Exports("aio_forecast_ttft_ratio_count{variant=\"small\"} 1");
  EXPECT_NE(metrics_.Export().find("aio_forecast_drifted{variant=\"small\"}"),
            std::string::npos);
}

// Two replicas on devices of their own: a burst is shared out evenly.
TEST_F(PricesTest, IdenticalReplicasDifferByAtMostOneTile) {
  parts_.variants.clear();
  Host("a", backend_, 4096, 100);
  Host("b", backend_, 4096, 100);
  parts_.costs.devices = {{Linear(1)}, {Linear(1)}};
  parts_.costs.variants = {VariantCost{0, 0}, VariantCost{1, 0}};
  Use("marginal:latency");
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 40; ++i) {
    sinks.push_back(Handle(Ask("r" + std::to_string(i))));
    std::array<int, 2> sent{};
    for (const auto& run : backend_->runs) ++sent[run.plan.variant == "b"];
    EXPECT_LE(std::abs(sent[0] - sent[1]), 8) << i;
  }
  for (auto& run : backend_->runs) run.Finish();
  executor_.Run();
}

// The same where the first one's seconds are worth five: all go to the other
// until what waits there costs as much, and the log says why.
TEST_F(PricesTest, ADearerReplicaIsUsedWhereItIsWorthIt) {
  parts_.variants.clear();
  Host("a", backend_, 4096, 100);
  Host("b", backend_, 4096, 100);
  parts_.variants[0].device_price = 5;
  parts_.costs.devices = {{Linear(1)}, {Linear(1)}};
  parts_.costs.variants = {VariantCost{0, 0}, VariantCost{1, 0}};
  Use("marginal");
  const auto e = Route(Ask("r"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->candidates[0].device_price, 5);
  EXPECT_EQ(PriceOf(*e, 0).system(), PriceOf(*e, 1).system());
  EXPECT_EQ(e->variant, "b");
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  std::string sent;
  for (int i = 0; i < 40; ++i) {
    sinks.push_back(Handle(Ask("r" + std::to_string(i))));
    sent += backend_->runs.back().plan.variant;
  }
  EXPECT_GT(sent.find('a'), 10u) << "at equal prices it gets the first";
  EXPECT_NE(sent.find('a'), std::string::npos) << sent;
  EXPECT_LT(std::ranges::count(sent, 'a'), std::ranges::count(sent, 'b'));
  for (auto& run : backend_->runs) run.Finish();
  executor_.Run();
  ASSERT_EQ(lines_.size(), 40u);
  Replays(boost::json::parse(lines_.back()));
}

// Large is right twice as often at questions, small as good at code, and nobody
// knows which it is.
class DoubtTest : public OneDeviceTest {
 protected:
  DoubtTest() {
    UseModelProbe();
    Use("marginal");
    text_ = Says(core::Label::kCode, 0.5);
    const auto code = static_cast<size_t>(core::Label::kCode);
    for (auto& q : parts_.quality["small"]) q->value = 0.2;
    parts_.quality["small"][code]->value = 0.5;
    options_.probe_deadline = 10s;
    orchestrator_.emplace(parts_, options_);
  }
  // What the probe is waited for, and what was predicted when it was asked.
  struct Waited {
    double seconds = 0, ttft_large = 0, ttft_ask = 0;
  };
  Waited WaitFor(double share) {
    options_.probe_deadline_share = share;
    orchestrator_.emplace(parts_, options_);
    Waited out;
    const Time begun = executor_.Now();
    const auto sink = Handle(Ask("a"));
    out.seconds = Seconds(probe_deadline_ - begun);
    executor_.Advance(probe_deadline_ - executor_.Now() - Duration(1));
    EXPECT_TRUE(backend_->runs.empty()) << "it may answer yet";
    executor_.Advance(Duration(1));
    EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
    backend_->runs[0].Finish();
    executor_.Run();
    const auto line = boost::json::parse(lines_.back());
    EXPECT_EQ(line.at("probe").as_string(), "timed_out");
    const auto kept = InputOf(line.at("rounds").at(0).at("input").as_object());
    const policy::Input& input = (*kept)->input;
    out.ttft_large = input.candidates[1].estimate.price->ttft;
    out.ttft_ask = input.ask->price.ttft;
    Replays(line);
    backend_->runs.clear();
    return out;
  }
};

TEST_F(DoubtTest, TheProbeMayTakeAShareOfThePredictedTimeToTheFirstToken) {
  const Waited half = WaitFor(0.5);
  EXPECT_NEAR(half.seconds, 0.5 * half.ttft_large, 1e-8);
  EXPECT_GT(half.seconds, kProbeSlack * half.ttft_ask);
  EXPECT_LT(half.seconds, 1);
}

TEST_F(DoubtTest, TheProbeGetsWhatItWasPredictedToTakeAndMore) {
  const Waited hasty = WaitFor(0.01);
  EXPECT_NEAR(hasty.seconds, kProbeSlack * hasty.ttft_ask, 1e-8);
  EXPECT_GT(hasty.seconds, 0.01 * hasty.ttft_large);
}

TEST_F(DoubtTest, TheFixedDeadlineIsTheLast) {
  EXPECT_NEAR(WaitFor(0).seconds, 10, 1e-8);
  options_.probe_deadline = 30ms;
  EXPECT_NEAR(WaitFor(0.5).seconds, 0.03, 1e-8);
  EXPECT_NEAR(WaitFor(1e300).seconds, 0.03, 1e-8);
}

TEST_F(DoubtTest, AProbeThatIsPredictedToBeLateIsNotAsked) {
  options_.probe_deadline = 5ms;  // less than any step of the probe takes
  orchestrator_.emplace(parts_, options_);
  const auto sink = Handle(Ask("a"));
  EXPECT_TRUE(probes_.empty());
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "large");
  backend_->runs[0].Finish();
  executor_.Run();
  const auto line = boost::json::parse(lines_.back());
  EXPECT_EQ(line.at("probe").as_string(), "text");
  Replays(line);
}

TEST_F(DoubtTest, WhereNoTimeIsPredictedTheFixedDeadlineApplies) {
  parts_.costs = {};
  options_.probe_deadline_share = 0.5;
  parts_.policy = nullptr;
  Build();  // the paper's rule asks where it is uncertain
  const Time begun = executor_.Now();
  const auto sink = Handle(Ask("a"));
  EXPECT_EQ(probe_deadline_ - begun, 10s);
  executor_.Advance(10s);
  backend_->runs.at(0).Finish();
  executor_.Run();
}

// The prompt of a model probe is priced on its variant, with who is there.
TEST_F(DoubtTest, AskingHasAPriceToo) {
  const auto sink = Handle(Ask("a"));
  ASSERT_EQ(probes_.size(), 1u) << "it was worth asking";
  probes_[0](Says(core::Label::kCode, 0.99));
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "small");
  backend_->runs[0].Finish();
  executor_.Run();
}

}  // namespace
}  // namespace aio::orchestrator
