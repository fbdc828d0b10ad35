// SPDX-License-Identifier: Apache-2.0
#include "probe/model_probe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "base/manual_executor.h"

namespace aio::probe {
namespace {

using core::Label;
using std::chrono_literals::operator""ms;

// Scores as the test says: `prior` for the content-free request, `logits` for
// others; refuses label sets until one begins with `accepts`.
class ScoreBackend : public core::Backend {
 public:
  core::Snapshot View(std::string_view) const override { return {}; }
  void Peek(std::shared_ptr<const core::Request>, std::string_view,
            std::optional<core::Thinking>, PeekDone) override {}
  void Start(std::shared_ptr<const core::Request>, core::Plan,
             std::shared_ptr<core::Sink>) override {}
  void Cancel(std::string_view id) override { cancels.emplace_back(id); }
  void Score(core::ScoreRequest request, Time, ScoreDone done) override {
    requests.push_back(request);
    if (hold) {
      held.push_back(std::move(done));
      return;
    }
    Answer(request, done);
  }
  void Answer(const core::ScoreRequest& request, const ScoreDone& done) {
    if (error) return done(*error);
    if (!accepts.empty() && request.labels[0] != accepts) {
      return done(Error{ErrorCode::kInvalidArgument, "not a token", ""});
    }
    const bool nothing = request.request->messages[0].content == "N/A";
    done(core::Scores{nothing ? prior : logits, 1, false});
  }
  void Release() {
    hold = false;
    const auto all = std::move(held);
    held.clear();
    for (size_t i = 0; i < all.size(); ++i) {
      Answer(requests[requests.size() - all.size() + i], all[i]);
    }
  }

  std::vector<float> prior = std::vector<float>(core::kLabels, 0);
  std::vector<float> logits = std::vector<float>(core::kLabels, 0);
  std::string accepts;
  std::optional<Error> error;
  bool hold = false;
  std::vector<core::ScoreRequest> requests;
  std::vector<ScoreDone> held;
  std::vector<std::string> cancels;
};

class ModelProbeTest : public testing::Test {
 protected:
  ModelProbeTest() { options_.variant = "small"; }
  void Build() {
    auto made = ModelProbe::Make(backend_, &executor_, options_);
    ASSERT_TRUE(made) << made.error().message;
    probe_ = *made;
  }
  std::shared_ptr<const core::Request> Prompt(const std::string& text) {
    auto request = std::make_shared<core::Request>();
    request->id = "a";
    request->messages = {{core::Role::kUser, text}};
    return request;
  }
  void Ask(const std::string& text = "write a loop", Duration within = 100ms) {
    probe_->Ask(Prompt(text), nullptr, executor_.Now() + within,
                [this](Result<core::Intent> i) {
                  ++answers_;
                  answer_ = std::move(i);
                });
  }
  double P(Label label) {
    CHECK(answer_ && *answer_);
    return (*answer_)->probabilities[static_cast<size_t>(label)];
  }

