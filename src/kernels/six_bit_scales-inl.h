// SPDX-License-Identifier: Apache-2.0
//
// The scales and minimums of a group of Q4_K or Q5_K.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_SIX_BIT_SCALES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_SIX_BIT_SCALES_INL_H_
#undef AIO_KERNELS_SIX_BIT_SCALES_INL_H_
#else
#define AIO_KERNELS_SIX_BIT_SCALES_INL_H_
#endif

#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// (v >> right & mask) << left, of each.
HWY_INLINE Ints Bits(const Ints& v, int right, int mask, int left) {
  const auto m = hn::Set(Ints::Tag(), mask);
  return Map<Ints>([&](size_t i) HWY_ATTR {
    const auto bits = hn::And(hn::ShiftRightSame(v.part[i], right), m);
    return hn::ShiftLeftSame(bits, left);
  });
}
HWY_INLINE Ints Or(const Ints& a, const Ints& b) {
  return Map<Ints>([&](size_t i)
                       HWY_ATTR { return hn::Or(a.part[i], b.part[i]); });
}

// A scale of six bits times the group's is exact in a float; so is a minimum.
struct SixBitScales {
  // Scales are multiplied by `factor`, a power of two.
  HWY_INLINE explicit SixBitScales(const std::byte* group, float factor = 1)
      : p(group),
        scale(Mul(LoadFloats<F16Numbers>(group), factor)),
        minus(Mul(LoadFloats<F16Numbers>(group + 32), -1.0f)),
        high(LoadInts<int32_t>(group + 192)) {}

  HWY_INLINE Floats Scale(size_t block) const {
    const int at = static_cast<int>(4 * block);
    return Mul(ToFloats(Or(Bits(Low(block), 0, 15, 0), Bits(high, at, 3, 4))),
               scale);
  }
  HWY_INLINE Floats Min(size_t block) const {
    const int at = static_cast<int>(4 * block);
    return Mul(
        ToFloats(Or(Bits(Low(block), 4, 15, 0), Bits(high, at + 2, 3, 4))),
        minus);
  }

 private:
  HWY_INLINE Ints Low(size_t block) const {
    return LoadInts<uint8_t>(p + 64 + kTileRows * block);
  }

  const std::byte* p;
  Floats scale, minus;
  Ints high;
};

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
