// SPDX-License-Identifier: Apache-2.0
#include "tensor/block_codes.h"

#include <cstring>

#include "base/check.h"
#include "tensor/block_formats.h"

namespace aio {
namespace {

const uint8_t* BytesAt(const std::byte* p) {
  return reinterpret_cast<const uint8_t*>(p);
}

uint16_t HalfAt(const std::byte* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof(half));
  return half;
}

// `count` bytes: low nibbles first, then the high ones.
void Nibbles(const uint8_t* q, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    codes[i] = q[i] & 15;
    codes[i + count] = q[i] >> 4;
  }
}

// The fifth bit of code i is bit i.
void FifthBits(const std::byte* p, uint8_t* codes) {
  uint32_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  for (int i = 0; i < 32; ++i) {
    codes[i] |= static_cast<uint8_t>((bits >> i & 1) << 4);
  }
}

void UnpackQ8_0(const std::byte* p, BlockCodes* out) {
  out->scale = HalfAt(p);
  for (int i = 0; i < 32; ++i) {
    out->codes[i] = static_cast<uint8_t>(BytesAt(p + 2)[i] ^ 0x80);
  }
}

void UnpackK(DType type, const std::byte* p, BlockCodes* out) {
  const bool five = type == DType::kQ5_K;
  out->scale = HalfAt(p);
  out->min = HalfAt(p + 2);
  const SubBlockScales scales = UnpackScales(BytesAt(p + 4));
  std::memcpy(out->scales, scales.scale, sizeof(scales.scale));
  std::memcpy(out->mins, scales.min, sizeof(scales.min));
  const uint8_t* high = BytesAt(p + 16);  // [32], if five
  const uint8_t* q = BytesAt(p + (five ? 48 : 16));
  for (int pair = 0; pair < 4; ++pair) {  // two blocks of 32 share 32 bytes
    uint8_t* codes = out->codes + 64 * pair;
    Nibbles(q + 32 * pair, 32, codes);
    for (int i = 0; i < 64 && five; ++i) {
      const int bit = 2 * pair + i / 32;
      codes[i] |= static_cast<uint8_t>((high[i % 32] >> bit & 1) << 4);
    }
  }
}

void UnpackQ6_K(const std::byte* p, BlockCodes* out) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = BytesAt(p + 64 * half);
    const uint8_t* high = BytesAt(p + 128 + 32 * half);
    uint8_t* codes = out->codes + 128 * half;
    Nibbles(low, 64, codes);
    for (int i = 0; i < 128; ++i) {
      const int bits = high[i % 32] >> (i / 32 * 2) & 3;
      codes[i] |= static_cast<uint8_t>(bits << 4);
    }
  }
  std::memcpy(out->scales, p + 192, 16);
  out->scale = HalfAt(p + 208);
}

}  // namespace

int CodeOffset(DType type) {
  switch (type) {
    case DType::kQ8_0:
      return 128;
    case DType::kQ4_0:
      return 8;
    case DType::kQ5_0:
      return 16;
    case DType::kQ6_K:
      return 32;
    default:
      return 0;
  }
}

void UnpackBlock(DType type, const std::byte* block, BlockCodes* out) {
  const std::byte* p = block;
  switch (type) {
    case DType::kQ8_0:
      return UnpackQ8_0(p, out);
    case DType::kQ4_0:
      out->scale = HalfAt(p);
      return Nibbles(BytesAt(p + 2), 16, out->codes);
    case DType::kQ4_1:
      out->scale = HalfAt(p);
      out->min = HalfAt(p + 2);
      return Nibbles(BytesAt(p + 4), 16, out->codes);
    case DType::kQ5_0:
      out->scale = HalfAt(p);
      Nibbles(BytesAt(p + 6), 16, out->codes);
      return FifthBits(p + 2, out->codes);
    case DType::kQ5_1:
      out->scale = HalfAt(p);
      out->min = HalfAt(p + 2);
      Nibbles(BytesAt(p + 8), 16, out->codes);
      return FifthBits(p + 4, out->codes);
    case DType::kQ4_K:
    case DType::kQ5_K:
      return UnpackK(type, p, out);
    case DType::kQ6_K:
      return UnpackQ6_K(p, out);
    default:
      CHECK(false);
  }
}

void DequantizeBlock(DType type, const std::byte* block, float* values) {
  BlockCodes c = {};
  UnpackBlock(type, block, &c);
  const float scale = F16ToF32(c.scale), min = F16ToF32(c.min);
  const int offset = CodeOffset(type), count = TraitsOf(type)->block_elements;
  const bool k = count > kBlockElements;  // scales under the scale
  const int block_of = type == DType::kQ6_K ? 16 : 32;
  for (int i = 0; i < count; ++i) {
    const int b = i / block_of;
    const float step = k ? scale * static_cast<float>(c.scales[b]) : scale;
    values[i] = step * static_cast<float>(c.codes[i] - offset);
    if (offset != 0) continue;
    if (k) {
      values[i] -= min * static_cast<float>(c.mins[b]);
    } else {
      values[i] += min;
    }
  }
}

}  // namespace aio
