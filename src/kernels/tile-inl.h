// SPDX-License-Identifier: Apache-2.0
//
// Vectors of a tile's height, and exact dot products of its bytes: the one
// place that knows vpdpbusd, vpmaddubsw and sdot. Debian's Highway 1.0.3 has
// none of them.
//
//   Floats   16 floats, one per row
//   Bytes    64 bytes: 4 codes of each of 16 rows
//   Codes    Bytes made ready for Sums::Add, once for all columns
//   Sums     16 int32: dot products of the rows so far with one column
//
// kBits of a code are at most 8; codes are unsigned. Integers are exact, so
// Sums are the same on every target.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_TILE_INL_H_
#undef AIO_KERNELS_TILE_INL_H_
#else
#define AIO_KERNELS_TILE_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "kernels/highway-inl.h"
#include "kernels/load-inl.h"
#include "tensor/tiles.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Columns that a kernel holds in registers: per column one vector set of
// Floats and one of Sums, within 32 registers of 64 bytes, or of 16, or 16 of
// 32.
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3
inline constexpr size_t kColumnsAtOnce = 8;
#elif HWY_TARGET == HWY_SCALAR
inline constexpr size_t kColumnsAtOnce = 1;
#else
inline constexpr size_t kColumnsAtOnce = 2;
#endif

// A tile's rows as several vectors of the target. Constructors are written out
// in this file, since the compiler's own would lack the target's extensions.
template <typename T, size_t kCount>
struct Vectors {
  using Tag = hn::CappedTag<T, kCount>;
  using Vector = hn::Vec<Tag>;
  static constexpr size_t kLanes = hn::MaxLanes(Tag());
  static constexpr size_t kParts = kCount / kLanes;
  HWY_INLINE Vectors() {}
  Vector part[kParts];
};

using Floats = Vectors<float, kTileRows>;
using Ints = Vectors<int32_t, kTileRows>;
using Bytes = Vectors<uint8_t, 4 * kTileRows>;

template <class V, class Function>
HWY_INLINE V Map(const Function& fn) {
  V v;
  for (size_t i = 0; i < V::kParts; ++i) v.part[i] = fn(i);
  return v;
}

HWY_INLINE Floats ZeroFloats() {
  return Map<Floats>([](size_t) HWY_ATTR { return hn::Zero(Floats::Tag()); });
}

// 16 numbers of a format of load-inl.h.
template <class Numbers>
HWY_INLINE Floats LoadFloats(const std::byte* p) {
  return Map<Floats>([&](size_t i) HWY_ATTR {
    return Numbers::Load(Floats::Tag(),
                         p + i * Floats::kLanes * Numbers::kBytes);
  });
}

HWY_INLINE Floats Mul(const Floats& a, const Floats& b) {
  return Map<Floats>([&](size_t i)
                         HWY_ATTR { return hn::Mul(a.part[i], b.part[i]); });
}
HWY_INLINE Floats Mul(const Floats& a, float b) {
  const auto v = hn::Set(Floats::Tag(), b);
  return Map<Floats>([&](size_t i) HWY_ATTR { return hn::Mul(a.part[i], v); });
}
HWY_INLINE Floats Add(const Floats& a, const Floats& b) {
  return Map<Floats>([&](size_t i)
                         HWY_ATTR { return hn::Add(a.part[i], b.part[i]); });
}
HWY_INLINE Floats MulAdd(const Floats& a, const Floats& b, const Floats& c) {
  return Map<Floats>([&](size_t i) HWY_ATTR {
    return hn::MulAdd(a.part[i], b.part[i], c.part[i]);
  });
}
HWY_INLINE Floats MulAdd(const Floats& a, float b, const Floats& c) {
  const auto v = hn::Set(Floats::Tag(), b);
  return Map<Floats>(
      [&](size_t i) HWY_ATTR { return hn::MulAdd(a.part[i], v, c.part[i]); });
}

HWY_INLINE void StoreFloats(const Floats& v, float* p) {
  for (size_t i = 0; i < Floats::kParts; ++i) {
    hn::StoreU(v.part[i], Floats::Tag(), p + i * Floats::kLanes);
  }
}

// 16 small integers, a byte or a word each in memory.
template <typename T>
HWY_INLINE Ints LoadInts(const std::byte* p) {
  const hn::Rebind<T, Ints::Tag> narrow;
  return Map<Ints>([&](size_t i) HWY_ATTR {
    const auto* at = reinterpret_cast<const T*>(p) + i * Ints::kLanes;
    if constexpr (sizeof(T) == sizeof(int32_t)) {
      return hn::LoadU(Ints::Tag(), at);
    } else {
      return hn::PromoteTo(Ints::Tag(), hn::LoadU(narrow, at));
    }
  });
}
HWY_INLINE Floats ToFloats(const Ints& v) {
  return Map<Floats>([&](size_t i) HWY_ATTR {
    return hn::ConvertTo(Floats::Tag(), v.part[i]);
  });
}

