// SPDX-License-Identifier: Apache-2.0
#include "base/arrivals.h"

#include <gtest/gtest.h>

#include <array>

#include "base/thread_pool.h"

namespace aio {
namespace {

constexpr int kThreads = 3;

TEST(ArrivalsTest, AwaitSeesWhatWasWrittenBeforeAdd) {
  ThreadPool pool(kThreads);
  std::array<int64_t, kThreads> values{};
  Arrivals done;
  for (int round = 1; round <= 200; ++round) {
    std::array<int64_t, kThreads> sums{};
    pool.Run([&](int thread) {
      const auto t = static_cast<size_t>(thread);
      values[t] = round;  // behind the pool's end of the round before
      done.Add(thread + 1);
      done.Await(round * (1 + 2 + 3));
      for (const int64_t v : values) sums[t] += v;
    });
    for (const int64_t sum : sums) ASSERT_EQ(sum, kThreads * round);
  }
  done.Clear();
  done.Add(1);
  done.Await(1);  // enough already: returns
}

TEST(ArrivalsTest, OneThreadIsLastAndSeesWhatAllHaveWritten) {
  ThreadPool pool(kThreads);
  std::array<int64_t, kThreads> values{};
  Arrivals whole;
  for (int round = 1; round <= 200; ++round) {
    std::array<int64_t, kThreads> sums{};
    pool.Run([&](int thread) {
      const auto t = static_cast<size_t>(thread);
      values[t] = round;
      if (!whole.AddLast(kThreads)) return;
      for (const int64_t v : values) sums[t] += v;
    });
    ASSERT_EQ(sums[0] + sums[1] + sums[2], kThreads * round);
  }
}

TEST(ArrivalsTest, APieceOfOneIsWholeAtOnce) {
  Arrivals whole;
  EXPECT_TRUE(whole.AddLast(1));
  EXPECT_FALSE(whole.AddLast(2));
  EXPECT_TRUE(whole.AddLast(2));
}

}  // namespace
}  // namespace aio
