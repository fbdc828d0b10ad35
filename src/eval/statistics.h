// SPDX-License-Identifier: Apache-2.0
//
// What may be said about a number that was measured a few times.
//
// Thread safety: pure functions; the same input gives the same bits.
#pragma once

#include <cstdint>
#include <span>

namespace aio::eval {

struct Interval {
  double low = 0;
  double high = 0;
};

// The 95 % interval of a share, `right` of `total`: Wilson's score interval
// without continuity correction (E. B. Wilson, JASA 1927), which holds for few
// tasks and for shares near 0 and 1, where the normal approximation does not.
// 0..1 where total is 0: nothing is known. REQUIRES: 0 <= right <= total.
Interval Wilson95(int right, int total);
// The same where the share is no whole number of `total`, as of tasks that were
// asked several times each. REQUIRES: 0 <= share <= 1.
Interval WilsonOfShare95(double share, int total);

// The 95 % interval of the median by the percentile bootstrap (Efron 1979),
// 10000 resamples drawn by `seed`. Pairs that were measured one after the other
// enter as one value each, their ratio. {0, 0} for none.
Interval BootstrapMedian95(std::span<const double> values, uint64_t seed);

// What a comparison of two programs may claim, in words.
enum class Claim : uint8_t {
  kTooFewPairs,   // under 20
  kNoDifference,  // the interval holds 1, or the ratio is within 5 % of it
  kDifference,
};
struct Ratio {
  double median = 0;
  Interval interval;
  int pairs = 0;
  Claim claim = Claim::kTooFewPairs;
};
// Of the ratios of pairs; 1 means equal.
Ratio CompareRatios(std::span<const double> ratios, uint64_t seed);

}  // namespace aio::eval
