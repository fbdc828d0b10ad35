// SPDX-License-Identifier: Apache-2.0
//
// What the bytes of a tensor mean: half-precision numbers and the blocks of
// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K, with scalar conversion
// both ways. These functions define the formats; kernels/ is fast and is tested
// against them.
//
// Every byte pattern is a valid block: scales may be infinite or NaN, and then
// so are the weights. No field needs more than two bytes of alignment.
//
// Thread safety: pure functions.
// Source of layouts and rounding rules: ggml-org/ggml (ggml-common.h,
// ggml-quants.c), whose files must read alike here and there.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace aio {

// IEEE binary16, exact. NaNs stay NaNs (quiet), with their payload.
inline float F16ToF32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1F;
  const uint32_t mantissa = half & 0x3FF;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 31 ? 0xFF : exponent + 112;
  const uint32_t quiet = exponent == 31 && mantissa != 0 ? 0x400000u : 0u;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13 | quiet);
}

// Rounds to nearest, ties to even; past 65504 + half a step becomes infinity.
uint16_t F32ToF16(float value);

// bfloat16: the upper half of a float.
inline float Bf16ToF32(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

// Rounds to nearest, ties to even; NaNs become quiet.
inline uint16_t F32ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) {
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  }
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline constexpr int kBlockElements = 32;        // of Q8_0 Q4_0 Q4_1 Q5_0 Q5_1
inline constexpr int kSuperBlockElements = 256;  // of Q4_K Q5_K Q6_K

// 32 weights: scale * q[i].
struct BlockQ8_0 {
  static constexpr DType kType = DType::kQ8_0;
  uint16_t scale;  // F16 bits
  int8_t q[kBlockElements];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

// 32 weights: scale * (nibble - 8); element i < 16 is the low nibble of q[i],
// element i + 16 the high one.
struct BlockQ4_0 {
  static constexpr DType kType = DType::kQ4_0;
  uint16_t scale;  // F16 bits
  uint8_t q[kBlockElements / 2];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

// 32 weights: scale * nibble + min; nibbles as in Q4_0.
struct BlockQ4_1 {
  static constexpr DType kType = DType::kQ4_1;
  uint16_t scale;  // F16 bits
  uint16_t min;    // F16 bits
  uint8_t q[kBlockElements / 2];
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 2);

// 32 weights: scale * (code - 16). The low four bits of a code lie as in Q4_0;
// the fifth bit of element i is bit i % 8 of high[i / 8].
struct BlockQ5_0 {
  static constexpr DType kType = DType::kQ5_0;
  uint16_t scale;  // F16 bits
  uint8_t high[kBlockElements / 8];
  uint8_t q[kBlockElements / 2];
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 2);

// 32 weights: scale * code + min; codes as in Q5_0.
struct BlockQ5_1 {
  static constexpr DType kType = DType::kQ5_1;
  uint16_t scale;  // F16 bits
  uint16_t min;    // F16 bits
  uint8_t high[kBlockElements / 8];
  uint8_t q[kBlockElements / 2];
};
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 2);

// 256 weights in 8 sub-blocks of 32. Sub-block b has 6-bit numbers s[b] and
// m[b], and its weights are (scale * s[b]) * nibble - min * m[b].
// scales: byte b < 4 has s[b] in its low six bits, byte b + 4 has m[b]; byte
// b + 8 has the low four bits of s[b + 4] (low nibble) and of m[b + 4] (high
// nibble), whose upper two bits are bits 6 and 7 of bytes b and b + 4.
// q: 32 bytes for each pair of sub-blocks; the low nibbles are the weights of
// the even one, in order, the high nibbles those of the odd one.
struct BlockQ4_K {
  static constexpr DType kType = DType::kQ4_K;
  uint16_t scale;  // F16 bits
  uint16_t min;    // F16 bits
  uint8_t scales[12];
  uint8_t q[kSuperBlockElements / 2];
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 2);

// As Q4_K with codes of five bits: the fifth of weight i in sub-block b is bit
// b of high[i].
struct BlockQ5_K {
  static constexpr DType kType = DType::kQ5_K;
  uint16_t scale;  // F16 bits
  uint16_t min;    // F16 bits
  uint8_t scales[12];
  uint8_t high[kSuperBlockElements / 8];
  uint8_t q[kSuperBlockElements / 2];
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 2);

// 256 weights in 16 sub-blocks of 16: (scale * scales[b]) * (code - 32).
// Each half of 128 weights has 64 bytes of `low` and 32 of `high`. With weight
// 32 * k + i of the half (k < 4, i < 32): the low four bits of its code are in
// low[32 * (k % 2) + i], in the high nibble if k >= 2; its upper two bits are
// bits 2k and 2k + 1 of high[i].
struct BlockQ6_K {
  static constexpr DType kType = DType::kQ6_K;
  uint8_t low[kSuperBlockElements / 2];
  uint8_t high[kSuperBlockElements / 4];
  int8_t scales[kSuperBlockElements / 16];
  uint16_t scale;  // F16 bits
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

// The numbers s[b] and m[b] of Q4_K and Q5_K, each under 64.
struct SubBlockScales {
  uint8_t scale[8];
  uint8_t min[8];
};
SubBlockScales UnpackScales(const uint8_t packed[12]);
void PackScales(const SubBlockScales& scales, uint8_t packed[12]);

// One block. `values` are 32 (of the K types: 256) finite floats; others give
// some block, whose weights need not be finite. Blocks of 32 are rounded as
// ggml's reference does, to the same bytes. The K types search each sub-block's
// scale for the least weighted square error, as ggml does, but are not held to
// its bytes.
void QuantizeBlock(const float* values, BlockQ8_0* block);
void QuantizeBlock(const float* values, BlockQ4_0* block);
void QuantizeBlock(const float* values, BlockQ4_1* block);
void QuantizeBlock(const float* values, BlockQ5_0* block);
void QuantizeBlock(const float* values, BlockQ5_1* block);
void QuantizeBlock(const float* values, BlockQ4_K* block);
void QuantizeBlock(const float* values, BlockQ5_K* block);
void QuantizeBlock(const float* values, BlockQ6_K* block);
// The other way is block_codes.h's.

// Bytes that `elements` numbers of `type` take; `elements` must be a multiple
// of the type's block.
// REQUIRES: TraitsOf(type) has a value and elements >= 0.
size_t BytesFor(DType type, int64_t elements);

// Whole rows between float and any type that IsComputable.
// REQUIRES: IsComputable(type), bytes.size() == BytesFor(type, values.size()).
// The bytes need no alignment.
void EncodeRow(DType type, std::span<const float> values,
               std::span<std::byte> bytes);
void DecodeRow(DType type, std::span<const std::byte> bytes,
               std::span<float> values);

}  // namespace aio
