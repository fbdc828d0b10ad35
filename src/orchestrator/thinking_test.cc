// SPDX-License-Identifier: Apache-2.0
//
// Thinking on and off as candidates of one variant.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "orchestrator/decision_json.h"
#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

using core::Thinking;
using Told = std::vector<std::optional<Thinking>>;

// `large` thinks unless told, `small` cannot.
class ThinkingTest : public OrchestratorTest {
 protected:
  ThinkingTest() {
    parts_.variants[0].thinking.on = false;
    parts_.variants[1].thinking.usual = Thinking::kOn;
    parts_.variants[1].thinking.automatic = true;
    parts_.costs.devices = {{Linear(), Linear()}};
    parts_.costs.variants = {VariantCost{0, 0}, VariantCost{0, 1}};
    Know("small", 0.4);
    Know("large", 0.9);
    Know("large+no_think", 0.88);
  }
  static ModelCost Linear() {
    ModelCost cost;
    cost.steps.table.columns = {1, 512};
    cost.steps.table.seconds = {0.010, 0.521};
    cost.steps.table.prefill_seconds_per_token = 0.001;
    return cost;
  }
  void Know(const std::string& row, double quality) {
    for (auto& cell : parts_.quality[row]) {
      cell = core::Quality{.value = quality};
    }
  }
  void Use(const std::string& kind) {
    policy::Options o;
    for (const auto& v : parts_.variants) {
      o.variants.push_back({v.name, v.bytes_per_token});
    }
    parts_.policy = *policy::Make(kind, o);
    orchestrator_.emplace(parts_, options_);
  }
  // The plan of a request that is answered, and whom it is told of.
  core::Plan Serve(std::shared_ptr<core::Request> request) {
    const auto sink = Handle(std::move(request));
    EXPECT_FALSE(backend_->runs.empty());
    if (backend_->runs.empty()) return {};
    const core::Plan plan = backend_->runs.back().plan;
    backend_->runs.back().Say("a");
    backend_->runs.back().Finish();
    executor_.Run();
    EXPECT_TRUE(sink->ok());
    EXPECT_EQ(sink->served->thinking, plan.thinking);
    return plan;
  }
};

TEST_F(ThinkingTest, TheArmThatIsGoodEnoughAndShorterIsChosen) {
  Use("marginal");
  const core::Plan plan = Serve(Ask("a"));
  EXPECT_EQ(plan.variant, "large");
  EXPECT_EQ(plan.thinking, Thinking::kOff);
  EXPECT_EQ(backend_->told,
            (Told{std::nullopt, Thinking::kOn, Thinking::kOff}));
}

TEST_F(ThinkingTest, TheArmThatIsNotGoodEnoughIsNot) {
  Know("large+no_think", 0.8);
  Use("marginal");
  EXPECT_EQ(Serve(Ask("a")).thinking, Thinking::kOn);
  Know("large+no_think", 0.874);  // 0.97 of 0.9 is 0.873
  Use("marginal");
  EXPECT_EQ(Serve(Ask("b")).thinking, Thinking::kOff);
}

TEST_F(ThinkingTest, AModeThatTheTableDoesNotKnowIsNoArm) {
  parts_.quality.erase("large+no_think");
  Use("marginal");
  const core::Plan plan = Serve(Ask("a"));
  EXPECT_EQ(plan.variant, "large");
  EXPECT_EQ(plan.thinking, Thinking::kOn);
  EXPECT_EQ(backend_->told, (Told{std::nullopt, Thinking::kOn}));
}

TEST_F(ThinkingTest, AModeThatIsKnownGoesBeforeOneThatIsNot) {
  parts_.quality.erase("large");
  Use("marginal");
  EXPECT_EQ(Serve(Ask("a")).thinking, Thinking::kOff);
}

TEST_F(ThinkingTest, TheClientsWordWins) {
  Use("marginal");
  auto request = Ask("a");
  request->thinking = Thinking::kOn;
  const core::Plan plan = Serve(request);
  EXPECT_EQ(plan.variant, "large");
  EXPECT_EQ(plan.thinking, Thinking::kOn);
  request = Ask("b");
  request->thinking = Thinking::kAuto;
  request->thinking_in_text = true;
  EXPECT_EQ(Serve(request).thinking, Thinking::kAuto);
  request = Ask("c");
  request->model = "small";
  request->thinking = Thinking::kOff;
  EXPECT_EQ(Serve(request).thinking, std::nullopt) << "as it does anyway";
}