  ManualExecutor executor_;
  std::shared_ptr<ScoreBackend> backend_ = std::make_shared<ScoreBackend>();
  ModelProbe::Options options_;
  std::shared_ptr<ModelProbe> probe_;
  int answers_ = 0;
  std::optional<Result<core::Intent>> answer_;
};

TEST_F(ModelProbeTest, TurnsLogitsIntoADistribution) {
  backend_->logits = {2, 0, 0, 0, 0, 0, 0, 0};
  Build();
  Ask();
  ASSERT_EQ(answers_, 1);
  const double e2 = std::exp(2.0);
  EXPECT_NEAR(P(Label::kCode), e2 / (e2 + 7), 1e-12);
  EXPECT_NEAR(P(Label::kQa), 1 / (e2 + 7), 1e-12);
  EXPECT_EQ((*answer_)->source, core::IntentSource::kModel);
}

TEST_F(ModelProbeTest, DividesOutWhatTheModelSaysOfNothing) {
  backend_->prior = {5, 0, 0, 3, 0, 0, 0, 0};
  backend_->logits = {5, 2, 0, 3, 0, 0, 0, 0};
  Build();
  Ask();
  EXPECT_EQ((*answer_)->Best(), Label::kMath);
  EXPECT_NEAR(P(Label::kCode), P(Label::kQa), 1e-12);
}

TEST_F(ModelProbeTest, ThePriorMayBeLeftIn) {
  backend_->prior = {5, 0, 0, 3, 0, 0, 0, 0};
  backend_->logits = {5, 2, 0, 3, 0, 0, 0, 0};
  options_.prior = false;
  Build();
  Ask();
  EXPECT_EQ((*answer_)->Best(), Label::kCode);
  EXPECT_NEAR(P(Label::kCode) / P(Label::kMath), std::exp(3.0), 1e-9);
}

TEST_F(ModelProbeTest, TemperatureFlattens) {
  backend_->logits = {2, 0, 0, 0, 0, 0, 0, 0};
  options_.temperature = 2;
  Build();
  Ask();
  EXPECT_NEAR(P(Label::kCode), std::exp(1.0) / (std::exp(1.0) + 7), 1e-12);
}

TEST_F(ModelProbeTest, HugeLogitsDoNotOverflow) {
  backend_->logits = {3e38f, -3e38f, 0, 0, 0, 0, 0, 0};
  Build();
  Ask();
  EXPECT_EQ(P(Label::kCode), 1);
}

TEST_F(ModelProbeTest, ScoresThePriorOnceAndDropsIt) {
  Build();
  Ask();
  Ask();
  ASSERT_EQ(backend_->requests.size(), 3u);
  EXPECT_EQ(backend_->requests[0].request->messages[0].content, "N/A");
  EXPECT_EQ(backend_->requests[2].request->messages[0].content, "write a loop");
  EXPECT_EQ(backend_->cancels.size(), 1u);
  EXPECT_EQ(backend_->cancels[0], backend_->requests[0].request->id);
  EXPECT_EQ(backend_->requests[1].suffix, "Category:");
  EXPECT_EQ(backend_->requests[1].tokens_max, 256);
  EXPECT_EQ(backend_->requests[1].variant, "small");
}

TEST_F(ModelProbeTest, AsksThatComeWhileThePriorIsScoredWaitForIt) {
  backend_->hold = true;
  Build();
  Ask();
  Ask();
  EXPECT_EQ(backend_->requests.size(), 1u);
  backend_->Release();
  EXPECT_EQ(backend_->requests.size(), 3u);
  EXPECT_EQ(answers_, 2);
}

TEST_F(ModelProbeTest, ChoosesTheFirstLabelsThatTheVariantTakes) {
  backend_->accepts = " A";
  Build();
  Ask();
  ASSERT_TRUE(answer_ && *answer_);
  const core::ScoreRequest& asked = backend_->requests.back();
  EXPECT_EQ(asked.labels.size(), core::kLabels);
  EXPECT_EQ(asked.labels[7], " H");
  EXPECT_NE(asked.suffix.find("A code, B math"), std::string::npos);
  EXPECT_EQ(backend_->requests.size(), 4u);  // two refused, the prior, this
}

TEST_F(ModelProbeTest, NoLabelsThatTheVariantTakesIsAnError) {
  backend_->accepts = "none of them";
  Build();
  std::optional<Result<void>> prepared;
  probe_->Prepare(Time::max(), [&](Result<void> r) { prepared = r; });
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ModelProbeTest, ConfiguredLabelsAreTheOnlyOnesTried) {
  options_.labels = {"1", "2", "3", "4", "5", "6", "7", "8"};
  backend_->accepts = "x";
  Build();
  Ask();
  EXPECT_EQ(backend_->requests.size(), 1u);
  EXPECT_EQ(backend_->requests[0].labels[2], "3");
  EXPECT_EQ(answer_->error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ModelProbeTest, RefusesLabelsThatAreNotDistinctOrMissing) {
  options_.labels = {"1", "2", "3", "4", "5", "6", "7", "1"};
  auto twins = ModelProbe::Make(backend_, &executor_, options_);
  EXPECT_EQ(twins.error().param, "probe.labels");
  options_.labels[7] = "";
  auto missing = ModelProbe::Make(backend_, &executor_, options_);
  EXPECT_EQ(missing.error().param, "probe.labels");
  EXPECT_NE(missing.error().message.find("creative"), std::string::npos);
  options_.labels = {};
  options_.suffix = "";
  auto mute = ModelProbe::Make(backend_, &executor_, options_);
  EXPECT_EQ(mute.error().param, "probe.suffix");
}

TEST_F(ModelProbeTest, AnErrorOfTheBackendIsPassedOnAndTheNextAskTriesAgain) {
  backend_->error = Error{ErrorCode::kUnavailable, "down", ""};
  Build();
  Ask();
  EXPECT_EQ(answer_->error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(backend_->requests.size(), 1u);  // other labels would not help
  backend_->error.reset();
  Ask();
  EXPECT_TRUE(*answer_);
}

TEST_F(ModelProbeTest, ALateAnswerIsADeadline) {
  Build();
  probe_->Prepare(Time::max(), [](Result<void> r) { EXPECT_TRUE(r); });
  backend_->hold = true;
  Ask("write a loop", 50ms);
  executor_.Advance(51ms);
  backend_->Release();
  EXPECT_EQ(answer_->error().code, ErrorCode::kDeadline);
}

TEST_F(ModelProbeTest, ALatePriorIsADeadlineToo) {
  backend_->hold = true;
  Build();
  Ask("write a loop", 50ms);
  executor_.Advance(51ms);
  backend_->Release();
  EXPECT_EQ(answer_->error().code, ErrorCode::kDeadline);
  EXPECT_EQ(backend_->requests.size(), 1u);
}

TEST_F(ModelProbeTest, NumbersThatAreNoneOrTooFewAreAnError) {
  Build();
  backend_->logits[3] = std::numeric_limits<float>::quiet_NaN();
  Ask();
  EXPECT_EQ(answer_->error().code, ErrorCode::kInternal);
  backend_->logits = {1, 2};
  Ask();
  EXPECT_EQ(answer_->error().code, ErrorCode::kInternal);
}

TEST_F(ModelProbeTest, PassesOnWhatPeekPrepared) {
  struct Mine : core::Prepared {};
  const auto mine = std::make_shared<Mine>();
  Build();
  probe_->Ask(Prompt("x"), mine, Time::max(), [](Result<core::Intent>) {});
  EXPECT_EQ(backend_->requests.back().prepared, mine);
  EXPECT_EQ(backend_->requests.front().prepared, nullptr);
}

}  // namespace
}  // namespace aio::probe
