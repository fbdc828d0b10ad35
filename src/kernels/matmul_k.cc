// SPDX-License-Identifier: Apache-2.0
//
// Q4_K, Q5_K and Q6_K weights: groups of 256 with a scale for each 32 or 16.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_k.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/integer_tile-inl.h"
#include "kernels/six_bit_scales-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

template <int kCodeBits>  // 4 or 5
struct KFormat {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = -1;
  static constexpr size_t kBlocks = 8;
  static constexpr bool kHalves = false;
  static constexpr bool kMin = true;
  static constexpr int kLightColumns = 0;
  static constexpr int kFifth = 256;
  static constexpr int kCodes = kFifth + (kCodeBits == 5 ? 8 * 64 : 0);
  static constexpr int kGroupBytes = kCodes + 8 * 256;
  static constexpr int kFineBytes = 0;
  using Scales = SixBitScales;

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    const std::byte* group = planes.group;
    NibbleSteps(group + kCodes + 256 * block + 64 * i, a, b);
    if constexpr (kBits == 5) {
      AddFifthBits(LoadBytes(group + kFifth + 64 * block), i, a, b);
    }
  }
};

struct Q6Format {
  static constexpr int kBits = 6;
  static constexpr int kOffset = 5;
  static constexpr size_t kBlocks = 8;
  static constexpr bool kHalves = true;
  static constexpr bool kMin = false;
  static constexpr int kLightColumns = 0;
  static constexpr int kCodes = 320;
  static constexpr int kHalfBytes = 3 * 64;
  static constexpr int kGroupBytes = kCodes + 16 * kHalfBytes;
  static constexpr int kFineBytes = 0;

  struct Scales {
    HWY_INLINE explicit Scales(const std::byte* group)
        : p(group), scale(LoadFloats<F16Numbers>(group)) {}
    HWY_INLINE Floats Scale(size_t half) const {
      return Mul(ToFloats(LoadInts<int8_t>(p + 64 + kTileRows * half)), scale);
    }
    const std::byte* p;
    Floats scale;
  };

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    const std::byte* half =
        planes.group + kCodes + (2 * block + i / 2) * kHalfBytes;
    NibbleSteps(half + 64 * (i % 2), a, b);
    const Bytes high = LoadBytes(half + 128);
    if (i % 2 == 0) {
      *a = WithHighBits<4, 48>(*a, high);
      *b = WithHighBits<2, 48>(*b, high);
    } else {
      *a = WithHighBits<0, 48>(*a, high);
      *b = WithHighBits<-2, 48>(*b, high);
    }
  }
};

void KPassTarget(const MatMulPass& pass) {
  switch (pass.w.type) {
    case DType::kQ4_K:
      return RunTiles<IntegerKernel<KFormat<4>>>(pass);
    case DType::kQ5_K:
      return RunTiles<IntegerKernel<KFormat<5>>>(pass);
    default:
      return RunTiles<IntegerKernel<Q6Format>>(pass);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(KPassTarget);

void KPass(const MatMulPass& pass) { HWY_DYNAMIC_DISPATCH(KPassTarget)(pass); }

}  // namespace aio::kernels
#endif  // HWY_ONCE
