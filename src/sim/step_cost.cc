// SPDX-License-Identifier: Apache-2.0
#include "sim/step_cost.h"

#include <algorithm>

namespace aio::sim {

double StepCost::Seconds(int columns, int64_t context_tokens, int rows,
                         bool prefill, bool is_coarse) const {
  if (!prefill) {
    const auto size = std::ranges::lower_bound(sizes, columns);
    if (size != sizes.end()) columns = *size;
  }
  const cost::StepTable& t = is_coarse && coarse ? *coarse : table;
  const double kv = t.Seconds(columns, context_tokens) - t.Seconds(columns, 0);
  return std::max(host_seconds, t.Seconds(columns, 0)) + kv + step_seconds +
         rows * row_seconds;
}

}  // namespace aio::sim