TEST_F(ThinkingTest, WhoCannotThinkIsNotAskedTo) {
  Use("static:small");
  auto request = Ask("a");
  request->thinking = Thinking::kOn;
  EXPECT_EQ(Serve(request).variant, "large");
  request = Ask("b");
  request->model = "small";
  request->thinking = Thinking::kOn;
  const auto refused = Handle(request);
  EXPECT_EQ(refused->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused->result->error().param, "enable_thinking");
  request = Ask("c");
  request->model = "small";
  request->thinking = Thinking::kOn;
  request->thinking_in_text = true;  // text to a model that does not know it
  EXPECT_EQ(Serve(request).variant, "small");
}

TEST_F(ThinkingTest, PoliciesThatDoNotWeighKeepTheUsual) {
  for (const char* kind : {"paper", "random", "static:large"}) {
    Use(kind);
    backend_->told.clear();
    text_ = Says(core::Label::kMath, 0.99);
    const core::Plan plan = Serve(Ask(kind));
    EXPECT_EQ(plan.thinking, plan.variant == "large"
                                 ? std::optional(Thinking::kOn)
                                 : std::nullopt);
    EXPECT_EQ(backend_->told.size(), 2u) << "no second prompt";
  }
}

TEST_F(ThinkingTest, ANamedVariantDoesWhatItUsuallyDoes) {
  Use("marginal");
  auto request = Ask("a");
  request->model = "large";
  EXPECT_EQ(Serve(request).thinking, Thinking::kOn);
}

TEST_F(ThinkingTest, LengthsAreLearnedByMode) {
  Use("marginal");
  const auto outputs = [&] {
    const auto e = Route(Ask("r"));
    std::vector<double> tokens;
    for (const auto& c : e->candidates) {
      tokens.push_back(c.estimate.output_tokens);
    }
    return tokens;
  };
  const auto before = outputs();
  ASSERT_EQ(before.size(), 3u);
  EXPECT_GT(before[1], 10 * before[2] / 2) << "priors: a thought is long";
  const auto sink = Handle(Ask("a"));  // goes to the arm without
  backend_->runs.back().Finish(4000);
  executor_.Run();
  const auto after = outputs();
  EXPECT_EQ(after[1], before[1]);
  EXPECT_GT(after[2], before[2]);
}

TEST_F(ThinkingTest, MeasuredLengthsAreOfWhatAVariantDoesUnlessTold) {
  parts_.lengths["large"].fill(800);
  parts_.lengths["large+no_think"].fill(90);
  Use("marginal");
  const auto e = Route(Ask("r"));
  ASSERT_TRUE(e);
  ASSERT_EQ(e->candidates.size(), 3u);
  EXPECT_NEAR(e->candidates[1].estimate.output_tokens, 800, 1e-6);
  EXPECT_NEAR(e->candidates[2].estimate.output_tokens, 90, 1e-6);
}

TEST_F(ThinkingTest, ExplainsItsArms) {
  Use("marginal");
  const auto e = Route(Ask("r"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->variant, "large");
  EXPECT_EQ(e->thinking, Thinking::kOff);
  ASSERT_EQ(e->candidates.size(), 3u);
  EXPECT_EQ(e->candidates[1].thinking, Thinking::kOn);
  EXPECT_EQ(e->candidates[2].thinking, Thinking::kOff);
  EXPECT_NEAR(*e->candidates[2].quality, 0.88, 1e-9);
  EXPECT_NE(e->reason.find("thinking off"), std::string::npos);
}

TEST_F(ThinkingTest, DecisionsAboutArmsAreReplayedFromTheLog) {
  Use("marginal");
  Serve(Ask("a"));
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = boost::json::parse(lines_[0]);
  EXPECT_EQ(line.at("outcome").at("thinking"), "off");
  const auto& round = line.at("rounds").at(0);
  const auto kept = InputOf(round.at("input").as_object());
  ASSERT_TRUE(kept);
  const policy::Input& input = (*kept)->input;
  EXPECT_EQ(input.candidates.at(2).thinking, Thinking::kOff);
  EXPECT_FALSE(input.candidates.at(2).usual);
  EXPECT_TRUE(input.candidates.at(1).usual);
  const auto then = DecisionOf(round.at("decision").as_object());
  const policy::Decision now = parts_.policy->Decide(input);
  EXPECT_EQ(now.candidate, 2);
  EXPECT_EQ(now.candidate, then->candidate);
  EXPECT_EQ(now.reason, then->reason);
}

TEST_F(ThinkingTest, AVariantThatFailsIsNotTriedInItsOtherMode) {
  Use("marginal");
  const auto sink = Handle(Ask("a"));
  backend_->runs.at(0).Fail(ErrorCode::kUnavailable);
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 2u);
  EXPECT_EQ(backend_->runs[1].plan.variant, "small");
  backend_->runs[1].Finish();
  executor_.Run();
}

}  // namespace
}  // namespace aio::orchestrator
