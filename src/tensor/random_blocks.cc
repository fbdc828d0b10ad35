// SPDX-License-Identifier: Apache-2.0
#include "tensor/random_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/check.h"
#include "base/random.h"
#include "tensor/block_formats.h"

namespace aio {
namespace {

// The bits of one block.
class Bits {
 public:
  Bits(uint64_t seed, uint64_t stream, int64_t block)
      : key_(RandomBits(seed, stream, static_cast<uint64_t>(block))) {}

  uint64_t Next() { return Mix(key_ + count_++); }

  void Fill(void* out, size_t size) {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
      const uint64_t bits = Next();
      std::memcpy(bytes + i, &bits, std::min(sizeof(bits), size - i));
    }
  }

  // In [0.75, 1.25).
  float Factor() { return 0.75f + static_cast<float>(Next() >> 40) * 0x1p-25f; }

  float Sign() { return (Next() & 1) != 0 ? 1.0f : -1.0f; }

 private:
  const uint64_t key_;
  uint64_t count_ = 0;
};

// The standard deviation of codes drawn evenly from `count` neighbours.
double DeviationOf(int count) {
  return std::sqrt((static_cast<double>(count) * count - 1) / 12);
}

// The center of codes 0 to 15 is no code: where zero is one of them, a scale of
// either sign, as quantizers give, keeps the weights' mean at 0.
float SignedScale(double spread, int codes, Bits* bits) {
  const auto step = static_cast<float>(spread / DeviationOf(codes));
  return bits->Sign() * bits->Factor() * step;
}

void Draw(double spread, Bits bits, BlockQ8_0* block) {
  const auto step = static_cast<float>(spread / DeviationOf(255));
  block->scale = F32ToF16(bits.Factor() * step);
  bits.Fill(block->q, sizeof(block->q));
  for (int8_t& q : block->q) {
    if (q == -128) q = 0;  // quantizers never give it
  }
}

void Draw(double spread, Bits bits, BlockQ4_0* block) {
  block->scale = F32ToF16(SignedScale(spread, 16, &bits));
  bits.Fill(block->q, sizeof(block->q));
}

void Draw(double spread, Bits bits, BlockQ5_0* block) {
  block->scale = F32ToF16(SignedScale(spread, 32, &bits));
  bits.Fill(block->high, sizeof(block->high));
  bits.Fill(block->q, sizeof(block->q));
}

void Draw(double spread, Bits bits, BlockQ4_1* block) {
  const float scale =
      bits.Factor() * static_cast<float>(spread / DeviationOf(16));
  block->scale = F32ToF16(scale);
  block->min = F32ToF16(-7.5f * scale);
  bits.Fill(block->q, sizeof(block->q));
}

void Draw(double spread, Bits bits, BlockQ5_1* block) {
  const float scale =
      bits.Factor() * static_cast<float>(spread / DeviationOf(32));
  block->scale = F32ToF16(scale);
  block->min = F32ToF16(-15.5f * scale);
  bits.Fill(block->high, sizeof(block->high));
  bits.Fill(block->q, sizeof(block->q));
}

// Sub-block scales of 38 to 62, about 50; mins are those, off by one at most,
// times what centers the codes.
template <typename Block>
void DrawScales(double spread, int codes, Bits* bits, Block* block) {
  constexpr int kTypical = 50;
  const auto scale = static_cast<float>(spread / DeviationOf(codes) / kTypical);
  block->scale = F32ToF16(scale);
  block->min = F32ToF16(scale * static_cast<float>(codes - 1) / 2);
  SubBlockScales scales;
  for (size_t b = 0; b < std::size(scales.scale); ++b) {
    const uint64_t random = bits->Next();
    scales.scale[b] = static_cast<uint8_t>(38 + random % 1024 * 25 / 1024);
    scales.min[b] =
        static_cast<uint8_t>(scales.scale[b] + (random >> 32) % 3 - 1);
  }
  PackScales(scales, block->scales);
}

void Draw(double spread, Bits bits, BlockQ4_K* block) {
  DrawScales(spread, 16, &bits, block);
  bits.Fill(block->q, sizeof(block->q));
}

void Draw(double spread, Bits bits, BlockQ5_K* block) {
  DrawScales(spread, 32, &bits, block);
  bits.Fill(block->high, sizeof(block->high));
  bits.Fill(block->q, sizeof(block->q));
}

void Draw(double spread, Bits bits, BlockQ6_K* block) {
  constexpr int kTypical = 100;
  block->scale =
      F32ToF16(static_cast<float>(spread / DeviationOf(64) / kTypical));
  for (int8_t& scale : block->scales) {
    const uint64_t random = bits.Next();
    const auto size = static_cast<int>(75 + random % 1024 * 50 / 1024);
    scale = static_cast<int8_t>((random >> 32 & 1) != 0 ? size : -size);
  }
  bits.Fill(block->low, sizeof(block->low));
  bits.Fill(block->high, sizeof(block->high));
}

template <typename Block>
void DrawBlocks(double spread, uint64_t seed, uint64_t stream, int64_t first,
                std::span<std::byte> out) {
  CHECK(out.size() % sizeof(Block) == 0);
  for (; !out.empty(); out = out.subspan(sizeof(Block))) {
    Block block;
    Draw(spread, Bits(seed, stream, first++), &block);
    std::memcpy(out.data(), &block, sizeof(block));
  }
}

template <typename Number, typename Convert>
void DrawNumbers(double spread, uint64_t seed, uint64_t stream, int64_t first,
                 Convert convert, std::span<std::byte> out) {
  CHECK(out.size() % sizeof(Number) == 0);
  const double reach = spread * std::sqrt(3.0);
  for (; !out.empty(); out = out.subspan(sizeof(Number))) {
    const double unit =
        2 * RandomUnit(seed, stream, static_cast<uint64_t>(first++)) - 1;
    const Number number = convert(static_cast<float>(reach * unit));
    std::memcpy(out.data(), &number, sizeof(number));
  }
}

}  // namespace

void RandomBlocks(DType type, double spread, uint64_t seed, uint64_t stream,
                  int64_t first, std::span<std::byte> blocks) {
  const auto draw = [&](auto block) {
    DrawBlocks<decltype(block)>(spread, seed, stream, first, blocks);
  };
  const auto numbers = [&](auto convert) {
    DrawNumbers<decltype(convert(0))>(spread, seed, stream, first, convert,
                                      blocks);
  };
  switch (type) {
    case DType::kF32:
      return numbers([](float value) { return value; });
    case DType::kF16:
      return numbers(F32ToF16);
    case DType::kBF16:
      return numbers(F32ToBf16);
    case DType::kQ8_0:
      return draw(BlockQ8_0());
    case DType::kQ4_0:
      return draw(BlockQ4_0());
    case DType::kQ4_1:
      return draw(BlockQ4_1());
    case DType::kQ5_0:
      return draw(BlockQ5_0());
    case DType::kQ5_1:
      return draw(BlockQ5_1());
    case DType::kQ4_K:
      return draw(BlockQ4_K());
    case DType::kQ5_K:
      return draw(BlockQ5_K());
    case DType::kQ6_K:
      return draw(BlockQ6_K());
    default:
      CHECK(IsComputable(type));
  }
}

}  // namespace aio
