// SPDX-License-Identifier: Apache-2.0
#include "sim/step_cost.h"

#include <algorithm>

namespace aio::sim {

double StepCost::Seconds(const StepSize& step) const {
  int columns = step.columns;
  if (!step.prefill) {
    const auto size = std::ranges::lower_bound(sizes, columns);
    if (size != sizes.end()) columns = *size;
  }
  const cost::StepTable& t = step.coarse && coarse ? *coarse : table;
  const double empty = t.Seconds(columns, 0);
  const double kv = t.Seconds(columns, step.context_tokens) - empty;
  return std::max(host_seconds, empty) + kv + step_seconds +
         step.rows * row_seconds + step.pairs * pair_seconds;
}

}  // namespace aio::sim
