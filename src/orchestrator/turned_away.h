// SPDX-License-Identifier: Apache-2.0
//
// When a client that was turned away had better come back: as soon as those
// who were turned away before it have found a place, at the rate at which
// places have become free.
//
// Thread safety: none; used on the orchestrator's executor only.
#pragma once

#include "base/executor.h"

namespace aio::orchestrator {

class TurnedAway {
 public:
  // Seconds until that client should come back, 1..60; 1 where nothing has
  // ended yet.
  int Refused(Time now);
  // A place has become free.
  void Ended(Time now);

 private:
  double RateOf(Time now) const;

  double waiting_ = 0;  // turned away, and no place has become free for them
  double ended_ = 0;    // forgotten with time
  Time at_{};           // of it
  Time began_{};        // first end
};

}  // namespace aio::orchestrator
