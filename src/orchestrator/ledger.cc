// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/ledger.h"

#include <algorithm>

namespace aio::orchestrator {

void Ledger::Drop(size_t variant, uint64_t admissions) {
  std::erase_if(reserved_[variant], [admissions](const Reservation& r) {
    return r.admission <= admissions;
  });
}

core::Snapshot Ledger::Correct(size_t variant, core::Snapshot snapshot) {
  Drop(variant, snapshot.admissions);
  snapshot.queued += static_cast<int>(reserved_[variant].size());
  return snapshot;
}

void Ledger::Reserve(size_t variant, uint64_t request,
                     const core::Snapshot& snapshot) {
  Drop(variant, snapshot.admissions);
  const uint64_t ahead = reserved_[variant].size();
  reserved_[variant].push_back({request, snapshot.admissions + ahead + 1});
}

void Ledger::Release(size_t variant, uint64_t request,
                     const core::Snapshot& snapshot) {
  Drop(variant, snapshot.admissions);
  std::vector<Reservation>& all = reserved_[variant];
  const auto it = std::find_if(
      all.begin(), all.end(),
      [request](const Reservation& r) { return r.request == request; });
  if (it == all.end()) return;
  for (auto behind = it + 1; behind != all.end(); ++behind) {
    --behind->admission;
  }
  all.erase(it);
}

}  // namespace aio::orchestrator