HWY_INLINE Bytes LoadBytes(const std::byte* p) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(p);
  return Map<Bytes>([&](size_t i) HWY_ATTR {
    return hn::LoadU(Bytes::Tag(), bytes + i * Bytes::kLanes);
  });
}
HWY_INLINE Bytes LowNibbles(const Bytes& b) {
  const auto mask = hn::Set(Bytes::Tag(), uint8_t{15});
  return Map<Bytes>([&](size_t i)
                        HWY_ATTR { return hn::And(b.part[i], mask); });
}
HWY_INLINE Bytes HighNibbles(const Bytes& b) {
  return Map<Bytes>([&](size_t i)
                        HWY_ATTR { return hn::ShiftRight<4>(b.part[i]); });
}
// low | (high shifted left by kShift (right, if negative) & kMask).
template <int kShift, uint8_t kMask>
HWY_INLINE Bytes WithHighBits(const Bytes& low, const Bytes& high) {
  const auto mask = hn::Set(Bytes::Tag(), kMask);
  return Map<Bytes>([&](size_t i) HWY_ATTR {
    auto v = high.part[i];
    if constexpr (kShift > 0) v = hn::ShiftLeft<kShift>(v);
    if constexpr (kShift < 0) v = hn::ShiftRight<-kShift>(v);
    return hn::Or(low.part[i], hn::And(v, mask));
  });
}

// The dot products of 16 rows. kOffset: what the codes carry too much, as a
// power of two; minus_sum * 2^kOffset takes it off. Negative: nothing.
#if HWY_TARGET == HWY_AVX3_DL

template <int kBits>
struct Codes {
  HWY_INLINE explicit Codes(const Bytes& b) : v(b.part[0].raw) {}
  __m512i v;
};

struct Sums {
  template <int kBits, int kOffset>
  HWY_INLINE void Start(const int32_t* minus_sum) {
    v = _mm512_setzero_si512();
    if constexpr (kOffset >= 0) {
      v = _mm512_slli_epi32(_mm512_set1_epi32(*minus_sum), kOffset);
    }
  }
  template <int kBits>
  HWY_INLINE void Add(const Codes<kBits>& w, const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof(four));
    v = _mm512_dpbusd_epi32(v, w.v, _mm512_set1_epi32(four));
  }
  template <int kBits>
  HWY_INLINE Floats Finish() const {
    Floats f;
    f.part[0] = Floats::Vector{_mm512_cvtepi32_ps(v)};
    return f;
  }
  HWY_INLINE Sums() {}
  __m512i v;
};

#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

// vpmaddubsw adds two products with saturation at 16 bits, so codes of more
// than four bits are taken as two nibbles: 8 steps of two products of at most
// 15 * 127 stay below 2^15.
#if HWY_TARGET == HWY_AVX2
using Raw = __m256i;
HWY_INLINE Raw Four(int32_t x) { return _mm256_set1_epi32(x); }
HWY_INLINE Raw Products(Raw w, Raw x) { return _mm256_maddubs_epi16(w, x); }
HWY_INLINE Raw Add16(Raw a, Raw b) { return _mm256_add_epi16(a, b); }
HWY_INLINE Raw Add32(Raw a, Raw b) { return _mm256_add_epi32(a, b); }
HWY_INLINE Raw Pairs(Raw v, int16_t factor) {
  return _mm256_madd_epi16(v, _mm256_set1_epi16(factor));
}
HWY_INLINE Raw Nothing() { return _mm256_setzero_si256(); }
#else
using Raw = __m512i;
HWY_INLINE Raw Four(int32_t x) { return _mm512_set1_epi32(x); }
HWY_INLINE Raw Products(Raw w, Raw x) { return _mm512_maddubs_epi16(w, x); }
HWY_INLINE Raw Add16(Raw a, Raw b) { return _mm512_add_epi16(a, b); }
HWY_INLINE Raw Add32(Raw a, Raw b) { return _mm512_add_epi32(a, b); }
HWY_INLINE Raw Pairs(Raw v, int16_t factor) {
  return _mm512_madd_epi16(v, _mm512_set1_epi16(factor));
}
HWY_INLINE Raw Nothing() { return _mm512_setzero_si512(); }
#endif

template <int kBits>
struct Codes {
  HWY_INLINE explicit Codes(const Bytes& b) {
    const Bytes l = kBits > 4 ? LowNibbles(b) : b;
    for (size_t i = 0; i < Bytes::kParts; ++i) low[i] = l.part[i].raw;
    if constexpr (kBits > 4) {
      const Bytes h = HighNibbles(b);
      for (size_t i = 0; i < Bytes::kParts; ++i) high[i] = h.part[i].raw;
    }
  }
  Raw low[Bytes::kParts];
  Raw high[Bytes::kParts];  // if kBits > 4
};

