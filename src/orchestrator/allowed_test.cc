// SPDX-License-Identifier: Apache-2.0
//
// Keys that may use some variants only.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

std::shared_ptr<core::Request> Only(std::shared_ptr<core::Request> request,
                                    std::vector<std::string> variants) {
  request->allowed =
      std::make_shared<const std::vector<std::string>>(std::move(variants));
  return request;
}

TEST_F(OrchestratorTest, ARequestGoesOnlyWhereItsKeyMay) {
  Build();
  auto sink = Handle(Only(Ask("a"), {"large"}));  // else it would go to small
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "large");
  EXPECT_EQ(backend_->peeks, 1) << "the other one is not looked at";
  backend_->runs[0].Say("hello");
  backend_->runs[0].Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
}

TEST_F(OrchestratorTest, AVariantThatTheKeyMayNotUseIsDeniedByEitherName) {
  Build();
  auto by_model = Only(Ask("a"), {"small"});
  by_model->model = "large";
  auto sink = Handle(by_model);
  EXPECT_EQ(sink->code(), ErrorCode::kDenied);
  EXPECT_EQ(sink->result->error().param, "model");
  auto by_hint = Only(Ask("b"), {"small"});
  by_hint->hints.variant = "large";
  sink = Handle(by_hint);
  EXPECT_EQ(sink->code(), ErrorCode::kDenied);
  EXPECT_EQ(sink->result->error().param, "aio.variant");
  EXPECT_TRUE(backend_->runs.empty());
}

TEST_F(OrchestratorTest, AFailureIsNoWayAroundWhatTheKeyMay) {
  Build();
  auto sink = Handle(Only(Ask("a"), {"small"}));
  ASSERT_EQ(backend_->runs.size(), 1u);
  backend_->runs[0].Fail(ErrorCode::kOverloaded);
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u) << "large was free, but not for it";
  EXPECT_EQ(sink->code(), ErrorCode::kOverloaded);
}

TEST_F(OrchestratorTest, ThePromptIsWhatDoesNotFitNotTheKey) {
  Build();
  backend_->prompt_tokens = 5000;
  auto sink = Handle(Only(Ask("a"), {"small"}));
  EXPECT_EQ(sink->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(sink->result->error().param, "messages");
}

TEST_F(OrchestratorTest, SaysInTheExplanationWhomTheKeyMayNotUse) {
  Build();
  const auto explained = Route(Only(Ask("a"), {"large"}));
  ASSERT_TRUE(explained);
  EXPECT_EQ(explained->variant, "large");
  EXPECT_EQ(explained->candidates[0].why, "the key may not use it");
}

TEST_F(OrchestratorTest, AKeyThatMayUseNothingIsToldSo) {
  Build();
  EXPECT_EQ(Handle(Only(Ask("a"), {}))->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(backend_->peeks, 0);
}

// Asks if it can, and takes the last that is fit.
class Asks : public policy::Policy {
 public:
  std::string_view name() const override { return "asks"; }
  policy::Decision Decide(const policy::Input& input) const override {
    policy::Decision decision;
    decision.ask = input.can_ask;
    for (size_t i = 0; i < input.candidates.size(); ++i) {
      const auto& c = input.candidates[i];
      decision.why.push_back(c.unfit);
      if (c.unfit.empty()) decision.candidate = static_cast<int>(i);
    }
    return decision;
  }
};

// Sensing is the server's own affair.
TEST_F(ProbeTest, TheModelProbeMayAskWhomTheKeyMayNot) {
  parts_.policy = std::make_shared<Asks>();
  Build();
  backend_->prepared = std::make_shared<core::Prepared>();
  auto sink = Handle(Only(Ask("a"), {"large"}));
  ASSERT_EQ(probes_.size(), 1u);
  EXPECT_EQ(probe_prepared_, backend_->prepared);
  probes_[0](Says(core::Label::kCode, 0.99, core::IntentSource::kModel));
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "large");
  backend_->runs[0].Say("hello");
  backend_->runs[0].Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
}

}  // namespace
}  // namespace aio::orchestrator
