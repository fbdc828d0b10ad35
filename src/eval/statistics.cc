// SPDX-License-Identifier: Apache-2.0
#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/median.h"
#include "base/random.h"

namespace aio::eval {
namespace {

constexpr double kZ95 = 1.959963984540054;  // the normal's 97.5 % quantile
constexpr int kResamples = 10000;
// What shared machines can show at all.
constexpr int kPairsMin = 20;
constexpr double kDifferenceMin = 0.05;

}  // namespace

Interval Wilson95(int right, int total) {
  CHECK(right >= 0 && right <= total);
  return WilsonOfShare95(total == 0 ? 0 : static_cast<double>(right) / total,
                         total);
}

Interval WilsonOfShare95(double share, int total) {
  CHECK(share >= 0 && share <= 1);
  if (total == 0) return {0, 1};
  const double n = total;
  const double z2 = kZ95 * kZ95;
  const double middle = share + z2 / (2 * n);
  const double half =
      kZ95 * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  const double scale = 1 + z2 / n;
  // At the ends the formula gives 0 and 1 but for the last bit.
  const double low = share == 0 ? 0 : (middle - half) / scale;
  const double high = share == 1 ? 1 : (middle + half) / scale;
  return {low, high};
}

Interval BootstrapMedian95(std::span<const double> values, uint64_t seed) {
  if (values.empty()) return {0, 0};
  std::vector<double> medians(kResamples);
  std::vector<double> sample(values.size());
  for (int r = 0; r < kResamples; ++r) {
    for (size_t i = 0; i < sample.size(); ++i) {
      const double unit = RandomUnit(seed, r, i);
      sample[i] = values[static_cast<size_t>(unit * values.size())];
    }
    medians[r] = MedianInPlace(sample);
  }
  std::sort(medians.begin(), medians.end());
  const auto at = [&](double share) {
    return medians[static_cast<size_t>(share * (kResamples - 1))];
  };
  return {at(0.025), at(0.975)};
}

Ratio CompareRatios(std::span<const double> ratios, uint64_t seed) {
  Ratio ratio;
  ratio.pairs = static_cast<int>(ratios.size());
  ratio.median = Median(ratios);
  ratio.interval = BootstrapMedian95(ratios, seed);
  if (ratio.pairs < kPairsMin) return ratio;
  const bool holds_one = ratio.interval.low <= 1 && ratio.interval.high >= 1;
  const bool small = std::abs(ratio.median - 1) < kDifferenceMin;
  ratio.claim = holds_one || small ? Claim::kNoDifference : Claim::kDifference;
  return ratio;
}

}  // namespace aio::eval
