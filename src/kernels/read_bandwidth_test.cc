// SPDX-License-Identifier: Apache-2.0
#include "kernels/read_bandwidth.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "kernels/target.h"

namespace aio::kernels {
namespace {

// A loop that skipped words would look fast and be no measure.
TEST(ReadBandwidthTest, EveryLoopReadsEveryWordOnce) {
  AlignedBuffer<uint64_t> words(64 * 9 + 16);
  for (size_t i = 0; i < words.size(); ++i) words[i] = Mix(i);
  ForEachTarget([&](std::string_view target) {
    SCOPED_TRACE(target);
    for (int64_t n = 0; n < static_cast<int64_t>(words.size()); ++n) {
      uint64_t want = 0;
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) want += words[i];
      for (int loop = 0; loop < kReadLoops; ++loop) {
        ASSERT_EQ(SumWords(loop, words.data(), n), want) << loop << " " << n;
      }
    }
  });
}

TEST(ReadBandwidthTest, TheThreadsReadTheWholeBufferTogether) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    ReadBandwidth bandwidth(&pool, 100001);
    ASSERT_EQ(bandwidth.bytes(), 100032);
    const uint64_t n = 100032 / 8;
    for (int loop = 0; loop < kReadLoops; ++loop) {
      const uint64_t before = bandwidth.check();
      bandwidth.Read(loop);
      EXPECT_EQ(bandwidth.check() - before, n * (n - 1) / 2);
    }
  }
}

TEST(ReadBandwidthTest, TheFastestLoopIsThatOfTheLeastTime) {
  ThreadPool pool(1);
  ReadBandwidth bandwidth(&pool, 64);
  // Two readings a run: the second loop's second run takes 1, all others 2.
  double time = 0;
  int readings = 0;
  const auto clock = [&] {
    const int run = readings / 2;
    if (readings++ % 2 == 1) time += run == 1 + kReadLoops ? 1 : 2;
    return time;
  };
  EXPECT_EQ(bandwidth.FastestLoop(2, clock), 1);
}

}  // namespace
}  // namespace aio::kernels
