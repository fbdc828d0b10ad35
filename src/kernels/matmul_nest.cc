// SPDX-License-Identifier: Apache-2.0
//
// Nested weights (tensor/nest.h): their two planes joined to bytes, or the
// first alone.
#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_nest.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/integer_tile-inl.h"
#include "kernels/six_bit_scales-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// The low half of each byte of `low` and the high half of `high`.
HWY_INLINE Bytes::Vector Joined(Bytes::Vector low, Bytes::Vector high) {
  const auto mask = hn::Set(Bytes::Tag(), uint8_t{15});
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return hn::IfVecThenElse(mask, low, high);  // elsewhere it takes whole bytes
#else
  return hn::Or(hn::And(mask, low), hn::AndNot(mask, high));
#endif
}

// 16 * u + r of two steps, from 64 bytes of each plane.
HWY_INLINE void JoinedSteps(const std::byte* high, const std::byte* fine,
                            Bytes* a, Bytes* b) {
  const Bytes u = LoadBytes(high), r = LoadBytes(fine);
  for (size_t i = 0; i < Bytes::kParts; ++i) {
#if HWY_TARGET == HWY_SCALAR
    const auto up = hn::ShiftLeft<4>(u.part[i]);
    const auto down = hn::ShiftRight<4>(r.part[i]);
#else
    // What crosses into other bytes lands in the half that is not taken.
    const Bytes::Tag d;
    const hn::RepartitionToWide<Bytes::Tag> wide;
    const auto up =
        hn::BitCast(d, hn::ShiftLeft<4>(hn::BitCast(wide, u.part[i])));
    const auto down =
        hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(wide, r.part[i])));
#endif
    a->part[i] = Joined(r.part[i], up);
    b->part[i] = Joined(down, u.part[i]);
  }
}

// kK at 8 bits: step * byte - (m + 7.5 * step), step = d / 16. The minimum
// takes up what makes bytes unsigned.
struct FineKFormat {
  static constexpr int kBits = 8;
  static constexpr int kOffset = -1;
  static constexpr size_t kBlocks = 8;
  static constexpr bool kHalves = false;
  static constexpr bool kMin = true;
  static constexpr int kLightColumns = 0;
  static constexpr int kCodes = 256;
  static constexpr int kGroupBytes = kCodes + 8 * 256;
  static constexpr int kFineBytes = 8 * 256;

  struct Scales {
    HWY_INLINE explicit Scales(const std::byte* group)
        : six(group, 1.0f / 16) {}
    HWY_INLINE Floats Scale(size_t block) const { return six.Scale(block); }
    HWY_INLINE Floats Min(size_t block) const {
      return MulAdd(six.Scale(block), -7.5f, six.Min(block));
    }
    SixBitScales six;
  };

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    const size_t at = 256 * block + 64 * i;
    JoinedSteps(planes.group + kCodes + at, planes.fine + at, a, b);
  }
};

// k8: of Q8_0 its scales and the upper halves of its bytes.
struct HalvesFormat {
  static constexpr size_t kBlocks = 2;
  static constexpr bool kHalves = false;
  static constexpr int kLightColumns = 0;
  static constexpr int kCodes = 64;
  static constexpr int kGroupBytes = kCodes + 2 * 256;

  struct Scales {
    HWY_INLINE explicit Scales(const std::byte* group) : p(group) {}
    HWY_INLINE Floats Scale(size_t block) const {
      return LoadFloats<F16Numbers>(p + 32 * block);
    }
    const std::byte* p;
  };
};

// k8 at 8 bits: Q8_0, to the bit.
struct Fine8Format : HalvesFormat {
  static constexpr int kBits = 8;
  static constexpr int kOffset = 7;
  static constexpr bool kMin = false;
  static constexpr int kFineBytes = 2 * 256;

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    const size_t at = 256 * block + 64 * i;
    JoinedSteps(planes.group + kCodes + at, planes.fine + at, a, b);
  }
};

// k8 at 4 bits: 16 * s * (u - 8) + 7.5 * s.
struct Coarse8Format : HalvesFormat {
  static constexpr int kBits = 4;
  static constexpr int kOffset = 3;
  static constexpr bool kMin = true;
  static constexpr int kFineBytes = 0;

  struct Scales {
    HWY_INLINE explicit Scales(const std::byte* group) : s(group) {}
    HWY_INLINE Floats Scale(size_t block) const {
      return Mul(s.Scale(block), 16.0f);
    }
    HWY_INLINE Floats Min(size_t block) const {
      return Mul(s.Scale(block), 7.5f);
    }
    HalvesFormat::Scales s;
  };

  static HWY_INLINE void Steps(const Planes& planes, size_t block, size_t i,
                               Bytes* a, Bytes* b) {
    NibbleSteps(planes.group + kCodes + 256 * block + 64 * i, a, b);
  }
};

void NestPassTarget(const MatMulPass& pass) {
  if (pass.w.nest == Nest::kK)
    return RunTiles<IntegerKernel<FineKFormat>>(pass);
  if (pass.x.fine > 0) return RunTiles<IntegerKernel<Fine8Format>>(pass);
  RunTiles<IntegerKernel<Coarse8Format>>(pass);
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(NestPassTarget);

void NestPass(const MatMulPass& pass) {
  // Plane high of kK is Q4_K.
  if (pass.w.nest == Nest::kK && pass.x.fine == 0) return KPass(pass);
  HWY_DYNAMIC_DISPATCH(NestPassTarget)(pass);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
