// SPDX-License-Identifier: Apache-2.0
#include "tensor/block_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/block_codes.h"

namespace aio {
namespace {

// memcpy for each number and block: the bytes of a mapped file are aligned by
// its header's promise only.
template <typename Block, int kElements = kBlockElements>
void EncodeBlocks(std::span<const float> values, std::byte* out) {
  for (size_t i = 0; i < values.size(); i += kElements) {
    Block block;
    QuantizeBlock(values.data() + i, &block);
    std::memcpy(out, &block, sizeof(block));
    out += sizeof(block);
  }
}

template <uint16_t (*convert)(float)>
void EncodeHalves(std::span<const float> values, std::byte* out) {
  for (const float value : values) {
    const uint16_t half = convert(value);
    std::memcpy(out, &half, sizeof(half));
    out += sizeof(half);
  }
}

template <float (*convert)(uint16_t)>
void DecodeHalves(const std::byte* in, std::span<float> values) {
  for (float& value : values) {
    uint16_t half;
    std::memcpy(&half, in, sizeof(half));
    value = convert(half);
    in += sizeof(half);
  }
}

// What QuantizeBlock stores for a value far outside the block's range: only
// non-finite weights come here, and a conversion of NaN to int is undefined.
int ToInt(float value, int low, int high) {
  if (!(value > static_cast<float>(low))) return low;
  if (!(value < static_cast<float>(high))) return high;
  return static_cast<int>(value);
}

// Of 32 values, the one farthest from zero, with its sign.
float Farthest(const float* values) {
  float farthest = 0;
  for (int i = 0; i < kBlockElements; ++i) {
    if (std::fabs(values[i]) > std::fabs(farthest)) farthest = values[i];
  }
  return farthest;
}

float InverseOf(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

// Codes of four bits: element i < 16 in the low nibble of q[i], i + 16 in the
// high one. code(i) is in [0, 15].
template <typename Code>
void PutNibbles(Code code, uint8_t* q) {
  for (int i = 0; i < kBlockElements / 2; ++i) {
    q[i] = static_cast<uint8_t>(code(i) | code(i + kBlockElements / 2) << 4);
  }
}

// Codes of five bits, [0, 31].
template <typename Code>
void PutFiveBits(Code code, uint8_t* high, uint8_t* q) {
  PutNibbles([&](int i) { return code(i) & 15; }, q);
  std::memset(high, 0, kBlockElements / 8);
  for (int i = 0; i < kBlockElements; ++i) {
    high[i / 8] = static_cast<uint8_t>(high[i / 8] | (code(i) >> 4) << (i % 8));
  }
}

// The least value, and the step that reaches the largest in `steps` steps.
struct Steps {
  float min;
  float scale;
};

Steps StepsOf(const float* values, int steps) {
  const auto [low, high] = std::minmax_element(values, values + kBlockElements);
  return {*low, (*high - *low) / static_cast<float>(steps)};
}

}  // namespace

uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) {  // NaN
    return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x1FF));
  }
  // 65520 is halfway between the largest half and the next power of two.
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
  if (magnitude < 0x38800000) {
    // Below 2^-14 halves are multiples of 2^-24. Adding 0.5 makes the sum's
    // last bit weigh 2^-24, so the addition itself rounds to nearest even.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign |
                                 (std::bit_cast<uint32_t>(sum) - 0x3F000000));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  const uint32_t rounded = magnitude - 0x38000000 + 0xFFF + odd;
  return static_cast<uint16_t>(sign | rounded >> 13);
}

void QuantizeBlock(const float* values, BlockQ8_0* block) {
  float largest = 0;
  for (int i = 0; i < kBlockElements; ++i) {
    largest = std::max(largest, std::fabs(values[i]));
  }
  const float scale = largest / 127.0f;
  const float inverse = InverseOf(scale);
  block->scale = F32ToF16(scale);
  for (int i = 0; i < kBlockElements; ++i) {
    block->q[i] =
        static_cast<int8_t>(ToInt(std::round(values[i] * inverse), -128, 127));
  }
}

