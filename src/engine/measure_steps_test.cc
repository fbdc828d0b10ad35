// SPDX-License-Identifier: Apache-2.0
#include "engine/measure_steps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace aio::engine {
namespace {

// Computes nothing and turns a clock by what each part of a step is said to
// take.
class ClockForward : public model::Forward {
 public:
  struct Part {
    int layer = 0;  // the head's is layers
    int columns = 0;
    int64_t context = 0;  // tokens behind all columns
  };
  int layers_ = 20;
  int columns_max_ = 512;
  int pages_ = 256;
  int64_t layer_bytes_ = 32 << 20;
  std::function<double(const Part&)> part_seconds_;
  double clock_ = 100;
  int steps_ = 0;

  int vocabulary() const override { return 10; }
  int context_tokens_max() const override { return 4096; }
  int layers() const override { return layers_; }
  int columns_max() const override { return columns_max_; }
  int pages() const override { return pages_; }
  int64_t weight_bytes() const override { return layers_ * layer_bytes_; }
  int64_t kv_bytes_per_token() const override { return 1000; }
  void CopyPage(int32_t from, int32_t to) override {
    CHECK(from < pages_ && to < pages_);
  }
  void Begin(std::span<const model::Column> columns) override {
    CHECK(done_ && static_cast<int>(columns.size()) <= columns_max_);
    columns_ = static_cast<int>(columns.size());
    context_ = 0;
    logits_ = false;
    for (const model::Column& c : columns) {
      context_ += c.position;
      logits_ = logits_ || c.logits;
      CHECK(static_cast<int>(c.pages.size()) > c.position / model::kPageTokens);
    }
    layer_ = 0;
    done_ = false;
    ++steps_;
  }
  void Skip(int layers) override {
    CHECK(!done_ && layer_ + layers < layers_);
    layer_ += layers;
  }
  bool Advance(int layers) override {
    for (; layers > 0 && !done_; --layers) {
      clock_ += part_seconds_({layer_, columns_, context_});
      done_ = ++layer_ == layers_ + (logits_ ? 1 : 0);
    }
    return done_;
  }
  std::span<const float> Logits(int) const override { return {}; }

 private:
  int columns_ = 0, layer_ = 0;
  int64_t context_ = 0;
  bool logits_ = false, done_ = true;
};

MeasuredSteps Measure(ClockForward* forward, double seconds_max = 2) {
  MeasureOptions options;
  options.seconds_max = seconds_max;
  options.logits_max = 32;
  auto steps = MeasureSteps(forward, options, [&] { return forward->clock_; });
  CHECK(steps.has_value());
  return *std::move(steps);
}

// Per layer 1 ms, 10 us a column and 10 ns a context token; the head 5 ms.
double Even(const ClockForward::Part& p) {
  if (p.layer == 20) return 0.005;
  return 1e-3 + 1e-5 * p.columns + 1e-8 * static_cast<double>(p.context);
}

TEST(MeasureStepsTest, TheWindowStandsForAllLayersAndTheHeadForItself) {
  ClockForward forward;
  forward.part_seconds_ = Even;
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_EQ(steps.window, 3) << "64 MiB of 32 MiB layers, and the last";
  EXPECT_NEAR(steps.whole_ratio, 1, 1e-9);
  ASSERT_EQ(steps.table.columns, (std::vector<int>{1, 2, 3, 4, 5, 6, 8, 12, 16,
                                                   24, 32, 64, 128, 256, 512}));
  for (const int n : steps.table.columns) {
    // A prompt's columns have each other as context.
    const double pairs = n <= 32 ? 0 : 0.5 * n * (n - 1);
    EXPECT_NEAR(steps.table.Seconds(n, 0), 0.025 + 2e-4 * n + 2e-7 * pairs,
                1e-9)
        << n;
  }
  EXPECT_NEAR(steps.table.kv_seconds_per_context_token, 2e-7, 1e-12);
  // Without the context's own share.
  EXPECT_NEAR(steps.table.pair_seconds, 2e-7, 2e-7 / 512 * 1.01);
}

TEST(MeasureStepsTest, ThePrefillRateIsThatOfAWideStep) {
  ClockForward forward;
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return p.columns <= 32 ? 1e-3 : 1e-3 + (p.columns - 32) * 2e-5;
  };
  EXPECT_NEAR(Measure(&forward).table.prefill_seconds_per_token, 21 * 2e-5,
              1e-9)
      << "20 layers and the head";
}

