// SPDX-License-Identifier: Apache-2.0
//
// A fixed set of threads that run one function together and meet again: the
// parallel loop of the kernels. The caller is thread 0, so a pool of one has no
// threads at all. Between runs, and where they meet within one, the threads
// spin for some tens of microseconds (the gap between two matrix products of
// one step), then park.
//
// Thread safety: one caller at a time; Run may not be called from inside Run.
// Cost: no allocation; below 1 us per Run or Meet while the threads spin.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace aio {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// The part of [0, total) that falls to `part` of `parts`: contiguous, cut at
// multiples of `grain`, sizes differing by at most one grain.
inline Range Share(int64_t total, int part, int parts, int64_t grain = 1) {
  const int64_t grains = (total + grain - 1) / grain;
  const auto cut = [&](int64_t i) {
    // Not grains * i / parts: that could overflow.
    const int64_t at = grains / parts * i + grains % parts * i / parts;
    return std::min(at * grain, total);
  };
  return {cut(part), cut(part + 1)};
}

class ThreadPool {
 public:
  // Thread i is pinned to cpus[i], or to none if the list is empty. A processor
  // that the system refuses is logged, and its thread runs anywhere.
  // REQUIRES: threads >= 1; cpus empty, or one for each thread at least.
  explicit ThreadPool(int threads, std::vector<int> cpus = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Pins the calling thread as thread 0: for the one that calls Run from here
  // on.
  void PinCaller() const { Pin(0); }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(thread) once for each thread in 0..threads()-1, each on its own
  // thread, and returns when all have returned. What the caller wrote before is
  // seen by every thread, and what they wrote is seen after.
  template <typename Function>
  void Run(const Function& fn) {
    RunErased(&fn, [](const void* f, int thread) {
      (*static_cast<const Function*>(f))(thread);
    });
  }

  // From inside Run, by every thread: returns when all have called it. What any
  // of them wrote before is seen by all after.
  void Meet();
  // How often they have met; a pool of one never does. Wraps.
  uint32_t meetings() const {
    return meetings_.load(std::memory_order_acquire);
  }

 private:
  using Call = void (*)(const void*, int);

  void RunErased(const void* function, Call call);
  void Work(int thread);
  void Pin(int thread) const;

  // Each on a cache line of its own: one is written by the caller only, the
  // other by every thread at its end.
  alignas(64) std::atomic<uint32_t> epoch_{0};  // counts runs
  alignas(64) std::atomic<int32_t> running_{0};
  // Threads at the meeting under way, and meetings held.
  alignas(64) std::atomic<int32_t> met_{0};
  alignas(64) std::atomic<uint32_t> meetings_{0};
  // Written before epoch_ changes, read after.
  alignas(64) const void* function_ = nullptr;
  Call call_ = nullptr;
  bool stopping_ = false;
  const std::vector<int> cpus_;  // [thread], or none
  std::vector<std::thread> workers_;
};

}  // namespace aio
