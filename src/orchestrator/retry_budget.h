// SPDX-License-Identifier: Apache-2.0
//
// How often failed attempts may be made again elsewhere: a share of all
// requests and a few besides, so that a fleet that is failing under its load is
// not sent half as much again.
//
// Thread safety: none.
#pragma once

#include <algorithm>

namespace aio::orchestrator {

class RetryBudget {
 public:
  // What may be taken at once: as much as waits at one dead replica.
  static constexpr double kBurst = 32;

  explicit RetryBudget(double share) : share_(share) {}

  void Requested() { left_ = std::min(left_ + share_, kBurst + share_); }
  // True: one more attempt may be made.
  bool Take() {
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double share_;
  double left_ = kBurst;
};

}  // namespace aio::orchestrator