void QuantizeBlock(const float* values, BlockQ4_0* block) {
  const float scale = Farthest(values) / -8.0f;  // it becomes code 0
  const float inverse = InverseOf(scale);
  block->scale = F32ToF16(scale);
  PutNibbles([&](int i) { return ToInt(values[i] * inverse + 8.5f, 0, 15); },
             block->q);
}

void QuantizeBlock(const float* values, BlockQ5_0* block) {
  const float scale = Farthest(values) / -16.0f;
  const float inverse = InverseOf(scale);
  block->scale = F32ToF16(scale);
  PutFiveBits([&](int i) { return ToInt(values[i] * inverse + 16.5f, 0, 31); },
              block->high, block->q);
}

void QuantizeBlock(const float* values, BlockQ4_1* block) {
  const auto [min, scale] = StepsOf(values, 15);
  const float inverse = InverseOf(scale);
  block->scale = F32ToF16(scale);
  block->min = F32ToF16(min);
  PutNibbles(
      [&, min = min](int i) {
        return ToInt((values[i] - min) * inverse + 0.5f, 0, 15);
      },
      block->q);
}

void QuantizeBlock(const float* values, BlockQ5_1* block) {
  const auto [min, scale] = StepsOf(values, 31);
  const float inverse = InverseOf(scale);
  block->scale = F32ToF16(scale);
  block->min = F32ToF16(min);
  PutFiveBits(
      [&, min = min](int i) {
        return ToInt((values[i] - min) * inverse + 0.5f, 0, 31);
      },
      block->high, block->q);
}

size_t BytesFor(DType type, int64_t elements) {
  const auto traits = TraitsOf(type);
  CHECK(traits && elements >= 0 && elements % traits->block_elements == 0);
  return static_cast<size_t>(elements / traits->block_elements) *
         static_cast<size_t>(traits->block_bytes);
}

void EncodeRow(DType type, std::span<const float> values,
               std::span<std::byte> bytes) {
  CHECK(bytes.size() == BytesFor(type, static_cast<int64_t>(values.size())));
  if (values.empty()) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(bytes.data(), values.data(), bytes.size());
      return;
    case DType::kF16:
      return EncodeHalves<F32ToF16>(values, bytes.data());
    case DType::kBF16:
      return EncodeHalves<F32ToBf16>(values, bytes.data());
    case DType::kQ8_0:
      return EncodeBlocks<BlockQ8_0>(values, bytes.data());
    case DType::kQ4_0:
      return EncodeBlocks<BlockQ4_0>(values, bytes.data());
    case DType::kQ4_1:
      return EncodeBlocks<BlockQ4_1>(values, bytes.data());
    case DType::kQ5_0:
      return EncodeBlocks<BlockQ5_0>(values, bytes.data());
    case DType::kQ5_1:
      return EncodeBlocks<BlockQ5_1>(values, bytes.data());
    case DType::kQ4_K:
      return EncodeBlocks<BlockQ4_K, kSuperBlockElements>(values, bytes.data());
    case DType::kQ5_K:
      return EncodeBlocks<BlockQ5_K, kSuperBlockElements>(values, bytes.data());
    case DType::kQ6_K:
      return EncodeBlocks<BlockQ6_K, kSuperBlockElements>(values, bytes.data());
    default:
      CHECK(IsComputable(type));
  }
}

void DecodeRow(DType type, std::span<const std::byte> bytes,
               std::span<float> values) {
  CHECK(bytes.size() == BytesFor(type, static_cast<int64_t>(values.size())));
  if (values.empty()) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(values.data(), bytes.data(), bytes.size());
      return;
    case DType::kF16:
      return DecodeHalves<F16ToF32>(bytes.data(), values);
    case DType::kBF16:
      return DecodeHalves<Bf16ToF32>(bytes.data(), values);
    default: {
      const DTypeTraits traits = *TraitsOf(type);
      const std::byte* block = bytes.data();
      for (size_t i = 0; i < values.size(); block += traits.block_bytes) {
        DequantizeBlock(type, block, values.data() + i);
        i += static_cast<size_t>(traits.block_elements);
      }
    }
  }
}

}  // namespace aio
