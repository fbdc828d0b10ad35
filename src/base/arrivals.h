// SPDX-License-Identifier: Apache-2.0
//
// Counts how much of a piece of work is done, for threads that need this piece
// alone and would wait too long if all met (ThreadPool::Meet). Two uses: those
// who need it wait until it is whole, or whoever makes it whole goes on with
// it and nobody waits.
//
// Thread safety: any thread may call anything but Clear.
// Cost: no allocation; a cache line, and below 1 us to see what another thread
// has just added.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/await.h"

namespace aio {

class alignas(64) Arrivals {
 public:
  // REQUIRES: no other thread uses it.
  void Clear() { count_.store(0, std::memory_order_relaxed); }

  // What this thread wrote before is seen by those that Await it.
  void Add(int32_t n) {
    count_.fetch_add(n, std::memory_order_release);
    count_.notify_all();
  }

  // Returns when `total` have been added since Clear, or more.
  void Await(int32_t total) const {
    int32_t now = count_.load(std::memory_order_acquire);
    while (now < total) now = AwaitChange(count_, now);
  }

  // For a piece that `total` calls make whole: whether this one did. Then what
  // all of them wrote before is seen, and the count begins anew.
  bool AddLast(int32_t total) {
    if (total == 1) return true;
    if (count_.fetch_add(1, std::memory_order_acq_rel) + 1 < total) {
      return false;
    }
    Clear();
    return true;
  }

 private:
  std::atomic<int32_t> count_{0};
};

}  // namespace aio
