// SPDX-License-Identifier: Apache-2.0
//
// What the orchestrator has assigned and a snapshot does not show yet. Without
// it a burst herds: all of its requests see the same idle variant, because a
// backend counts a request only when its own thread has taken it in.
//
// A reservation of a variant carries the admission number at which the backend
// will have seen it: what the snapshot showed, plus the reservations already
// outstanding, plus one. It is dropped as soon as a snapshot has reached that
// number, so no request is counted twice.
//
// Thread safety: none; used on the orchestrator's executor only.
// Cost: O(reservations of the variant), at most Options::requests_max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/backend.h"

namespace aio::orchestrator {

class Ledger {
 public:
  explicit Ledger(size_t variants) : reserved_(variants) {}

  // `snapshot` with the reservations that it does not show added to `queued`;
  // drops those that it does show.
  core::Snapshot Correct(size_t variant, core::Snapshot snapshot);

  // Notes that `request` is about to start. REQUIRES: not yet reserved.
  void Reserve(size_t variant, uint64_t request,
               const core::Snapshot& snapshot);

  // `request` has ended; `snapshot` is taken now. If the backend never admitted
  // it, those behind it move up one number.
  void Release(size_t variant, uint64_t request,
               const core::Snapshot& snapshot);

  size_t outstanding(size_t variant) const { return reserved_[variant].size(); }

 private:
  struct Reservation {
    uint64_t request = 0;
    uint64_t admission = 0;
  };
  void Drop(size_t variant, uint64_t admissions);

  std::vector<std::vector<Reservation>> reserved_;  // [variant], oldest first
};

}  // namespace aio::orchestrator
