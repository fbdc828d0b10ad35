// SPDX-License-Identifier: Apache-2.0
//
// Whether one replica of an upstream may be sent requests, from how they and
// its health checks have gone. A replica that fails is ejected for a while,
// longer each time; then a single request tries it; and one that is back gets
// its load little by little.
//
//   ready --failures in a row, or half of many--> ejected --time--> trial
//   trial --success--> ready (slow start)         trial --failure--> ejected
//
// What the client is to blame for (4xx) is neither a success nor a failure.
//
// Thread safety: none. No clock: the time comes in.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/executor.h"

namespace aio::upstream {

class Breaker {
 public:
  struct Options {
    int failures_max = 5;     // in a row
    int health_failures = 3;  // checks in a row
    // The other way to be ejected: of at least so many requests of late, so
    // large a share.
    int samples_min = 20;
    double failure_share = 0.5;
    Duration eject_for = std::chrono::seconds(1);  // doubled each time
    // Short: a trial is one request, which may be made again elsewhere, and
    // nobody else finds out that it is well.
    Duration eject_for_max = std::chrono::seconds(5);
    // Ready for so long, it begins with eject_for again.
    Duration good = std::chrono::seconds(20);
    Duration slow_start = std::chrono::seconds(10);
  };
  enum class State : uint8_t { kReady, kTrial, kEjected };

  Breaker() : Breaker(Options()) {}
  explicit Breaker(const Options& options) : options_(options) {}

  // A request was answered; took too long, was cut or came back as a 5xx.
  void Succeeded(Time now);
  void Failed(Time now);
  // A check of its health, which sends no request. One that passes ends no
  // ejection, but a replica that only checks have ejected is tried at once.
  void HealthPassed(Time now);
  void HealthFailed(Time now);
  // Until then it does not want requests (Retry-After).
  void Busy(Time until) { busy_until_ = std::max(busy_until_, until); }
  // It is another server now.
  void Reset();

  State StateAt(Time now) const;
  // How many requests it may have at once, of at most `most`; 0: none now.
  int LimitAt(Time now, int most) const;
  bool busy(Time now) const { return now < busy_until_; }
  int64_t ejections() const { return ejections_; }

 private:
  void Eject(Time now);

  Options options_;
  int in_row_ = 0;               // failures
  int health_in_row_ = 0;        // failed checks
  double failed_ = 0, all_ = 0;  // of late: means that forget
  bool ejected_ = false;
  bool by_health_ = false;
  Time ejected_until_{};
  int again_ = 0;  // ejections without a good while between
  Time ready_since_{};
  bool slow_ = false;  // it starts slowly, since ready_since_
  Time busy_until_{};
  int64_t ejections_ = 0;
};

}  // namespace aio::upstream
