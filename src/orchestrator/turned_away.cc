// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/turned_away.h"

#include <algorithm>
#include <cmath>

namespace aio::orchestrator {
namespace {

constexpr double kMemorySeconds = 60;
constexpr double kMost = 60;

}  // namespace

// A second. A mean over less time than it remembers has had less to count.
double TurnedAway::RateOf(Time now) const {
  if (ended_ == 0) return 0;
  const double seconds = std::max(1.0, Seconds(now - began_));
  const double counted =
      kMemorySeconds * -std::expm1(-seconds / kMemorySeconds);
  return ended_ * std::exp(-Seconds(now - at_) / kMemorySeconds) / counted;
}

int TurnedAway::Refused(Time now) {
  waiting_ += 1;
  const double rate = RateOf(now);
  if (rate <= 0) return 1;
  return static_cast<int>(std::ceil(std::clamp(waiting_ / rate, 1.0, kMost)));
}

void TurnedAway::Ended(Time now) {
  if (ended_ == 0) began_ = now;
  ended_ = ended_ * std::exp(-Seconds(now - at_) / kMemorySeconds) + 1;
  at_ = now;
  waiting_ = std::max(0.0, waiting_ - 1);
}

}  // namespace aio::orchestrator
