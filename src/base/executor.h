// SPDX-License-Identifier: Apache-2.0
//
// Where time comes from and where work runs. Code below server/ and cli/ never
// asks the operating system for the time nor starts a thread to wait: it is
// given an Executor, so that a test turns the clock by hand and a simulation
// runs a day in a second.
//
// Implementations: AsioExecutor (production), ManualExecutor (tests and
// simulations).
#pragma once

#include <chrono>
#include <functional>

namespace aio {

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline double Seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
inline Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

class Executor {
 public:
  virtual ~Executor() = default;
  virtual Time Now() const = 0;
  // Runs `work` soon, after the caller has returned. Tasks of one executor
  // never overlap unless the implementation says so. Any thread may call.
  virtual void Post(std::function<void()> work) = 0;
  // The same, not before `when`. There is no cancel: a task that may have
  // become pointless checks that itself.
  virtual void PostAt(Time when, std::function<void()> work) = 0;
};

}  // namespace aio
