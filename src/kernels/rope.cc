// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace aio::kernels {
namespace {

// The pair whose wave turns `rotations` times over the trained context.
double YarnPair(const RopeParameters& p, double rotations) {
  return p.dim *
         std::log(p.context_original / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(p.base));
}

// How much of pair i keeps its trained frequency: 1 for fast waves, 0 for those
// longer than the trained context, a ramp between.
double YarnExtrapolation(const RopeParameters& p, int i) {
  const double low = std::max(0.0, std::floor(YarnPair(p, p.beta_fast)));
  const double high =
      std::min(p.dim - 1.0, std::ceil(YarnPair(p, p.beta_slow)));
  const double ramp = (i - low) / std::max(0.001, high - low);
  return (1 - std::clamp(ramp, 0.0, 1.0)) * p.extension;
}

}  // namespace

RopeTable MakeRopeTable(const RopeParameters& p) {
  RopeTable table{p.style, {}, p.attention_factor};
  if (p.scaling == RopeScaling::kYarn && p.extension != 0) {
    table.magnitude *= 1 + 0.1 * std::log(p.factor);  // the paper's 1/sqrt(t)
  }
  table.frequency.resize(static_cast<size_t>(p.dim / 2));
  for (int i = 0; i < p.dim / 2; ++i) {
    double frequency = std::pow(p.base, -2.0 * i / p.dim);
    if (!p.frequency_divisors.empty()) {
      frequency /= double{p.frequency_divisors[static_cast<size_t>(i)]};
    }
    const double stretched = frequency / p.factor;
    double keep = p.scaling == RopeScaling::kNone ? 1.0 : 0.0;
    if (p.scaling == RopeScaling::kYarn) keep = YarnExtrapolation(p, i);
    table.frequency[static_cast<size_t>(i)] =
        stretched * (1 - keep) + frequency * keep;
  }
  return table;
}

void RopeAngles(const RopeTable& table, int position, float* cos, float* sin) {
  for (size_t i = 0; i < table.frequency.size(); ++i) {
    const double angle = position * table.frequency[i];
    cos[i] = static_cast<float>(std::cos(angle) * table.magnitude);
    sin[i] = static_cast<float>(std::sin(angle) * table.magnitude);
  }
}

void ApplyRope(RopeStyle style, int dim, int heads, const float* cos,
               const float* sin, float* x) {
  const int half = dim / 2;
  const int step = style == RopeStyle::kNorm ? 2 : 1;
  const int apart = style == RopeStyle::kNorm ? 1 : half;
  for (int h = 0; h < heads; ++h, x += dim) {
    for (int i = 0; i < half; ++i) {
      float& a = x[i * step];
      float& b = x[i * step + apart];
      const float turned = a * cos[i] - b * sin[i];
      b = a * sin[i] + b * cos[i];
      a = turned;
    }
  }
}

}  // namespace aio::kernels
