// SPDX-License-Identifier: Apache-2.0
#include "sched/turns.h"

#include <gtest/gtest.h>

#include <algorithm>
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
        work(step.size(), true),
        turns(static_cast<int>(step.size()), kSlice) {}

  // The next turn; whose.
  int Run() {
    const int m = turns.Next([&](int i) { return work[i]; });
    if (left[m] == Duration(0)) left[m] = step[m];
    const Duration time = std::min(left[m], kSlice);
    left[m] -= time;
    turns.Charge(m, time, left[m] == Duration(0));
    return m;
  }
  // What is known between two turns.
  std::vector<Duration> Left() const {
    std::vector<Duration> out = left;
    for (size_t i = 0; i < out.size(); ++i) {
      if (!work[i]) out[i] = kNoWork;
    }
    return out;
  }

  std::vector<Duration> step, left;
  std::vector<bool> work;
  Turns turns;
};

TEST(TurnsTest, AnIdleDeviceIsFreeAtOnce) {
  Device device({milliseconds(20), milliseconds(340)});
  device.work = {false, false};
  const auto next = device.turns.NextStepOf(1, {}, device.Left());
  EXPECT_EQ(next.until, Duration(0));
  EXPECT_EQ(next.run, Duration::max()) << "nobody else is there";
}

TEST(TurnsTest, WhoComesWaitsForTheTurnUnderWay) {
  Device device({milliseconds(20), milliseconds(340)});
  device.work[0] = false;
  device.Run();
  // 80 ms of a step of 340 are done, and 30 of the next turn.
  const Turns::Turn turn = {1, kSlice, milliseconds(50)};
  const auto next = device.turns.NextStepOf(0, turn, device.Left());
  EXPECT_EQ(next.until, milliseconds(50));
  EXPECT_EQ(next.run, Duration(0)) << "it begins level";
}

TEST(TurnsTest, AStepUnderWayEndsFirst) {
  Device device({milliseconds(20), milliseconds(340)});
  device.work[0] = false;
  device.Run();
  // 260 ms are left of it, alone.
  const auto next = device.turns.NextStepOf(1, {}, device.Left());
  EXPECT_EQ(next.until, milliseconds(260));
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
