// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <utility>

#include "base/affinity.h"
#include "base/await.h"
#include "base/check.h"
#include "base/log.h"

namespace aio {
ThreadPool::ThreadPool(int threads, std::vector<int> cpus)
    : cpus_(std::move(cpus)) {
  CHECK(threads >= 1);
  CHECK(cpus_.empty() || cpus_.size() >= static_cast<size_t>(threads));
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { Work(i); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(const void* function, Call call) {
  if (workers_.empty()) return call(function, 0);
  function_ = function;
  call_ = call;
  running_.store(static_cast<int32_t>(workers_.size()),
                 std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  call(function, 0);
  int32_t left = running_.load(std::memory_order_acquire);
  while (left != 0) left = AwaitChange(running_, left);
}

void ThreadPool::Meet() {
  if (workers_.empty()) return;
  // Read before arriving: the last to arrive changes it.
  const uint32_t seen = meetings_.load(std::memory_order_acquire);
  if (met_.fetch_add(1, std::memory_order_acq_rel) + 1 < threads()) {
    AwaitChange(meetings_, seen);
    return;
  }
  met_.store(0, std::memory_order_relaxed);
  meetings_.fetch_add(1, std::memory_order_release);
  meetings_.notify_all();
}

void ThreadPool::Pin(int thread) const {
  if (cpus_.empty()) return;
  const auto pinned = PinThisThread(cpus_[static_cast<size_t>(thread)]);
  if (!pinned) Log(LogLevel::kWarning, pinned.error().message);
}

void ThreadPool::Work(int thread) {
  Pin(thread);
  for (uint32_t seen = 0;;) {
    seen = AwaitChange(epoch_, seen);
    if (stopping_) return;
    call_(function_, thread);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      running_.notify_one();
    }
  }
}

}  // namespace aio
