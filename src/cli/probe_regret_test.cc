// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_regret.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/manual_executor.h"
#include "core/echo_backend.h"
#include "policy/paper.h"

namespace aio::cli {
namespace {

using core::Label;

core::Intent Says(Label label, double sure) {
  core::Intent intent;
  intent.probabilities.fill((1 - sure) / (core::kLabels - 1));
  intent.probabilities[static_cast<size_t>(label)] = sure;
  intent.source = core::IntentSource::kText;
  return intent;
}

class ProbeRegretTest : public testing::Test {
 protected:
  ProbeRegretTest() {
    auto backend = std::make_shared<core::EchoBackend>(&executor_);
    for (const auto& [name, bytes] :
         {std::pair{"small", 100}, {"large", 1000}}) {
      core::Variant variant;
      variant.name = name;
      variant.backend = backend;
      variant.context_tokens_max = 4096;
      variant.bytes_per_token = bytes;
      setup_.variants.push_back(variant);
    }
    setup_.policy = std::make_shared<policy::PaperPolicy>(
        policy::PaperPolicy::Options{"small", "large"});
    Quality(Label::kCode, 0.9, 0.9);  // the small one is as good
    Quality(Label::kQa, 0.2, 0.8);
  }

  void Quality(Label label, double small, double large) {
    const auto l = static_cast<size_t>(label);
    setup_.quality["small"][l] = core::Quality{small, 0, 1, 100};
    setup_.quality["large"][l] = core::Quality{large, 0, 1, 100};
  }

  RoutedPrompt Prompt(Label is, int tokens = 20) {
    auto request = std::make_shared<core::Request>();
    request->messages = {{core::Role::kUser, "x"}};
    RoutedPrompt prompt;
    prompt.request = request;
    prompt.is = is;
    core::PromptSize size;
    size.tokens = tokens;
    prompt.sizes = {size, size};
    return prompt;
  }
  RoutedPrompt Prompt(Label is, const core::Intent& text,
                      const core::Intent& model) {
    RoutedPrompt prompt = Prompt(is);
    prompt.text = text;
    prompt.model = model;
    return prompt;
  }

  RoutingReport Regret(const std::vector<RoutedPrompt>& prompts) {
    auto report = RoutingRegret(setup_, prompts);
    EXPECT_TRUE(report) << report.error().message;
    return *report;
  }
  static const RoutingLine& Line(const RoutingReport& report,
                                 const std::string& name) {
    for (const RoutingLine& line : report.lines) {
      if (line.name == name) return line;
    }
    ADD_FAILURE() << "no line " << name;
    return report.lines.front();
  }

