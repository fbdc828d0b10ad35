// SPDX-License-Identifier: Apache-2.0
//
// Several views of one copy of the weights: each answers as if it were alone,
// none reads another's KV, and what a step reads is counted once.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

constexpr double kFine = 1000, kCoarse = 600;  // bytes of HashForward's weights

class EngineViewsTest : public EngineTest {
 protected:
  void SetUp() override {
    tokenizer_->endless = true;
    Make({.nested = true});
  }
  double Of(const std::string& series, const std::string& variant) {
    return Metric("aio_" + series + "{variant=\"" + variant + "\"}");
  }
  int Cached(const Answer& answer) {
    return (*answer.done)->usage.cached_tokens;
  }
  const std::vector<int32_t> prompt_ = std::vector<int32_t>(70, 5);
};

TEST_F(EngineViewsTest, AViewAnswersAsIfItWereAloneInOneStepWithAnother) {
  const auto eight = Ask("eight"), four = Ask("four");
  const auto a = Start(four, prompt_, "small@4");
  const auto b = Start(eight, prompt_, "small");
  Finish();
  EXPECT_EQ(a->text[0], Expected(*four, prompt_, 0, nullptr, "small@4"));
  EXPECT_EQ(b->text[0], Expected(*eight, prompt_, 0, nullptr, "small"));
  EXPECT_NE(a->text[0], b->text[0]);
  EXPECT_LT(Of("engine_steps_total", "small"), 45) << "not one after the other";
  EXPECT_EQ(Of("engine_steps_total", "small"),
            Of("engine_steps_total", "small@4"));
}

TEST_F(EngineViewsTest, AViewReusesItsOwnPagesOnly) {
  for (const std::string variant : {"small", "small@4", "small@auto"}) {
    SCOPED_TRACE(variant);
    EXPECT_EQ(engine_->CachedTokens(variant, 0, prompt_), 0);
    EXPECT_EQ(Cached(*Serve(Ask("first"), prompt_, variant)), 0);
    EXPECT_EQ(engine_->CachedTokens(variant, 0, prompt_), 64);
    const auto request = Ask("again");
    const auto again = Serve(request, prompt_, variant);
    EXPECT_EQ(Cached(*again), 69);
    EXPECT_EQ(Of("prefix_hit_tokens_total", variant), 69);
    if (variant == "small@auto") continue;
    EXPECT_EQ(again->text[0], Expected(*request, prompt_, 0, nullptr, variant));
  }
  auto other = Ask("other");
  other->tenant = 7;
  EXPECT_EQ(Cached(*Serve(other, prompt_, "small@4")), 0);
}

TEST_F(EngineViewsTest, AutoHasFourBitsAloneAndEightWhereTheyAreReadAnyway) {
  const std::vector<int32_t> prompt(10, 5);
  const auto request = Ask("auto");
  const auto four = Expected(*request, prompt, 0, nullptr, "small@4");
  const auto eight = Expected(*request, prompt, 0, nullptr, "small");
  const auto alone = Start(request, prompt, "small@auto");
  const auto beside_four = Start(Ask("four"), prompt, "small@4");
  Finish();
  EXPECT_EQ(alone->text[0], four);
  EXPECT_EQ(Of("engine_weight_bytes_total", "small@4") +
                Of("engine_weight_bytes_total", "small@auto"),
            kCoarse * Of("engine_steps_total", "small@auto"));
  // Begun before it and over after it.
  Make({.nested = true});
  auto longer = Ask("eight");
  longer->max_tokens = 57;
  const auto fine = Start(longer, prompt, "small");
  for (int i = 0; fine->text[0].empty(); ++i) ASSERT_TRUE(engine_->Step());
  const auto beside = Start(request, prompt, "small@auto");
  Finish();
  EXPECT_EQ(beside->text[0], eight);
  EXPECT_EQ(fine->text[0], Expected(*longer, prompt));
}

