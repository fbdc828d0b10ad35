// SPDX-License-Identifier: Apache-2.0
#include "kernels/vector_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/activations.h"
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector_ops.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"
// After it, so that both are compiled for the same extensions.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;

// A full vector, or what is left of `n` with zeros behind it: tails go through
// the same instructions, so that an element rounds alike at any place.
HWY_INLINE Floats LoadUpTo(const float* p, size_t n) {
  const FloatTag d;
  if (n >= hn::Lanes(d)) return hn::LoadU(d, p);
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, p, n * sizeof(float));
  return hn::Load(d, buffer);
}

HWY_INLINE void StoreUpTo(Floats v, float* p, size_t n) {
  const FloatTag d;
  if (n >= hn::Lanes(d)) return hn::StoreU(v, d, p);
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, buffer);
  std::memcpy(p, buffer, n * sizeof(float));
}

void RmsNormTarget(const float* x, const float* weight, size_t n, float epsilon,
                   float* y) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  auto squares = hn::Zero(d);
  for (size_t i = 0; i < n; i += lanes) {
    const auto v = LoadUpTo(x + i, n - i);
    squares = hn::MulAdd(v, v, squares);
  }
  const float mean =
      hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<float>(n);
  const auto scale = hn::Set(d, 1.0f / std::sqrt(mean + epsilon));
  for (size_t i = 0; i < n; i += lanes) {
    const auto v = hn::Mul(LoadUpTo(x + i, n - i), scale);
    StoreUpTo(hn::Mul(v, LoadUpTo(weight + i, n - i)), y + i, n - i);
  }
}

void WeighBlocksTarget(const float* x, const float* weight, size_t n, float* y,
                       float* squares, size_t stride) {
  const FloatTag d;
  static_assert(hn::MaxLanes(FloatTag()) <= kBlock);
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < n; b += kBlock, squares += stride) {
    const size_t end = std::min(n, b + kBlock);
    auto sum = hn::Zero(d);
    for (size_t i = b; i < end; i += lanes) {
      const auto v = LoadUpTo(x + i, end - i);
      sum = hn::MulAdd(v, v, sum);
      StoreUpTo(hn::Mul(v, LoadUpTo(weight + i, end - i)), y + i, end - i);
    }
    *squares = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

void SiluGateTarget(const float* gate, const float* up, size_t n, float* y) {
  const FloatTag d;
  const auto one = hn::Set(d, 1.0f);
  // Highway's Exp is right up to here and wraps far above it.
  const auto most = hn::Set(d, 88.0f);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto g = LoadUpTo(gate + i, n - i);
    const auto e = hn::Exp(d, hn::Min(hn::Neg(g), most));
    const auto silu = hn::Div(g, hn::Add(one, e));
    StoreUpTo(hn::Mul(silu, LoadUpTo(up + i, n - i)), y + i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(RmsNormTarget);
HWY_EXPORT(WeighBlocksTarget);
HWY_EXPORT(SiluGateTarget);

void RmsNorm(const float* x, const float* weight, int64_t n, float epsilon,
             float* y) {
  HWY_DYNAMIC_DISPATCH(RmsNormTarget)
  (x, weight, static_cast<size_t>(n), epsilon, y);
}

void WeighBlocks(const float* x, const float* weight, int64_t n, float* y,
                 float* squares, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(WeighBlocksTarget)
  (x, weight, static_cast<size_t>(n), y, squares, static_cast<size_t>(stride));
}

void NormFactors(const float* squares, int64_t stride, int64_t columns,
                 int64_t n, float epsilon, float* factors) {
  std::fill_n(factors, columns, 0.0f);
  for (int64_t b = 0; b < n; b += kBlock, squares += stride) {
    for (int64_t c = 0; c < columns; ++c) factors[c] += squares[c];
  }
  for (int64_t c = 0; c < columns; ++c) {
    const float mean = factors[c] / static_cast<float>(n);
    factors[c] = 1.0f / std::sqrt(mean + epsilon);
  }
}

void SiluGate(const float* gate, const float* up, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(SiluGateTarget)(gate, up, static_cast<size_t>(n), y);
}

void AddTo(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
