// SPDX-License-Identifier: Apache-2.0
//
// What has been asked of late, by which variants were good enough for it, and
// which of them are better left asleep for it (cost/device_plan.h).
//
// Thread safety: none; used on the orchestrator's executor only.
// Invariants: memory is bounded by kClassesMost.
#pragma once

#include <cstddef>
#include <vector>

#include "cost/device_plan.h"
#include "cost/estimate.h"
#include "orchestrator/orchestrator.h"

namespace aio::orchestrator {

class Traffic {
 public:
  // `costs` must outlive it.
  explicit Traffic(const Costs* costs);

  // A request that the variants `good` would have done for.
  void Add(const std::vector<bool>& good, const cost::Estimate& estimate);

  // [variant] with so many requests on each device.
  std::vector<bool> Asleep(const std::vector<size_t>& in_flight) const;

 private:
  static constexpr size_t kClassesMost = 16;

  const Costs& costs_;
  std::vector<cost::TrafficClass> classes_;  // of all variants
};

}  // namespace aio::orchestrator