  ManualExecutor executor_;
  RoutingSetup setup_;
};

TEST_F(ProbeRegretTest, TheTrueIntentHasNoRegret) {
  const core::Intent wrong = Says(Label::kCode, 0.99);
  const auto report = Regret(
      {Prompt(Label::kCode, wrong, wrong), Prompt(Label::kQa, wrong, wrong)});
  const RoutingLine& line = report.lines.front();
  EXPECT_EQ(line.name, "true intent");
  EXPECT_EQ(line.quality_lost.mean, 0);
  EXPECT_EQ(line.quality_lost.low, 0);
  EXPECT_EQ(line.quality_lost.high, 0);
  EXPECT_EQ(line.bytes_lost.mean, 0);
  EXPECT_EQ(line.shares, (std::vector<double>{0.5, 0.5}));
  EXPECT_DOUBLE_EQ(line.quality, 0.85);
  EXPECT_DOUBLE_EQ(line.bytes_per_token, 550);
}

TEST_F(ProbeRegretTest, AProbeThatIsAlwaysRightHasNoneEither) {
  std::vector<RoutedPrompt> prompts;
  for (const Label label : {Label::kCode, Label::kQa}) {
    prompts.push_back(Prompt(label, Says(label, 0.97), Says(label, 0.97)));
  }
  for (const RoutingLine& line : Regret(prompts).lines) {
    if (line.name.starts_with("always")) continue;
    EXPECT_EQ(line.quality_lost.mean, 0) << line.name;
    EXPECT_EQ(line.bytes_lost.mean, 0) << line.name;
  }
}

TEST_F(ProbeRegretTest, AQuestionTakenForCodeCostsQualityAndSavesBytes) {
  const core::Intent code = Says(Label::kCode, 0.99);
  const auto report = Regret({Prompt(Label::kQa, code, code)});
  const RoutingLine& line = Line(report, "text probe");
  EXPECT_DOUBLE_EQ(line.quality_lost.mean, 0.6);
  EXPECT_DOUBLE_EQ(line.bytes_lost.mean, -900);
  EXPECT_EQ(line.shares[0], 1);
}

TEST_F(ProbeRegretTest, CodeTakenForAQuestionCostsBytesOnly) {
  const core::Intent qa = Says(Label::kQa, 0.99);
  const auto report = Regret({Prompt(Label::kCode, qa, qa)});
  EXPECT_DOUBLE_EQ(Line(report, "model probe").quality_lost.mean, 0);
  EXPECT_DOUBLE_EQ(Line(report, "model probe").bytes_lost.mean, 900);
}

TEST_F(ProbeRegretTest, AMistakeThatChangesNoChoiceCostsNothing) {
  Quality(Label::kMath, 0.1, 0.7);
  const core::Intent math = Says(Label::kMath, 0.99);
  const auto report = Regret({Prompt(Label::kQa, math, math)});
  EXPECT_EQ(Line(report, "text probe").quality_lost.mean, 0);
}

TEST_F(ProbeRegretTest, TheModelIsAskedOnlyWhereTheTextIsUncertain) {
  const core::Intent sure = Says(Label::kCode, 0.99);
  const core::Intent unsure = Says(Label::kQa, 0.3);
  const auto report = Regret({Prompt(Label::kCode, sure, unsure),
                              Prompt(Label::kCode, unsure, sure),
                              Prompt(Label::kCode, unsure, unsure)});
  const RoutingLine& both = Line(report, "text, then model");
  EXPECT_NEAR(both.asked, 2.0 / 3, 1e-12);
  EXPECT_NEAR(both.shares[0], 2.0 / 3, 1e-12);
  EXPECT_NEAR(Line(report, "text probe").shares[0], 1.0 / 3, 1e-12);
  EXPECT_EQ(Line(report, "model probe").asked, 1);
}

TEST_F(ProbeRegretTest, AModelProbeThatFailedLeavesWhatTheTextSaid) {
  RoutedPrompt failed = Prompt(Label::kCode, Says(Label::kCode, 0.3), {});
  failed.model.reset();
  const auto report =
      Regret({failed, Prompt(Label::kCode, Says(Label::kCode, 0.3),
                             Says(Label::kCode, 0.99))});
  EXPECT_EQ(Line(report, "text, then model").asked, 1);
  EXPECT_EQ(Line(report, "text, then model").shares[0], 0.5);
  EXPECT_EQ(Line(report, "model probe").shares[0], 0.5);
}

TEST_F(ProbeRegretTest, ALongContextGoesLargeWhateverIsSaid) {
  const auto report = Regret({Prompt(Label::kCode, 3000)});
  EXPECT_EQ(report.lines.front().shares[1], 1);
}

TEST_F(ProbeRegretTest, StaticLinesAndTheBestVariantSetTheScale) {
  const auto report = Regret({Prompt(Label::kCode), Prompt(Label::kQa)});
  EXPECT_EQ(report.lines.size(), 4u);  // no probe, no line of it
  EXPECT_DOUBLE_EQ(Line(report, "always small").quality_lost.mean, 0.3);
  EXPECT_DOUBLE_EQ(Line(report, "always large").bytes_lost.mean, 450);
  // Of equals the cheaper one.
  EXPECT_DOUBLE_EQ(Line(report, "best variant").bytes_per_token, 550);
}

TEST_F(ProbeRegretTest, APromptThatNobodyCanTakeIsLeftOut) {
  RoutedPrompt huge = Prompt(Label::kQa, 5000);
  RoutedPrompt failed = Prompt(Label::kQa);
  failed.sizes = {Error{ErrorCode::kInvalidArgument, "too long", ""},
                  Error{ErrorCode::kInvalidArgument, "too long", ""}};
  const auto report = Regret({Prompt(Label::kCode), huge, failed});
  EXPECT_EQ(report.prompts, 1);
  EXPECT_EQ(report.unserved, 2);
}

TEST_F(ProbeRegretTest, AVariantThatCannotIsStoodInForAsInServing) {
  RoutedPrompt prompt = Prompt(Label::kCode);
  prompt.sizes[0] = Error{ErrorCode::kInvalidArgument, "too long", ""};
  const auto report = Regret({prompt});
  EXPECT_EQ(Line(report, "always small").shares[1], 1);
  EXPECT_EQ(Line(report, "best variant").shares[1], 1);
  EXPECT_EQ(report.lines.front().shares[1], 1);
}

TEST_F(ProbeRegretTest, TheIntervalHoldsTheMeanAndShrinksWithMorePrompts) {
  const core::Intent code = Says(Label::kCode, 0.99), qa = Says(Label::kQa, 1);
  const auto width = [&](int prompts) {
    std::vector<RoutedPrompt> all;
    for (int i = 0; i < prompts; ++i) {
      all.push_back(Prompt(Label::kQa, i % 4 == 0 ? code : qa, qa));
    }
    const auto report = Regret(all);
    const Estimated& lost = Line(report, "text probe").quality_lost;
    EXPECT_NEAR(lost.mean, 0.15, 1e-9);
    EXPECT_LT(lost.low, lost.mean);
    EXPECT_GT(lost.high, lost.mean);
    return lost.high - lost.low;
  };
  // By the square root: four times the prompts, half the width.
  EXPECT_NEAR(width(400) / width(100), 0.5, 0.1);
}

TEST_F(ProbeRegretTest, PromptsThatTheTableDoesNotKnowAreCountedAndLeftOut) {
  const auto report = Regret({Prompt(Label::kCode), Prompt(Label::kChat)});
  EXPECT_EQ(report.prompts, 1);
  EXPECT_EQ(report.unknown, 1);
  const auto none = RoutingRegret(setup_, {Prompt(Label::kChat)});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().param, "policy.quality_table");
}

}  // namespace
}  // namespace aio::cli