TEST(MeasureStepsTest, WhereTheWholeStepDisagreesTheWindowIsWidened) {
  ClockForward forward;
  // The layers before the last five are slow.
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return p.layer < 15 ? 2e-3 : 1e-3;
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_GT(steps.window, 3);
  EXPECT_NEAR(steps.table.Seconds(1, 0), 0.036, 0.036 * 0.15);
  EXPECT_NEAR(steps.whole_ratio, 1, 0.15);
}

// A neighbour has the machine for the first whole steps: no more layers are
// timed than are needed, and prompts still have their time.
TEST(MeasureStepsTest, ABusyMomentWidensNoWindow) {
  ClockForward forward;
  forward.layer_bytes_ = 100 << 20;
  forward.part_seconds_ = [&](const ClockForward::Part& p) {
    const bool busy = forward.steps_ == 3 || forward.steps_ == 4;
    return 4 * Even(p) * (busy ? 1.4 : 1);
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_EQ(steps.window, 2);
  EXPECT_NEAR(steps.whole_ratio, 1, 1e-6);
  EXPECT_TRUE(steps.wide);
  EXPECT_TRUE(steps.steady());
}

// The first 20 ms are somebody else's: a model of 0.3 ms a step is measured for
// longer.
TEST(MeasureStepsTest, ASmallModelOutlastsABusyMoment) {
  ClockForward forward;
  forward.layers_ = 2;
  forward.layer_bytes_ = 1 << 20;
  forward.part_seconds_ = [&](const ClockForward::Part& p) {
    const bool busy = forward.clock_ < 100.020;
    return (busy ? 10 : 1) * 1e-6 * (p.columns + 100);
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_NEAR(steps.table.Seconds(1, 0), 3 * 101e-6, 1e-9);
  EXPECT_NEAR(steps.table.Seconds(32, 0), 3 * 132e-6, 1e-9);
  EXPECT_LT(steps.seconds, 0.2);
}

// Every other step waits for a neighbour.
TEST(MeasureStepsTest, StepsThatDifferAreOfABusyMachine) {
  ClockForward forward;
  forward.layers_ = 2;
  forward.layer_bytes_ = 1 << 20;
  forward.part_seconds_ = [&](const ClockForward::Part& p) {
    return (forward.steps_ % 3 == 0 ? 1 : 2) * 1e-5 * (p.columns + 100);
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_NEAR(steps.spread, 2, 0.2);
  EXPECT_FALSE(steps.steady());
}

TEST(MeasureStepsTest, OneStepNowIsTheBestOfAFew) {
  ClockForward forward;
  forward.part_seconds_ = [&](const ClockForward::Part& p) {
    return Even(p) * (forward.steps_ == 3 ? 1 : 2);
  };
  const auto now = [&] { return forward.clock_; };
  EXPECT_NEAR(StepSeconds(&forward, {}, now), 20 * 1.01e-3 + 0.005, 1e-9);
  EXPECT_EQ(forward.steps_, 4);
}

TEST(MeasureStepsTest, WithoutTimeForPromptsItIsNotSteady) {
  ClockForward forward;
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return 0.1 * p.columns;
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_LT(steps.table.columns.back(), 32);
  EXPECT_FALSE(steps.wide);
  EXPECT_FALSE(steps.steady());
}

// Layers that nobody has been to yet are slow twice; what is measured is what
// they take then.
TEST(MeasureStepsTest, WhereMemoryIsColdItIsWarmedUpFirst) {
  ClockForward forward;
  std::vector<int> visits(21);
  forward.part_seconds_ = [&](const ClockForward::Part& p) {
    const int visit = visits[static_cast<size_t>(p.layer)]++;
    if (p.layer >= 17) return Even(p);  // of the window, which has warmed up
    return Even(p) * (visit == 0 ? 50 : visit == 1 ? 10 : 1);
  };
  const MeasuredSteps steps = Measure(&forward);
  ClockForward warm;
  warm.part_seconds_ = Even;
  const MeasuredSteps expected = Measure(&warm);
  EXPECT_NEAR(steps.whole_ratio, 1, 1e-6);
  EXPECT_EQ(steps.window, expected.window);
  ASSERT_EQ(steps.table.columns, expected.table.columns);
  for (size_t i = 0; i < steps.table.seconds.size(); ++i) {
    EXPECT_NEAR(steps.table.seconds[i], expected.table.seconds[i], 1e-9);
  }
}

TEST(MeasureStepsTest, TheStaircaseNeverDecreases) {
  ClockForward forward;
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return p.columns == 4 ? 2e-3 : 1e-3;  // five for less than four
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_TRUE(std::ranges::is_sorted(steps.table.seconds));
  EXPECT_DOUBLE_EQ(steps.table.Seconds(5, 0), steps.table.Seconds(4, 0));
}

TEST(MeasureStepsTest, AModelOfOneSecondAStepIsMeasuredInTwo) {
  ClockForward forward;
  forward.layer_bytes_ = 400 << 20;
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return 0.047 * std::max(1.0, p.columns / 8.0);
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_LE(forward.clock_ - 100, 2);
  EXPECT_NEAR(steps.seconds, forward.clock_ - 100, 1e-9);
  EXPECT_EQ(steps.window, 2);
  EXPECT_EQ(steps.table.columns.front(), 1);
  EXPECT_GE(steps.table.columns.back(), 8);
  EXPECT_NEAR(steps.table.Seconds(1, 0), 0.047 * 21, 1e-9);
}

TEST(MeasureStepsTest, AHopelesslySlowModelStillHasItsFirstEntry) {
  ClockForward forward;
  forward.layer_bytes_ = 400 << 20;
  forward.part_seconds_ = [](const ClockForward::Part&) { return 5; };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_EQ(steps.table.columns, std::vector<int>{1});
  EXPECT_DOUBLE_EQ(steps.table.Seconds(1, 0), 105);
  EXPECT_EQ(steps.whole_ratio, 0) << "not checked";
  EXPECT_LE(forward.steps_, 3);
}

TEST(MeasureStepsTest, ASmallModelIsMeasuredWholeAndAtOnce) {
  ClockForward forward;
  forward.layers_ = 4;
  forward.layer_bytes_ = 1 << 20;
  forward.part_seconds_ = [](const ClockForward::Part& p) {
    return 2e-5 * (p.columns + 5);
  };
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_EQ(steps.window, 4);
  EXPECT_EQ(steps.table.columns.size(), 15u);
  EXPECT_LT(steps.seconds, 0.35) << "that is six prompts of 512 tokens";
}

TEST(MeasureStepsTest, NothingIsAskedThatTheModelCannotDo) {
  ClockForward forward;
  forward.part_seconds_ = Even;
  forward.columns_max_ = 4;
  forward.pages_ = 1;
  const MeasuredSteps steps = Measure(&forward);
  EXPECT_EQ(steps.table.columns, (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(steps.table.kv_seconds_per_context_token, 0);
  // On one page the columns are of one sequence, with a little context.
  EXPECT_NEAR(steps.table.prefill_seconds_per_token, 2e-4, 1e-6);
}

TEST(MeasureStepsTest, OneLayerIsEnough) {
  ClockForward forward;
  forward.layers_ = 1;
  forward.part_seconds_ = [](const ClockForward::Part&) { return 1e-3; };
  EXPECT_NEAR(Measure(&forward).table.Seconds(1, 0), 2e-3, 1e-9);
}

}  // namespace
}  // namespace aio::engine
