// SPDX-License-Identifier: Apache-2.0
#include "base/median.h"

#include <algorithm>
#include <vector>

namespace aio {

double MedianInPlace(std::span<double> values) {
  if (values.empty()) return 0;
  const auto half = static_cast<ptrdiff_t>(values.size() / 2);
  const auto middle = values.begin() + half;
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  const double lower = *std::max_element(values.begin(), middle);
  return lower + (*middle - lower) / 2;
}

double Median(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  return MedianInPlace(copy);
}

}  // namespace aio
