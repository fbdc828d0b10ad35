// SPDX-License-Identifier: Apache-2.0
#include "cost/step_cost.h"

#include <algorithm>

namespace aio::cost {

double StepCost::Seconds(const StepSize& step) const {
  int columns = step.columns;
  if (!step.prefill) {
    const auto size = std::ranges::lower_bound(sizes, columns);
    if (size != sizes.end()) columns = *size;
  }
  const StepTable& t = step.coarse && coarse ? *coarse : table;
  const double kv =
      t.kv_seconds_per_context_token * static_cast<double>(step.context_tokens);
  double empty = t.Seconds(columns, 0);
  if (step.prefill) {
    const double n = columns;
    empty = std::max(t.Seconds(step.longest, 0),
                     empty + t.pair_seconds * (step.pairs - 0.5 * n * n));
  }
  return std::max(host_seconds, empty) + kv;
}

}  // namespace aio::cost
