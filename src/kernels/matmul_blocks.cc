// SPDX-License-Identifier: Apache-2.0
//
// Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 weights: blocks of 32, two in a group.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_blocks.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/integer_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// Two blocks of kCodeBits, with minimums or not; kShift is kOffset.
template <int kCodeBits, bool kWithMin, int kShift>
struct PairFormat {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = kShift;
  static constexpr size_t kBlocks = 2;
  static constexpr bool kHalves = false;
  static constexpr bool kMin = kWithMin;
  static constexpr int kLightColumns = kCodeBits == 8 ? 2 : 0;
  static constexpr int kFifth = kWithMin ? 128 : 64;  // where bits begin
  static constexpr int kCodes = kFifth + (kCodeBits == 5 ? 128 : 0);
  static constexpr int kBlockBytes = kCodeBits == 8 ? 512 : 256;
  static constexpr int kGroupBytes = kCodes + 2 * kBlockBytes;
  static constexpr int kFineBytes = 0;

  struct Scales {
    HWY_INLINE explicit Scales(const std::byte* group) : p(group) {}
    HWY_INLINE Floats Scale(size_t block) const {
      return LoadFloats<F16Numbers>(p + 32 * block);
    }
    HWY_INLINE Floats Min(size_t block) const {
      return LoadFloats<F16Numbers>(p + 64 + 32 * block);
    }
    const std::byte* p;
  };

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    const std::byte* group = planes.group;
    const std::byte* codes = group + kCodes + block * kBlockBytes;
    if constexpr (kBits == 8) {
      *a = LoadBytes(codes + 128 * i);
      *b = LoadBytes(codes + 128 * i + 64);
    } else {
      NibbleSteps(codes + 64 * i, a, b);
      if constexpr (kBits == 5) {
        AddFifthBits(LoadBytes(group + kFifth + 64 * block), i, a, b);
      }
    }
  }
};

void BlockPassTarget(const MatMulPass& pass) {
  switch (pass.w.type) {
    case DType::kQ4_0:
      return RunTiles<IntegerKernel<PairFormat<4, false, 3>>>(pass);
    case DType::kQ4_1:
      return RunTiles<IntegerKernel<PairFormat<4, true, -1>>>(pass);
    case DType::kQ5_0:
      return RunTiles<IntegerKernel<PairFormat<5, false, 4>>>(pass);
    case DType::kQ5_1:
      return RunTiles<IntegerKernel<PairFormat<5, true, -1>>>(pass);
    default:
      return RunTiles<IntegerKernel<PairFormat<8, false, 7>>>(pass);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(BlockPassTarget);

void BlockPass(const MatMulPass& pass) {
  HWY_DYNAMIC_DISPATCH(BlockPassTarget)(pass);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
