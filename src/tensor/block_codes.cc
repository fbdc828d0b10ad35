// SPDX-License-Identifier: Apache-2.0
#include "tensor/block_codes.h"

#include <cstring>

#include "base/check.h"
#include "tensor/block_formats.h"

namespace aio {
namespace {

uint16_t HalfAt(const std::byte* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof(half));
  return half;
}

// Eight bytes at a time: each is masked and shifted for itself.
using Bytes8 = uint64_t;
constexpr Bytes8 kEach = 0x0101010101010101;
Bytes8 LoadBytes(const void* p) {
  Bytes8 bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return bytes;
}
void StoreBytes(Bytes8 bytes, uint8_t* out) {
  std::memcpy(out, &bytes, sizeof(bytes));
}

// Low nibbles first, then the high ones.
template <int kCount>
void Nibbles(const std::byte* p, uint8_t* codes) {
  for (int i = 0; i < kCount; i += 8) {
    const Bytes8 q = LoadBytes(p + i);
    StoreBytes(q & kEach * 15, codes + i);
    StoreBytes(q >> 4 & kEach * 15, codes + kCount + i);
  }
}

// ORs `mask` bits of each of 32 bytes, from bit `bit` on, into bit 4 of codes.
void HighBits(const std::byte* p, int bit, int mask, uint8_t* codes) {
  for (int i = 0; i < 32; i += 8) {
    const Bytes8 high = LoadBytes(p + i) >> bit & kEach * mask;
    StoreBytes(LoadBytes(codes + i) | high << 4, codes + i);
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
  for (int i = 0; i < 32; i += 8) {
    StoreBytes(LoadBytes(p + 2 + i) ^ kEach * 0x80, out->codes + i);
  }
}

void UnpackK(DType type, const std::byte* p, BlockCodes* out) {
  const bool five = type == DType::kQ5_K;
  out->scale = HalfAt(p);
  out->min = HalfAt(p + 2);
  const SubBlockScales scales =
      UnpackScales(reinterpret_cast<const uint8_t*>(p + 4));
  std::memcpy(out->scales, scales.scale, sizeof(scales.scale));
  std::memcpy(out->mins, scales.min, sizeof(scales.min));
  const std::byte* q = p + (five ? 48 : 16);
  for (int pair = 0; pair < 4; ++pair) {  // two blocks of 32 share 32 bytes
    uint8_t* codes = out->codes + 64 * pair;
    Nibbles<32>(q + 32 * pair, codes);
    if (!five) continue;
    HighBits(p + 16, 2 * pair, 1, codes);
    HighBits(p + 16, 2 * pair + 1, 1, codes + 32);
  }
}

void UnpackQ6_K(const std::byte* p, BlockCodes* out) {
  for (int half = 0; half < 2; ++half) {
    uint8_t* codes = out->codes + 128 * half;
    Nibbles<64>(p + 64 * half, codes);
    for (int k = 0; k < 4; ++k) {
      HighBits(p + 128 + 32 * half, 2 * k, 3, codes + 32 * k);
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
      return Nibbles<16>(p + 2, out->codes);
    case DType::kQ4_1:
      out->scale = HalfAt(p);
      out->min = HalfAt(p + 2);
      return Nibbles<16>(p + 4, out->codes);
    case DType::kQ5_0:
      out->scale = HalfAt(p);
      Nibbles<16>(p + 6, out->codes);
      return FifthBits(p + 2, out->codes);
    case DType::kQ5_1:
      out->scale = HalfAt(p);
      out->min = HalfAt(p + 2);
      Nibbles<16>(p + 8, out->codes);
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
