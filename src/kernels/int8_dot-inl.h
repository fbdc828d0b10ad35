// SPDX-License-Identifier: Apache-2.0
//
// Exact dot products of int8 blocks: the one place that knows vpdpbusd and
// sdot. Debian's Highway 1.0.3 has neither.
//
// Each instruction set defines struct Int8Blocks:
//
//   kBlocks          blocks of 32 that one call takes: one vector's worth
//   FloatTag, Floats vector of products
//   Weights          decoded weights of kBlocks blocks
//   Columns          the codes of one column for as many blocks
//   LoadQ8, LoadQ4   weights from the file's blocks; `blocks` may be 1 where
//                    kBlocks is 2, at the end of a row: the rest is then zero
//   LoadColumns      from Activations::codes
//   Dot              products of weights and columns, summed by lane
//   Scale            the weights' scales, by the same lanes
//   kEncodeSign      what to flip in an activation code
//
// Integers are exact, so only the order of the float sums by lane matters, and
// that is fixed by kBlocks and the number of lanes.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_INT8_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_INT8_DOT_INL_H_
#undef AIO_KERNELS_INT8_DOT_INL_H_
#else
#define AIO_KERNELS_INT8_DOT_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "kernels/activations.h"
#include "kernels/highway-inl.h"
#include "tensor/block_formats.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kQ8Bytes = sizeof(BlockQ8_0);
inline constexpr size_t kQ4Bytes = sizeof(BlockQ4_0);
// Where a block's codes begin, after its scale.
inline constexpr size_t kCodes = sizeof(uint16_t);

#if HWY_TARGET == HWY_AVX3_DL

// vpdpbusd multiplies unsigned by signed bytes, so a column's codes are stored
// plus 128, and 128 * sum(weights) is taken off again: one more dot product per
// row, none per column. Two blocks fill a vector.
struct Int8Blocks {
  static constexpr size_t kBlocks = 2;
  static constexpr uint8_t kEncodeSign = 0x80;
  using FloatTag = hn::FixedTag<float, 16>;
  using Floats = hn::Vec<FloatTag>;
  struct Weights {
    __m512i codes;   // signed
    __m512i offset;  // -128 * sum of four codes
  };
  using Columns = __m512i;

  static HWY_INLINE Weights Finish(__m512i codes) {
    const __m512i sum =
        _mm512_dpbusd_epi32(_mm512_setzero_si512(),
                            _mm512_set1_epi8(static_cast<char>(128)), codes);
    return {codes, _mm512_sub_epi32(_mm512_setzero_si512(), sum)};
  }
  static HWY_INLINE Weights LoadQ8(const std::byte* p, size_t blocks) {
    __m512i v = _mm512_zextsi256_si512(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + kCodes)));
    if (blocks == 2) {
      v = _mm512_inserti64x4(
          v,
          _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(p + kQ8Bytes + kCodes)),
          1);
    }
    return Finish(v);
  }
  // 16 bytes twice: for the low nibbles and the high ones.
  static HWY_INLINE __m256i Twice(const std::byte* p) {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static HWY_INLINE Weights LoadQ4(const std::byte* p, size_t blocks) {
    __m512i v = _mm512_zextsi256_si512(Twice(p + kCodes));
    if (blocks == 2) v = _mm512_inserti64x4(v, Twice(p + kQ4Bytes + kCodes), 1);
    const __m512i shift = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    v = _mm512_and_si512(_mm512_srlv_epi64(v, shift), _mm512_set1_epi8(15));
    v = _mm512_sub_epi8(v, _mm512_set1_epi8(8));
    if (blocks == 1) v = _mm512_zextsi256_si512(_mm512_castsi512_si256(v));
    return Finish(v);
  }
  static HWY_INLINE Columns LoadColumns(const uint8_t* p) {
    return _mm512_load_si512(p);
  }
  static HWY_INLINE Floats Dot(const Weights& w, Columns x) {
    return Floats{
        _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(w.offset, x, w.codes))};
  }
  template <size_t kBytes>
  static HWY_INLINE Floats Scale(const std::byte* p, size_t blocks) {
    uint16_t first, second = 0;
    std::memcpy(&first, p, sizeof(first));
    if (blocks == 2) std::memcpy(&second, p + kBytes, sizeof(second));
    const __m256i halves =
        _mm256_mask_set1_epi16(_mm256_set1_epi16(static_cast<int16_t>(first)),
                               0xFF00, static_cast<int16_t>(second));
    return Floats{_mm512_cvtph_ps(halves)};
  }
};

#elif HWY_TARGET == HWY_SCALAR

struct Int8Blocks {
  static constexpr size_t kBlocks = 1;
  static constexpr uint8_t kEncodeSign = 0;
  using FloatTag = hn::ScalableTag<float>;
  using Floats = hn::Vec<FloatTag>;
  struct Weights {
    int8_t codes[kBlock];
  };
  using Columns = const uint8_t*;

  static HWY_INLINE Weights LoadQ8(const std::byte* p, size_t) {
    Weights w;
    std::memcpy(w.codes, p + kCodes, sizeof(w.codes));
    return w;
  }
  static HWY_INLINE Weights LoadQ4(const std::byte* p, size_t) {
    Weights w;
    for (size_t i = 0; i < kBlock / 2; ++i) {
      const auto byte = static_cast<int>(p[kCodes + i]);
      w.codes[i] = static_cast<int8_t>((byte & 15) - 8);
      w.codes[i + kBlock / 2] = static_cast<int8_t>((byte >> 4) - 8);
    }
    return w;
  }
  static HWY_INLINE Columns LoadColumns(const uint8_t* p) { return p; }
  static HWY_INLINE Floats Dot(const Weights& w, Columns x) {
    int sum = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      sum += w.codes[i] * static_cast<int8_t>(x[i]);
    }
    return hn::Set(FloatTag(), static_cast<float>(sum));
  }
  template <size_t kBytes>
  static HWY_INLINE Floats Scale(const std::byte* p, size_t) {
    uint16_t half;
    std::memcpy(&half, p, sizeof(half));
    return hn::Set(FloatTag(), F16ToF32(half));
  }
};

