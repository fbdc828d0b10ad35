// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <numeric>

namespace aio {
namespace {

TEST(ThreadPoolTest, RunsEachThreadIndexOnce) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    std::array<int, 8> calls{};  // each thread writes its own element
    for (int run = 1; run <= 100; ++run) {
      pool.Run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
      for (int t = 0; t < 8; ++t) {
        ASSERT_EQ(calls[static_cast<size_t>(t)], t < threads ? run : 0);
      }
    }
  }
}

TEST(ThreadPoolTest, APoolOfOneRunsOnTheCaller) {
  ThreadPool pool(1);
  std::thread::id id;
  pool.Run([&](int) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(ThreadPoolTest, OneRunSeesWhatTheRunBeforeWrote) {
  ThreadPool pool(3);
  std::array<int64_t, 3> values = {1, 1, 1};
  std::array<int64_t, 3> next{};
  for (int run = 0; run < 30; ++run) {
    pool.Run([&](int t) {  // reads what the others wrote last time
      next[static_cast<size_t>(t)] =
          std::accumulate(values.begin(), values.end(), int64_t{0}) % 1000003;
    });
    pool.Run([&](int t) {
      values[static_cast<size_t>(t)] = next[static_cast<size_t>(t)] + t;
    });
  }
  int64_t a = 1, b = 1, c = 1;
  for (int run = 0; run < 30; ++run) {
    const int64_t sum = (a + b + c) % 1000003;
    a = sum, b = sum + 1, c = sum + 2;
  }
  EXPECT_EQ(values, (std::array<int64_t, 3>{a, b, c}));
}

TEST(ThreadPoolTest, ThreadsThatParkedAreWoken) {
  ThreadPool pool(2);
  std::atomic<int> calls{0};
  for (int run = 1; run <= 3; ++run) {
    // Far longer than the threads spin. Busy, not asleep.
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    while (std::chrono::steady_clock::now() < end) {
    }
    pool.Run([&](int) { ++calls; });
    EXPECT_EQ(calls, 2 * run);
  }
}

TEST(ThreadPoolTest, StopsWithoutEverHavingRun) { ThreadPool pool(4); }

TEST(ShareTest, PartsCoverEverythingOnceAndCutAtGrains) {
  for (const int64_t total : {0, 1, 7, 8, 63, 64, 65, 1000}) {
    for (const int parts : {1, 2, 3, 5}) {
      for (const int64_t grain : {1, 4, 16}) {
        int64_t at = 0;
        for (int i = 0; i < parts; ++i) {
          const Range r = Share(total, i, parts, grain);
          EXPECT_EQ(r.begin, at);
          EXPECT_LE(r.begin, r.end);
          EXPECT_TRUE(r.end == total || r.end % grain == 0);
          at = r.end;
        }
        EXPECT_EQ(at, total);
      }
    }
  }
}

// Each round, every thread reads what all others wrote in the round before.
TEST(ThreadPoolTest, ThreadsThatMeetSeeWhatTheOthersWrote) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    std::vector<int> values(static_cast<size_t>(threads), 0);
    std::atomic<int> wrong = 0;
    for (int run = 0; run < 20; ++run) {
      std::fill(values.begin(), values.end(), 0);
      pool.Run([&](int thread) {
        for (int round = 1; round <= 50; ++round) {
          values[static_cast<size_t>(thread)] = round;
          pool.Meet();
          for (const int v : values) wrong += v == round ? 0 : 1;
          pool.Meet();
        }
      });
    }
    EXPECT_EQ(wrong, 0) << threads << " threads";
  }
}

}  // namespace
}  // namespace aio
