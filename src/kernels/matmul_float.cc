// SPDX-License-Identifier: Apache-2.0
//
// F32, F16 and BF16 weights times float columns. Each output has two sums, over
// the even and the odd k, fused multiply-adds in order of k, added up at the
// end: two chains of additions keep up with memory even for one column.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_float.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/tile_pass-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

template <typename Numbers>
struct FloatKernel {
  static constexpr int kRowBytes =
      static_cast<int>(Numbers::kBytes) * kTileRows;
  static constexpr int kGroupBytes = 2 * kRowBytes;
  static constexpr int kLightColumns = 0;

  template <size_t kColumns>
  static HWY_INLINE void Tile(const TileWork& work, Floats* out) {
    Floats odd[kColumns];
    for (size_t c = 0; c < kColumns; ++c) out[c] = odd[c] = ZeroFloats();
    const std::byte* p = work.tile;
    const float* x = work.x.Values(static_cast<int64_t>(work.first));
    for (int64_t g = 0; g < work.groups; ++g, p += kGroupBytes, x += 2) {
      if (work.ahead != 0) PrefetchGroup<kGroupBytes>(p + work.ahead);
      const Floats first = LoadFloats<Numbers>(p);
      const Floats second = LoadFloats<Numbers>(p + kRowBytes);
      for (size_t c = 0; c < kColumns; ++c) {
        const float* at = x + static_cast<int64_t>(c) * work.x.stride;
        out[c] = MulAdd(first, at[0], out[c]);
        odd[c] = MulAdd(second, at[1], odd[c]);
      }
    }
    for (size_t c = 0; c < kColumns; ++c) out[c] = Add(out[c], odd[c]);
  }
};

void FloatPassTarget(const MatMulPass& pass) {
  switch (pass.w.type) {
    case DType::kF16:
      return RunTiles<FloatKernel<F16Numbers>>(pass);
    case DType::kBF16:
      return RunTiles<FloatKernel<BF16Numbers>>(pass);
    default:
      return RunTiles<FloatKernel<F32Numbers>>(pass);
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
