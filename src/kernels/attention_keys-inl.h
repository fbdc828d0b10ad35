// SPDX-License-Identifier: Apache-2.0
//
// Products of a query's int8 codes with those of kKvBlock keys. They are exact
// integers on every instruction set, so only their speed differs:
//
//   kGroup        codes of one position that lie side by side
//   kSign         what to flip in a key's code
//   Sums          products so far, one position a lane
//   Start         sums, given minus 128 * (the sum of the query's codes)
//   Add           Lanes keys at `p` times kGroup codes of a query
//   ToFloats      exact too: a block sums to less than 2^24
//   SetQuery      writes kGroup codes as the 4 bytes that Add takes
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_ATTENTION_KEYS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_ATTENTION_KEYS_INL_H_
#undef AIO_KERNELS_ATTENTION_KEYS_INL_H_
#else
#define AIO_KERNELS_ATTENTION_KEYS_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/highway-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: value rows are padded to so many.
using FloatTag = hn::CappedTag<float, 16>;
using Floats = hn::Vec<FloatTag>;

// int8 codes as numbers.
struct CodeNumbers {
  static constexpr size_t kBytes = 1;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    const hn::Rebind<int8_t, D> codes;
    const hn::Rebind<int32_t, D> wide;
    const auto v = hn::LoadU(codes, reinterpret_cast<const int8_t*>(p));
    return hn::ConvertTo(d, hn::PromoteTo(wide, v));
  }
};

#if HWY_TARGET == HWY_AVX3_DL

// vpdpbusd multiplies unsigned by signed bytes: keys are stored plus 128.
struct KeyCodes {
  static constexpr size_t kGroup = 4;
  static constexpr uint8_t kSign = 0x80;
  using Sums = __m512i;
  using Keys = __m512i;

  static HWY_INLINE Sums Start(int32_t offset) {
    return _mm512_set1_epi32(offset);
  }
  static HWY_INLINE Keys Load(const std::byte* p) {
    return _mm512_load_si512(p);
  }
  static HWY_INLINE Sums Add(Sums sums, Keys keys, const float* query) {
    int32_t codes;
    std::memcpy(&codes, query, sizeof(codes));
    return _mm512_dpbusd_epi32(sums, keys, _mm512_set1_epi32(codes));
  }
  static HWY_INLINE Floats ToFloats(Sums sums) {
    return Floats{_mm512_cvtepi32_ps(sums)};
  }
  static HWY_INLINE void SetQuery(const int8_t* codes, float* query) {
    std::memcpy(query, codes, sizeof(*query));
  }
};

#elif HWY_TARGET == HWY_NEON && defined(__ARM_FEATURE_DOTPROD)

// Only where the whole build may use sdot, as in int8_dot-inl.h.
struct KeyCodes {
  static constexpr size_t kGroup = 4;
  static constexpr uint8_t kSign = 0;
  using Sums = int32x4_t;
  using Keys = int8x16_t;

  static HWY_INLINE Sums Start(int32_t) { return vdupq_n_s32(0); }
  static HWY_INLINE Keys Load(const std::byte* p) {
    return vld1q_s8(reinterpret_cast<const int8_t*>(p));
  }
  static HWY_INLINE Sums Add(Sums sums, Keys keys, const float* query) {
    int32_t codes;
    std::memcpy(&codes, query, sizeof(codes));
    return vdotq_s32(sums, keys, vreinterpretq_s8_s32(vdupq_n_s32(codes)));
  }
  static HWY_INLINE Floats ToFloats(Sums sums) {
    return Floats(vcvtq_f32_s32(sums));
  }
  static HWY_INLINE void SetQuery(const int8_t* codes, float* query) {
    std::memcpy(query, codes, sizeof(*query));
  }
};

#else

// Floats hold the integers as well, and one position a lane needs no shuffles.
struct KeyCodes {
  static constexpr size_t kGroup = 1;
  static constexpr uint8_t kSign = 0;
  using Sums = Floats;
  using Keys = Floats;

  static HWY_INLINE Sums Start(int32_t) { return hn::Zero(FloatTag()); }
  static HWY_INLINE Keys Load(const std::byte* p) {
    return CodeNumbers::Load(FloatTag(), p);
  }
  static HWY_INLINE Sums Add(Sums sums, Keys keys, const float* query) {
    return hn::MulAdd(keys, hn::Set(FloatTag(), *query), sums);
  }
  static HWY_INLINE Floats ToFloats(Sums sums) { return sums; }
  static HWY_INLINE void SetQuery(const int8_t* codes, float* query) {
    *query = static_cast<float>(*codes);
  }
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