TEST_F(EngineViewsTest, AStepReadsEachPlaneOnceAndWhoNeedsItPays) {
  const auto weights = [](const Answer& answer) {
    return static_cast<double>((*answer.done)->usage.weight_bytes_read);
  };
  // A step for the prompt, and one for each token but the first.
  constexpr int kTokens = 40, kPrompt = 10;
  const std::vector<int32_t> prompt(kPrompt, 1);
  const auto alone = Serve(Ask("alone"), prompt, "small@4");
  EXPECT_EQ(weights(*alone), kCoarse * kTokens);
  EXPECT_EQ(Of("engine_weight_bytes_total", "small@4"), kCoarse * kTokens);
  EXPECT_EQ(Of("engine_weight_bytes_total", "small"), 0);

  const auto four = Start(Ask("four"), {5, 6, 7}, "small@4");
  const auto eight = Start(Ask("eight"), {5, 6, 7}, "small");
  Finish();
  EXPECT_EQ(weights(*four), kCoarse / 2 * kTokens);
  EXPECT_EQ(weights(*eight), (kFine - kCoarse / 2) * kTokens);
  EXPECT_EQ(Of("engine_weight_bytes_total", "small@4") +
                Of("engine_weight_bytes_total", "small"),
            (kCoarse + kFine) * kTokens);
}

TEST_F(EngineViewsTest, SnapshotsShowTheStepsAndPagesThatVariantsShare) {
  const auto four = Start(Ask("four"), {1, 2, 3}, "small@4");
  const auto eight = Start(Ask("eight"), {1, 2, 3}, "small");
  for (int i = 0; i < 12; ++i) engine_->Step();
  for (const std::string variant : {"small", "small@4", "small@auto"}) {
    const core::Snapshot view = engine_->View(variant);
    EXPECT_EQ(view.running, 2);
    EXPECT_EQ(view.pages_total, 16);
    EXPECT_EQ(view.pages_free, 14);
    const double mine = variant == "small@auto" ? 0 : 1;
    EXPECT_EQ(view.admissions, mine);
    EXPECT_EQ(Of("engine_running", variant), mine);
  }
  Finish();
  EXPECT_EQ(Of("kv_pages_total", "small"), 16);
  EXPECT_EQ(Of("kv_pages_total", "small@4"), -1) << "they would count twice";
}

// Either view's steps have a table of their own: at 4 bits a second column is
// dear, at 8 it is free, and who drafts goes by that of the step.
TEST_F(EngineViewsTest, DraftsPayByTheTableOfTheStepsView) {
  const auto table = [](double each) {
    cost::StepTable out;
    for (int n = 1; n <= 32; ++n) {
      out.columns.push_back(n);
      out.seconds.push_back(1e-3 + (n - 1) * each);
    }
    return out;
  };
  small_ = {.vocabulary = 3, .nested = true};
  Model model;
  model.views = ViewsOf("small", true);
  model.forward = std::make_unique<HashForward>(small_);
  model.tokenizer = tokenizer_;
  model.sched.step_table = table(0);
  model.coarse_step_table = table(1e-3);
  std::vector<Model> models;
  models.push_back(std::move(model));
  engine_ = std::make_unique<Engine>(std::move(models), Options(), &clock_,
                                     &metrics_);
  const auto drafted = [&](const std::string& variant) {
    auto request = Ask("r");
    request->sampling.temperature = 0;
    const auto answer = Serve(request, {1, 2, 1, 2, 1, 2, 1, 2}, variant);
    EXPECT_EQ(answer->text[0], Expected(*request, {1, 2, 1, 2, 1, 2, 1, 2}, 0,
                                        nullptr, variant));
    return (*answer->done)->usage.drafted_tokens;
  };
  EXPECT_LE(drafted("small@4"), 2) << "but to look again";
  EXPECT_GT(drafted("small"), 10);
}

}  // namespace
}  // namespace aio::engine
