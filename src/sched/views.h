// SPDX-License-Identifier: Apache-2.0
//
// Steps of a model that serves several views of nested weights (docs/nest.md):
// which columns have 8 bits, and what each reads.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/view.h"
#include "cost/step_cost.h"
#include "sched/scheduler.h"

namespace aio::sched {

// KV is of the view it was computed with and shared by none other: views are
// apart in the prefix tree as tenants are, each by a salt of its own.
uint64_t SaltOf(core::View view, uint64_t tenant);

// A slice of a step.
struct Part {
  int view = 0;       // of the model's views
  bool fine = false;  // its columns have 8 bits
};

// Columns of 8 bits go first. Who may choose takes 8 bits where others have
// them read anyway. Fills `parts` by the slices' new order; true if all columns
// are of 4 bits.
bool OrderByView(std::span<const core::View> views,
                 const std::function<int(SequenceId)>& view_of, StepPlan* plan,
                 std::vector<Part>* parts);

// What a step takes depends on this. Drafts count as sequences of one column.
cost::StepSize SizeOf(const StepPlan& plan, std::span<const Part> parts);

// What a step reads of the weights, shared out: what 4 bits need to all columns
// alike, the rest to those that have 8.
class WeightShares {
 public:
  // `weight_bytes`: of a step with columns of 8 bits; `coarse_bytes`: of
  // others.
  WeightShares(int64_t weight_bytes, int64_t coarse_bytes, const StepPlan& plan,
               std::span<const Part> parts);

  // Bytes for so many columns, `fine` of which have 8 bits.
  double Of(int columns, int fine) const;
  double Of(const Slice& slice, const Part& part) const {
    return Of(slice.count, part.fine ? slice.count : 0);
  }

 private:
  double coarse_, rest_;
  int columns_ = 0, fine_ = 0;
};

}  // namespace aio::sched
