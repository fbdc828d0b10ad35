// SPDX-License-Identifier: Apache-2.0
//
// How many bytes a second all threads together read, doing nothing else: the
// limit that decoding is held against. A slow loop would flatter every share of
// it, so that several are tried and the fastest counts: which one that is
// differs between machines, and between one thread and several.
//
// Thread safety: none; one thread, which the pool's caller is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "tensor/aligned_buffer.h"

namespace aio::kernels {

// Vectors of 32 bytes, of the machine's own width, and the latter with lines
// prefetched past the outer caches.
inline constexpr int kReadLoops = 3;

// The sum of the 64-bit words, wrapping, by one of the loops. `words` is
// aligned to 64 bytes.
uint64_t SumWords(int loop, const uint64_t* words, int64_t count);

class ReadBandwidth {
 public:
  // Bytes to read over: as many as the model has, since what fits a cache is
  // read faster. Rounded up to whole cache lines. `pool` must outlive this.
  ReadBandwidth(ThreadPool* pool, int64_t bytes);

  int64_t bytes() const { return words() * int64_t{sizeof(uint64_t)}; }

  // Reads everything once by one loop.
  void Read(int loop);
  // The loop that was fastest in `runs` of each, by a clock in seconds.
  template <typename Clock>
  int FastestLoop(int runs, const Clock& now);

  // Keeps the reads from being optimised away.
  uint64_t check() const { return check_; }

 private:
  int64_t words() const { return static_cast<int64_t>(buffer_.size()); }

  ThreadPool* pool_;
  AlignedBuffer<uint64_t> buffer_;
  AlignedBuffer<uint64_t> sums_;  // [threads] of a cache line
  uint64_t check_ = 0;
};

template <typename Clock>
int ReadBandwidth::FastestLoop(int runs, const Clock& now) {
  int fastest = 0;
  double least = 0;
  for (int i = 0; i < kReadLoops * runs; ++i) {
    const double begin = now();
    Read(i % kReadLoops);
    const double seconds = now() - begin;
    if (i > 0 && seconds >= least) continue;
    least = seconds;
    fastest = i % kReadLoops;
  }
  return fastest;
}

}  // namespace aio::kernels
