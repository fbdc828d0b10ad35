// SPDX-License-Identifier: Apache-2.0
#include "cost/residual.h"

#include <algorithm>
#include <cmath>

namespace aio::cost {
namespace {

// No sample counts as more than this: a request that waited for a restart.
constexpr double kSampleMax = 10;

}  // namespace

double Residual::Mean() const { return sum_ / (weight_ + options_.prior); }

double Residual::Factor() const {
  return std::clamp(std::exp(Mean()), 1 / options_.faster_max,
                    options_.slower_max);
}

bool Residual::drifted() const {
  return Mean() > std::log(options_.slower_max) ||
         Mean() < -std::log(options_.faster_max);
}

void Residual::Learn(double said, double took) {
  if (!(said > 0) || !(took > 0) || !std::isfinite(said) ||
      !std::isfinite(took)) {
    return;
  }
  // Against what would have been said without the correction.
  const double ratio =
      std::clamp(took / said * Factor(), 1 / kSampleMax, kSampleMax);
  const double keep = 1 - 1 / std::max(1.0, options_.memory);
  sum_ = sum_ * keep + std::log(ratio);
  weight_ = weight_ * keep + 1;
}

}  // namespace aio::cost