// REQUIRES: at most 8 calls of Add before Finish.
struct Sums {
  template <int kBits, int kOffset>
  HWY_INLINE void Start(const int32_t* minus_sum) {
    start = 0;
    if constexpr (kOffset >= 0) start = *minus_sum * (1 << kOffset);
    for (size_t i = 0; i < Bytes::kParts; ++i) low[i] = high[i] = Nothing();
  }
  template <int kBits>
  HWY_INLINE void Add(const Codes<kBits>& w, const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const Raw v = Four(four);
    for (size_t i = 0; i < Bytes::kParts; ++i) {
      low[i] = Add16(low[i], Products(w.low[i], v));
      if constexpr (kBits > 4) {
        high[i] = Add16(high[i], Products(w.high[i], v));
      }
    }
  }
  template <int kBits>
  HWY_INLINE Floats Finish() const {
    return Map<Floats>([&](size_t i) HWY_ATTR {
      Raw v = Add32(Four(start), Pairs(low[i], 1));
      if constexpr (kBits > 4) v = Add32(v, Pairs(high[i], 16));
      return hn::ConvertTo(Floats::Tag(), Ints::Vector{v});
    });
  }
  HWY_INLINE Sums() {}
  int32_t start;
  Raw low[Bytes::kParts];
  Raw high[Bytes::kParts];
};

#elif HWY_TARGET == HWY_NEON

// Both factors are signed here: codes of 8 bits have their offset of 2^7 taken
// off before, and added again if they shall have none; others are small enough
// to be signed as they are.
template <int kBits>
struct Codes {
  HWY_INLINE explicit Codes(const Bytes& b) {
    for (size_t i = 0; i < Bytes::kParts; ++i) {
      uint8x16_t u = b.part[i].raw;
      if constexpr (kBits == 8) u = veorq_u8(u, vdupq_n_u8(0x80));
      v[i] = vreinterpretq_s8_u8(u);
    }
  }
  int8x16_t v[Bytes::kParts];
};

struct Sums {
  template <int kBits, int kOffset>
  HWY_INLINE void Start(const int32_t* minus_sum) {
    int32x4_t start = vdupq_n_s32(0);
    if constexpr (kBits == 8) {
      if constexpr (kOffset < 0) start = vdupq_n_s32(*minus_sum * -128);
    } else if constexpr (kOffset >= 0) {
      start = vshlq_n_s32(vdupq_n_s32(*minus_sum), kOffset);
    }
    for (int32x4_t& part : v) part = start;
  }
  template <int kBits>
  HWY_INLINE void Add(const Codes<kBits>& w, const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof(four));
    const int8x16_t column = vreinterpretq_s8_s32(vdupq_n_s32(four));
    for (size_t i = 0; i < Bytes::kParts; ++i) {
#if defined(__ARM_FEATURE_DOTPROD)
      v[i] = vdotq_s32(v[i], w.v[i], column);
#else
      const int16x8_t a = vmull_s8(vget_low_s8(w.v[i]), vget_low_s8(column));
      const int16x8_t b = vmull_s8(vget_high_s8(w.v[i]), vget_high_s8(column));
      v[i] = vaddq_s32(v[i], vpaddq_s32(vpaddlq_s16(a), vpaddlq_s16(b)));
#endif
    }
  }
  template <int kBits>
  HWY_INLINE Floats Finish() const {
    return Map<Floats>(
        [&](size_t i) HWY_ATTR { return Floats::Vector(vcvtq_f32_s32(v[i])); });
  }
  HWY_INLINE Sums() {}
  int32x4_t v[Bytes::kParts];
};

#else  // plain C++

template <int kBits>
struct Codes {
  HWY_INLINE explicit Codes(const Bytes& b) {
    for (size_t i = 0; i < Bytes::kParts; ++i) v[i] = hn::GetLane(b.part[i]);
  }
  uint8_t v[4 * kTileRows];
};

struct Sums {
  template <int kBits, int kOffset>
  HWY_INLINE void Start(const int32_t* minus_sum) {
    for (int32_t& sum : v) sum = kOffset < 0 ? 0 : *minus_sum * (1 << kOffset);
  }
  template <int kBits>
  HWY_INLINE void Add(const Codes<kBits>& w, const int8_t* x) {
    for (size_t row = 0; row < kTileRows; ++row) {
      for (size_t k = 0; k < 4; ++k) v[row] += w.v[4 * row + k] * x[k];
    }
  }
  template <int kBits>
  HWY_INLINE Floats Finish() const {
    return Map<Floats>([&](size_t i) HWY_ATTR {
      return hn::Set(Floats::Tag(), static_cast<float>(v[i]));
    });
  }
  HWY_INLINE Sums() {}
  int32_t v[kTileRows];
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
