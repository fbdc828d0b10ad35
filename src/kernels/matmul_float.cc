// SPDX-License-Identifier: Apache-2.0
//
// F32, F16 and BF16 weights times float columns. Each output has one vector of
// partial sums, lane i over k = i mod lanes, fused multiply-adds in order of k,
// added up across lanes at the end.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_float.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"
#include "kernels/load-inl.h"
#include "kernels/matmul_impl.h"
#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;

template <typename Numbers>
struct FloatKernel {
  template <size_t kRows, size_t kColumns>
  static HWY_INLINE void Dot(const std::byte* const* rows, int64_t ahead,
                             const Activations& x, float* HWY_RESTRICT sums) {
    const FloatTag d;
    const size_t lanes = hn::Lanes(d);
    const auto depth = static_cast<size_t>(x.depth);
    const auto stride = static_cast<size_t>(x.stride);
    hn::Vec<FloatTag> acc[kRows][kColumns];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) acc[r][c] = hn::Zero(d);
    }
    const auto add = [&](const std::byte* const* at, size_t k) HWY_ATTR {
      hn::Vec<FloatTag> w[kRows];
      for (size_t r = 0; r < kRows; ++r) w[r] = Numbers::Load(d, at[r]);
      for (size_t c = 0; c < kColumns; ++c) {
        const auto v = hn::Load(d, x.values + c * stride + k);
        for (size_t r = 0; r < kRows; ++r) {
          acc[r][c] = hn::MulAdd(w[r], v, acc[r][c]);
        }
      }
    };
    size_t k = 0;
    const std::byte* at[kRows];
    for (; k + lanes <= depth; k += lanes) {
      for (size_t r = 0; r < kRows; ++r) {
        at[r] = rows[r] + k * Numbers::kBytes;
        if (ahead != 0) hwy::Prefetch(at[r] + ahead);
      }
      add(at, k);
    }
    if (k < depth) {
      // Rows end anywhere, even at the end of the file: pad a copy with zeros.
      // The activations are padded already.
      HWY_ALIGN std::byte tail[kRows][HWY_MAX_BYTES] = {};
      for (size_t r = 0; r < kRows; ++r) {
        std::memcpy(tail[r], rows[r] + k * Numbers::kBytes,
                    (depth - k) * Numbers::kBytes);
        at[r] = tail[r];
      }
      add(at, k);
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) {
        sums[r * kColumns + c] = hn::GetLane(hn::SumOfLanes(d, acc[r][c]));
      }
    }
  }
};

void FloatPassTarget(const MatMulPass& pass) {
  switch (pass.w.type) {
    case DType::kF16:
      return RunPass<FloatKernel<F16Numbers>>(pass);
    case DType::kBF16:
      return RunPass<FloatKernel<BF16Numbers>>(pass);
    default:
      return RunPass<FloatKernel<F32Numbers>>(pass);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(FloatPassTarget);

void FloatPass(const MatMulPass& pass) {
  HWY_DYNAMIC_DISPATCH(FloatPassTarget)(pass);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
