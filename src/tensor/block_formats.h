// SPDX-License-Identifier: Apache-2.0
//
// What the bytes of a tensor mean: half-precision numbers and the blocks of
// Q8_0 and Q4_0, with scalar conversion both ways. These functions define the
// formats; kernels/ is fast and is tested against them.
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

inline constexpr int kBlockElements = 32;  // of Q8_0 and of Q4_0

// 32 weights: scale * q[i].
struct BlockQ8_0 {
  uint16_t scale;  // F16 bits
  int8_t q[kBlockElements];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

// 32 weights: scale * (nibble - 8); element i < 16 is the low nibble of q[i],
// element i + 16 the high one.
struct BlockQ4_0 {
  uint16_t scale;  // F16 bits
  uint8_t q[kBlockElements / 2];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

// One block. `values` are 32 finite floats.
void QuantizeBlock(const float* values, BlockQ8_0* block);
void QuantizeBlock(const float* values, BlockQ4_0* block);
void DequantizeBlock(const BlockQ8_0& block, float* values);
void DequantizeBlock(const BlockQ4_0& block, float* values);

// Bytes that `elements` numbers of `type` take; `elements` must be a multiple
// of the type's block.
// REQUIRES: TraitsOf(type) has a value and elements >= 0.
size_t BytesFor(DType type, int64_t elements);

// Whole rows between float and any computable type (IsComputable).
// REQUIRES: bytes.size() == BytesFor(type, values.size()).
// The bytes need no alignment.
void EncodeRow(DType type, std::span<const float> values,
               std::span<std::byte> bytes);
void DecodeRow(DType type, std::span<const std::byte> bytes,
               std::span<float> values);

}  // namespace aio
