// SPDX-License-Identifier: Apache-2.0
#include "sched/views.h"

#include <algorithm>

#include "base/random.h"

namespace aio::sched {

uint64_t SaltOf(core::View view, uint64_t tenant) {
  if (view == core::View::k8) return tenant;
  return Mix(tenant ^ Mix(static_cast<uint64_t>(view)));
}

bool OrderByView(std::span<const core::View> views,
                 const std::function<int(SequenceId)>& view_of, StepPlan* plan,
                 std::vector<Part>* parts) {
  const auto reads = [&](const Slice& slice) {
    return views[static_cast<size_t>(view_of(slice.id))];
  };
  const bool coarse = std::ranges::none_of(
      plan->slices, [&](const auto& x) { return reads(x) == core::View::k8; });
  const auto fine = [&](const Slice& slice) {
    return !coarse && reads(slice) != core::View::k4;
  };
  std::stable_partition(plan->slices.begin(), plan->slices.end(), fine);
  parts->clear();
  for (const Slice& slice : plan->slices) {
    parts->push_back({view_of(slice.id), fine(slice)});
  }
  return coarse;
}

cost::StepSize SizeOf(const StepPlan& plan, std::span<const Part> parts) {
  cost::StepSize size = {.columns = plan.columns};
  size.coarse = std::ranges::none_of(parts, &Part::fine);
  for (const Slice& slice : plan.slices) {
    if (slice.known() > 1) {
      size.Add(slice.begin, slice.count);
    } else {
      size.context_tokens += slice.begin + slice.count;
    }
  }
  return size;
}

WeightShares::WeightShares(int64_t weight_bytes, int64_t coarse_bytes,
                           const StepPlan& plan, std::span<const Part> parts)
    : coarse_(static_cast<double>(coarse_bytes)),
      rest_(static_cast<double>(weight_bytes - coarse_bytes)),
      columns_(plan.columns) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].fine) fine_ += plan.slices[i].count;
  }
}

double WeightShares::Of(int columns, int fine) const {
  double bytes = coarse_ * columns / columns_;
  if (fine > 0) bytes += rest_ * fine / fine_;
  return bytes;
}

}  // namespace aio::sched
