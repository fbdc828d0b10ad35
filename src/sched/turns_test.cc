// SPDX-License-Identifier: Apache-2.0
#include "sched/turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace aio::sched {
namespace {

using std::chrono::milliseconds;

constexpr Duration kSlice = milliseconds(80);
constexpr Duration kNoWork(-1);

// Turns of models whose steps take so long, played as an engine does.
struct Device {
  explicit Device(std::vector<Duration> steps)
      : step(std::move(steps)),
        left(step.size()),
        requests(step.size(), 1),
        turns(static_cast<int>(step.size()), kSlice) {}

  // The next turn; whose.
  int Run() {
    const int m = turns.Next([&](int i) { return requests[i]; });
    if (left[m] == Duration(0)) left[m] = step[m];
    const Duration time = std::min(left[m], kSlice);
    left[m] -= time;
    turns.Charge(m, time, left[m] == Duration(0));
    return m;
  }
  // Seconds that each model has in so many turns.
  std::vector<double> Had(int count) {
    std::vector<double> had(step.size());
    for (; count > 0; --count) {
      const std::vector<Duration> before = left;
      const int m = Run();
      had[m] +=
          Seconds((before[m] > Duration(0) ? before[m] : step[m]) - left[m]);
    }
    return had;
  }
  // What is known between two turns.
  std::vector<Duration> Left() const {
    std::vector<Duration> out = left;
    for (size_t i = 0; i < out.size(); ++i) {
      if (requests[i] == 0) out[i] = kNoWork;
    }
    return out;
  }

  std::vector<Duration> step, left;
  std::vector<int> requests;  // [model]
  Turns turns;
};

TEST(TurnsTest, AnIdleDeviceIsFreeAtOnce) {
  Device device({milliseconds(20), milliseconds(340)});
  device.requests = {0, 0};
  const auto next = device.turns.NextStepOf(1, {}, device.Left());
  EXPECT_EQ(next.until, Duration(0));
  EXPECT_EQ(next.run, Duration::max()) << "nobody else is there";
}

TEST(TurnsTest, WhoComesWaitsForTheTurnUnderWay) {
  Device device({milliseconds(20), milliseconds(340)});
  device.requests[0] = 0;
  device.Run();
  // 80 ms of a step of 340 are done, and 30 of the next turn.
  const Turns::Turn turn = {1, kSlice, milliseconds(50)};
  const auto next = device.turns.NextStepOf(0, turn, device.Left());
  EXPECT_EQ(next.until, milliseconds(50));
  EXPECT_EQ(next.run, Duration(0)) << "it begins level";
}

TEST(TurnsTest, AStepUnderWayEndsFirst) {
  Device device({milliseconds(20), milliseconds(340)});
  device.requests[0] = 0;
  device.Run();
  // 260 ms are left of it, alone.
  const auto next = device.turns.NextStepOf(1, {}, device.Left());
  EXPECT_EQ(next.until, milliseconds(260));
}

TEST(TurnsTest, TimeGoesByTheRootOfTheRequests) {
  Device device({milliseconds(20), milliseconds(30), milliseconds(340)});
  device.requests = {1, 16, 4};
  const std::vector<double> had = device.Had(3000);
  EXPECT_NEAR(had[1] / had[0], 4, 0.02);
  EXPECT_NEAR(had[2] / had[0], 2, 0.02);
}

// A thousand turns, and the mean is nearly there; one, and hardly anything has
// changed.
TEST(TurnsTest, ABurstCountsForMoreTheLongerItIsThere) {
  Device device({milliseconds(20), milliseconds(20)});
  device.Run();
  EXPECT_EQ(device.turns.Weight(0), 1);
  device.requests = {1, 16};
  device.Run();
  EXPECT_NEAR(device.turns.Weight(1), 1, 0.05);
  device.Had(1024);
  EXPECT_NEAR(device.turns.Weight(1), std::sqrt(16 - 15 / std::exp(1)), 0.05);
  // Nor is it forgotten while there is nothing to do.
  device.requests = {1, 0};
  device.Had(1000);
  EXPECT_NEAR(device.turns.Weight(1), std::sqrt(16 - 15 / std::exp(1)), 0.05);
}

TEST(TurnsTest, WhatAFullerModelHadCountsForLess) {
  Device device({milliseconds(20), milliseconds(80)});
  device.requests = {1, 4};
  ASSERT_EQ(device.Run(), 1);
  const auto next = device.turns.NextStepOf(0, {}, device.Left());
  EXPECT_EQ(next.until, Duration(0));
  EXPECT_EQ(next.run, milliseconds(40)) << "of 80: the root of four is two";
}

// Whatever has been, what is foreseen is what comes.
TEST(TurnsTest, ForeseesWhatComes) {
  uint64_t draws = 0;
  const auto random = [&](int most) {
    return static_cast<int>(most * RandomUnit(11, 0, draws++));
  };
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    // Of odd lengths, so that nobody is level with another by chance.
    Device device({Duration(20'000'000 + random(60'000'000)),
                   Duration(20'000'000 + random(300'000'000)),
                   Duration(20'000'000 + random(500'000'000))});
    for (int& n : device.requests) n = 1 + random(16);
    for (int i = random(40) + 40; i > 0; --i) device.Run();
    const int ours = random(3);
    const auto next = device.turns.NextStepOf(ours, {}, device.Left());
    Duration until(0);
    for (;;) {
      Device ahead = device;
      const Duration before = device.left[ours];
      const int m = device.Run();
      if (m == ours && before == Duration(0)) break;
      const Duration began =
          ahead.left[m] > Duration(0) ? ahead.left[m] : ahead.step[m];
      until += std::min(began, kSlice);
    }
    EXPECT_NEAR(Seconds(next.until), Seconds(until), 1e-6);
  }
}

}  // namespace
}  // namespace aio::sched