#elif HWY_TARGET == HWY_NEON && defined(__ARM_FEATURE_DOTPROD)

// sdot multiplies signed bytes. Highway's NEON does not include it, so it is
// used only where the whole build may (-march=armv8.2-a+dotprod or newer).
struct Int8Blocks {
  static constexpr size_t kBlocks = 1;
  static constexpr uint8_t kEncodeSign = 0;
  using FloatTag = hn::FixedTag<float, 4>;
  using Floats = hn::Vec<FloatTag>;
  struct Weights {
    int8x16_t low, high;
  };
  using Columns = Weights;

  static HWY_INLINE Weights Load(const std::byte* p) {
    const auto* codes = reinterpret_cast<const int8_t*>(p);
    return {vld1q_s8(codes), vld1q_s8(codes + kBlock / 2)};
  }
  static HWY_INLINE Weights LoadQ8(const std::byte* p, size_t) {
    return Load(p + kCodes);
  }
  static HWY_INLINE Weights LoadQ4(const std::byte* p, size_t) {
    const uint8x16_t v = vld1q_u8(reinterpret_cast<const uint8_t*>(p + kCodes));
    const int8x16_t eight = vdupq_n_s8(8);
    return {vsubq_s8(vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), eight),
            vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(v, 4)), eight)};
  }
  static HWY_INLINE Columns LoadColumns(const uint8_t* p) {
    return Load(reinterpret_cast<const std::byte*>(p));
  }
  static HWY_INLINE Floats Dot(const Weights& w, const Columns& x) {
    const int32x4_t low = vdotq_s32(vdupq_n_s32(0), w.low, x.low);
    return Floats(vcvtq_f32_s32(vdotq_s32(low, w.high, x.high)));
  }
  template <size_t kBytes>
  static HWY_INLINE Floats Scale(const std::byte* p, size_t) {
    float16x4_t half = vdup_n_f16(0);
    std::memcpy(&half, p, sizeof(uint16_t));
    return Floats(vdupq_n_f32(vgetq_lane_f32(vcvt_f32_f16(half), 0)));
  }
};

#else  // AVX2, AVX3 without VNNI, NEON without sdot

// Widens both sides to 16 bits; the sum of two products of int8 fits 32.
struct Int8Blocks {
  static constexpr size_t kBlocks = 1;
  static constexpr uint8_t kEncodeSign = 0;
  using Tag16 = hn::CappedTag<int16_t, 16>;
  using Tag32 = hn::Repartition<int32_t, Tag16>;
  using FloatTag = hn::RebindToFloat<Tag32>;
  using Floats = hn::Vec<FloatTag>;
  using Half = hn::Rebind<int8_t, Tag16>;
  static constexpr size_t kLanes = hn::MaxLanes(Tag16());
  static constexpr size_t kParts = kBlock / kLanes;
  struct Weights {
    // Written out, since the compiler's own would lack NEON's target.
    HWY_INLINE Weights() {}
    hn::Vec<Tag16> part[kParts];
  };
  using Columns = Weights;

  static HWY_INLINE Weights Widen(const int8_t* p) {
    Weights w;
    for (size_t i = 0; i < kParts; ++i) {
      w.part[i] = hn::PromoteTo(Tag16(), hn::LoadU(Half(), p + i * kLanes));
    }
    return w;
  }
  static HWY_INLINE Weights LoadQ8(const std::byte* p, size_t) {
    return Widen(reinterpret_cast<const int8_t*>(p + kCodes));
  }
  static HWY_INLINE Weights LoadQ4(const std::byte* p, size_t) {
    const hn::Rebind<uint8_t, Tag16> bytes;
    const Tag16 d;
    Weights w;
    constexpr size_t kLow = kParts / 2;  // parts of low nibbles come first
    for (size_t i = 0; i < kLow; ++i) {
      const auto v = hn::PromoteTo(
          d, hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(p + kCodes) +
                                  i * kLanes));
      const auto eight = hn::Set(d, 8);
      w.part[i] = hn::Sub(hn::And(v, hn::Set(d, 15)), eight);
      w.part[kLow + i] = hn::Sub(hn::ShiftRight<4>(v), eight);
    }
    return w;
  }
  static HWY_INLINE Columns LoadColumns(const uint8_t* p) {
    return Widen(reinterpret_cast<const int8_t*>(p));
  }
  static HWY_INLINE Floats Dot(const Weights& w, const Columns& x) {
    const Tag32 d;
    auto low = hn::Zero(d), high = hn::Zero(d);
    for (size_t i = 0; i < kParts; ++i) {
      low = hn::ReorderWidenMulAccumulate(d, w.part[i], x.part[i], low, high);
    }
    return hn::ConvertTo(FloatTag(), hn::Add(low, high));
  }
  template <size_t kBytes>
  static HWY_INLINE Floats Scale(const std::byte* p, size_t) {
    const hn::FixedTag<hwy::float16_t, 1> half;
    const hn::FixedTag<float, 1> one;
    hwy::float16_t bits;
    std::memcpy(&bits, p, sizeof(bits));
    return hn::Set(FloatTag(),
                   hn::GetLane(hn::PromoteTo(one, hn::LoadU(half, &bits))));
  }
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
