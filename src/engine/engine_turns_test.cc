// SPDX-License-Identifier: Apache-2.0
//
// How models share a device. Layers take time on a clock turned by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

using std::chrono::milliseconds;

constexpr auto kSmallBusy = "aio_engine_busy_seconds_total{variant=\"small\"}";
constexpr auto kLargeBusy = "aio_engine_busy_seconds_total{variant=\"large\"}";

// A step of `small` takes 5 layers (the head is one) of 4 ms, one of `large` 10
// of 34 ms: 340 ms.
class EngineTurnsTest : public EngineTest {
 protected:
  void SetUp() override {
    slice_ = milliseconds(80);
    tokenizer_->endless = true;
    small_.on_layer = [this] {
      if (small_watch_) small_watch_();
      clock_.Advance(milliseconds(4));
    };
    large_.layers = 9;
    large_.on_layer = [this] {
      clock_.Advance(milliseconds(34));
      if (watch_) watch_();
    };
    Make(small_);
  }
  std::function<void()> watch_, small_watch_;
  std::shared_ptr<core::Request> Long(const std::string& id) {
    auto request = Ask(id);
    request->max_tokens = 100;
    request->sampling.temperature = 0;
    return request;
  }
  double Ms(Time since) { return 1e3 * Seconds(clock_.Now() - since); }
};

TEST_F(EngineTurnsTest, ASmallModelsUserDoesNotWaitForALargeModelsStep) {
  Start(Long("large"), {1, 2, 3}, "large");
  engine_->Step();
  for (int i = 0; i < 20; ++i) {
    const Time asked = clock_.Now();
    auto request = Ask("small" + std::to_string(i));
    request->max_tokens = 1;
    auto sink = Start(request, {i, 2, 3});
    while (!sink->done) {
      ASSERT_TRUE(engine_->Step());
      ASSERT_LT(Ms(asked), 200);
    }
    // The slice under way, whose last layer may be just begun, and its own.
    EXPECT_LE(Ms(asked), 80 + 34 + 20);
  }
}

TEST_F(EngineTurnsTest, AShortStepRunsToItsEnd) {
  Start(Long("small"), {1, 2, 3});
  Start(Long("large"), {1, 2, 3}, "large");
  const auto steps = [&](const std::string& variant) {
    return Metric("aio_engine_steps_total{variant=\"" + variant + "\"}");
  };
  for (int i = 0; i < 60; ++i) {
    const double busy = Metric(kSmallBusy), before = steps("small");
    engine_->Step();
    const bool ran = Metric(kSmallBusy) > busy;
    EXPECT_EQ(steps("small") - before, ran ? 1 : 0);
  }
  EXPECT_GT(steps("large"), 1);
}

TEST_F(EngineTurnsTest, ModelsAtWorkGetTheSameTime) {
  Start(Long("small"), {1, 2, 3});
  Start(Long("large"), {1, 2, 3}, "large");
  for (int i = 0; i < 100; ++i) engine_->Step();
  const double small = Metric(kSmallBusy), large = Metric(kLargeBusy);
  EXPECT_GT(large, 1);
  EXPECT_NEAR(small, large, 0.120) << "but for a slice";
  EXPECT_NEAR(Metric("aio_device_busy_seconds_total{device=\"cpu\"}"),
              small + large, 1e-9);
  EXPECT_NEAR(Seconds(clock_.Now() - Time()), small + large, 1e-9);
}

TEST_F(EngineTurnsTest, WhoServesFourGetsTwiceTheTimeOfWhoServesOne) {
  for (const char* id : {"a", "b", "c", "d"}) Start(Long(id), {1, 2, 3});
  Start(Long("large"), {1, 2, 3}, "large");
  for (int i = 0; i < 90; ++i) engine_->Step();
  const double small = Metric(kSmallBusy), large = Metric(kLargeBusy);
  EXPECT_GT(large, 0.5);
  EXPECT_NEAR(small, 2 * large, 0.240) << "but for slices";
}

TEST_F(EngineTurnsTest, AnIdleModelEarnsNoCreditAndOwesAtMostASlice) {
  auto alone = Start(Long("large"), {1, 2, 3}, "large");
  while (Metric(kLargeBusy) < 10) engine_->Step();
  // `small` was idle for 10 s: it does not now keep the device for 10 s.
  Start(Long("a"), {1, 2, 3});
  Time from = clock_.Now();
  double small = Metric(kSmallBusy), large = Metric(kLargeBusy);
  while (Ms(from) < 1500) engine_->Step();
  EXPECT_NEAR(Metric(kSmallBusy) - small, 0.75, 0.15);
  EXPECT_NEAR(Metric(kLargeBusy) - large, 0.75, 0.15);
  EXPECT_FALSE(alone->done.has_value());
}

TEST_F(EngineTurnsTest, AModelThatHadTheDeviceToItselfIsNotMadeToPay) {
  auto large = Start(Long("large"), {1, 2, 3}, "large");
  while (Metric(kLargeBusy) < 10) engine_->Step();
  engine_->Cancel("large");
  Start(Long("a"), {1, 2, 3});
  for (int i = 0; i < 5; ++i) engine_->Step();
  Start(Long("again"), {1, 2, 3}, "large");
  const Time from = clock_.Now();
  const double before = Metric(kLargeBusy);
  while (Ms(from) < 1000) engine_->Step();
  EXPECT_NEAR(Metric(kLargeBusy) - before, 0.5, 0.2);
}

// Asked while a layer of the large model's step runs, as others would.
TEST_F(EngineTurnsTest, TellsWhenTheNextStepOfEachMayBegin) {
  EXPECT_EQ(engine_->View("small").step_in_seconds, 0);
  Start(Long("large"), {1, 2, 3}, "large");
  for (int i = 0; i < 12; ++i) engine_->Step();  // to know what a step takes
  std::vector<double> small, large;
  watch_ = [&] {
    small.push_back(engine_->View("small").step_in_seconds);
    large.push_back(engine_->View("large").step_in_seconds);
  };
  while (Metric("aio_engine_steps_total{variant=\"large\"}") < 5) {
    engine_->Step();
  }
  ASSERT_GE(small.size(), 10u);
  for (const double s : small) EXPECT_LE(s, 0.080) << "a turn at most";
  EXPECT_NEAR(*std::ranges::max_element(large), 0.340 - 0.034, 0.040);
  EXPECT_LT(*std::ranges::min_element(large), 0.040);
}

TEST_F(EngineTurnsTest, TellsWhatIsLeftOfPrompts) {
  auto sink = Start(Long("a"), {1, 2, 3});
  std::vector<int64_t> seen;
  small_watch_ = [&] { seen.push_back(engine_->View("small").prompt_tokens); };
  engine_->Step();
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front(), 0) << "the step under way has all of it";
}

}  // namespace
}  // namespace aio::engine
