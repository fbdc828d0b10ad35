// SPDX-License-Identifier: Apache-2.0
//
// Waiting for another thread that is about to be done: spins for some tens of
// microseconds, then parks.
#pragma once

#include <atomic>
#include <thread>

namespace aio {

inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`; returns what it became. What the
// thread that changed it wrote before, with release, is seen after. Who changes
// it must notify.
template <typename T>
T AwaitChange(const std::atomic<T>& value, T old) {
  // Some tens of microseconds; a parked thread costs its waker a system call.
  constexpr int kSpins = 2000;
  for (int i = 0; i < kSpins; ++i) {
    const T now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    // With more threads than cores, whoever is awaited may need this core.
    if (i % 256 == 255) std::this_thread::yield();
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace aio
