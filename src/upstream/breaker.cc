// SPDX-License-Identifier: Apache-2.0
#include "upstream/breaker.h"

#include <cmath>

namespace aio::upstream {
namespace {

// Requests that "of late" is about.
constexpr double kMemory = 50;

}  // namespace

void Breaker::Succeeded(Time now) {
  in_row_ = 0;
  failed_ *= 1 - 1 / kMemory;
  all_ = all_ * (1 - 1 / kMemory) + 1;
  if (ejected_ && StateAt(now) == State::kTrial) {
    ejected_ = by_health_ = false;
    health_in_row_ = 0;
    failed_ = all_ = 0;
    ready_since_ = now;
    slow_ = true;
  } else if (!ejected_ && now - ready_since_ > options_.good) {
    again_ = 0;
  }
}

void Breaker::Failed(Time now) {
  ++in_row_;
  failed_ = failed_ * (1 - 1 / kMemory) + 1;
  all_ = all_ * (1 - 1 / kMemory) + 1;
  // What was sent before it was ejected tells nothing new.
  if (StateAt(now) == State::kEjected) return;
  const bool half =
      all_ >= options_.samples_min && failed_ >= options_.failure_share * all_;
  if (ejected_ || in_row_ >= options_.failures_max || half) {
    by_health_ = false;
    Eject(now);
  }
}

void Breaker::HealthPassed(Time now) {
  health_in_row_ = 0;
  if (ejected_ && by_health_) ejected_until_ = std::min(ejected_until_, now);
}

void Breaker::HealthFailed(Time now) {
  if (++health_in_row_ < options_.health_failures) return;
  if (!ejected_) {
    by_health_ = true;
    Eject(now);
  } else if (by_health_) {
    // For as long as they fail.
    ejected_until_ = std::max(ejected_until_, now + options_.eject_for_max);
  }
}

void Breaker::Reset() {
  const int64_t ejections = ejections_;
  *this = Breaker(options_);
  ejections_ = ejections;
}

void Breaker::Eject(Time now) {
  constexpr int kDoublingsMax = 20;
  const double longer = std::exp2(std::min(again_, kDoublingsMax));
  const double seconds = std::min(Seconds(options_.eject_for) * longer,
                                  Seconds(options_.eject_for_max));
  ejected_ = true;
  ejected_until_ = now + FromSeconds(seconds);
  if (by_health_) ejected_until_ = now + options_.eject_for_max;
  ++again_;
  ++ejections_;
  in_row_ = 0;
  failed_ = all_ = 0;
}

Breaker::State Breaker::StateAt(Time now) const {
  if (!ejected_) return State::kReady;
  return now < ejected_until_ ? State::kEjected : State::kTrial;
}

// From one to all of them in a straight line.
int Breaker::LimitAt(Time now, int most) const {
  switch (StateAt(now)) {
    case State::kEjected:
      return 0;
    case State::kTrial:
      return std::min(1, most);
    case State::kReady:
      break;
  }
  if (!slow_ || now - ready_since_ >= options_.slow_start) return most;
  const double share =
      Seconds(now - ready_since_) / Seconds(options_.slow_start);
  return std::clamp(static_cast<int>(share * most), std::min(1, most), most);
}

}  // namespace aio::upstream
