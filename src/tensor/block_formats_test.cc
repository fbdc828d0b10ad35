// SPDX-License-Identifier: Apache-2.0
#include "tensor/block_formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tensor/block_codes.h"

namespace aio {
namespace {

// The compiler's own half, if it has one. C++ has _Float16 on 64-bit ARM from
// GCC 13 on only, and on x86 from Clang 15 on.
#if defined(__aarch64__)
#define COMPILERS_HALF __fp16
#elif !defined(__clang__) || __clang_major__ >= 15
#define COMPILERS_HALF _Float16
#endif

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The value of F16 bits by the definition in IEEE 754, in double precision.
double HalfByDefinition(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24)
                           : exponent == 31
                               ? (mantissa == 0 ? kInfinity : std::nan(""))
                               : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

// The half nearest to a finite value, found by trying them all: ties go to
// the even mantissa, and the infinity counts as the number 65536.
uint16_t NearestHalf(double value) {
  uint16_t best = 0;
  double best_distance = std::numeric_limits<double>::infinity();
  for (uint16_t bits = 0; bits <= 0x7C00; ++bits) {
    const double half = bits == 0x7C00 ? 65536 : HalfByDefinition(bits);
    const double distance = std::fabs(half - std::fabs(value));
    if (distance < best_distance ||
        (distance == best_distance && bits % 2 == 0)) {
      best = bits;
      best_distance = distance;
    }
  }
  return static_cast<uint16_t>(best | (std::signbit(value) ? 0x8000 : 0));
}

std::vector<float> Normal(size_t count, uint64_t seed) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    double sum = -6;  // of twelve uniforms: variance 1
    for (uint64_t k = 0; k < 12; ++k) sum += RandomUnit(seed, i, k);
    values[i] = static_cast<float>(sum);
  }
  return values;
}

TEST(F16Test, EveryHalfReadsAsItsDefinitionAndBack) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = F16ToF32(bits);
    const double expected = HalfByDefinition(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value))));
      continue;
    }
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(std::signbit(value), std::signbit(expected)) << bits;
    ASSERT_EQ(F32ToF16(value), bits);
  }
}

#ifdef COMPILERS_HALF
TEST(F16Test, AgreesWithTheCompilersOwnHalfOnRandomBits) {
  const auto check = [](float value) {
    const auto half = static_cast<COMPILERS_HALF>(value);
    uint16_t bits;
    std::memcpy(&bits, &half, sizeof(bits));
    ASSERT_EQ(F32ToF16(value), bits) << value;
  };
  for (uint64_t i = 0; i < 300000; ++i) {
    const auto bits = static_cast<uint32_t>(RandomBits(1, 2, i));
    const float value = std::bit_cast<float>(bits);
    if (!std::isnan(value)) check(value);
    // Most random floats are far outside the range of halves.
    const uint32_t near = (bits & 0x8FFFFFFF) | 0x30000000;
    check(std::bit_cast<float>(near));
  }
}
#endif

TEST(F16Test, RoundsToNearestTiesToEven) {
  // Halfway between each pair of neighbours, and one float to either side.
  for (uint16_t bits = 0; bits < 0x7C00; bits += 7) {
    const double next = bits + 1 == 0x7C00 ? 65536 : HalfByDefinition(bits + 1);
    const auto middle = static_cast<float>((HalfByDefinition(bits) + next) / 2);
    ASSERT_EQ(F32ToF16(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(F32ToF16(std::nextafter(middle, kInfinity)), bits + 1);
  }
  for (uint64_t i = 0; i < 50; ++i) {
    const auto value = static_cast<float>(RandomUnit(1, 1, i) - 0.5);
    ASSERT_EQ(F32ToF16(value), NearestHalf(value));
  }
  EXPECT_EQ(F32ToF16(kInfinity), 0x7C00);
  EXPECT_EQ(F32ToF16(-1e30f), 0xFC00);
}

TEST(Bf16Test, EveryValueSurvivesAndOthersGoToTheNearestEven) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const float value = Bf16ToF32(static_cast<uint16_t>(i));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(value))));
    } else {
      ASSERT_EQ(F32ToBf16(value), i);
    }
  }
  EXPECT_EQ(F32ToBf16(1.0f + 0x1p-8f), 0x3F80);  // a tie, down to even
  EXPECT_EQ(F32ToBf16(1.0f + 0x1p-8f + 0x1p-20f), 0x3F81);
  EXPECT_EQ(F32ToBf16(1.0f + 0x3p-8f), 0x3F82);  // a tie, up to even
  EXPECT_EQ(F32ToBf16(std::numeric_limits<float>::max()), 0x7F80);
}

// Q8_0 in double precision, from ggml's rule: scale = max|x| / 127.
TEST(Q8_0Test, EveryWeightIsWithinHalfAStepAndTheLargestIs127) {
  const auto values = Normal(32 * 100, 8);
  for (size_t at = 0; at < values.size(); at += 32) {
    BlockQ8_0 block;
    QuantizeBlock(&values[at], &block);
    double largest = 0;
    for (int i = 0; i < 32; ++i) {
      largest = std::max(largest, std::fabs(double{values[at + i]}));
    }
    EXPECT_EQ(block.scale, NearestHalf(largest / 127));
    int code_max = 0;
    for (int i = 0; i < 32; ++i) {
      const double exact = values[at + i] / (largest / 127);
      // Half a step, plus what float arithmetic adds to it.
      EXPECT_LE(std::fabs(block.q[i] - exact), 0.5 + 1e-4);
      code_max = std::max(code_max, std::abs(int{block.q[i]}));
    }
    EXPECT_EQ(code_max, 127);
  }
}

TEST(Q8_0Test, RoundsHalvesAwayFromZero) {
  std::array<float, 32> values{};
  values[0] = 127;  // scale 1
  values[1] = 2.5f;
  values[2] = -2.5f;
  values[3] = 2.25f;
  BlockQ8_0 block;
  QuantizeBlock(values.data(), &block);
  EXPECT_EQ(F16ToF32(block.scale), 1);
  EXPECT_EQ(block.q[0], 127);
  EXPECT_EQ(block.q[1], 3);
  EXPECT_EQ(block.q[2], -3);
  EXPECT_EQ(block.q[3], 2);
}

TEST(Q4_0Test, TheLargestWeightOfEitherSignIsKeptAsCodeZero) {
  for (const float sign : {1.0f, -1.0f}) {
    std::array<float, 32> values{};
    values[17] = 8 * sign;
    values[3] = -7 * sign;
    values[4] = 3 * sign;
    BlockQ4_0 block;
    QuantizeBlock(values.data(), &block);
    EXPECT_EQ(F16ToF32(block.scale), -sign);
    EXPECT_EQ(block.q[1] >> 4, 0);   // element 17: the high nibble of byte 1
    EXPECT_EQ(block.q[3] & 15, 15);  // -7 is 15 - 8 steps of -1
    EXPECT_EQ(block.q[4] & 15, 5);
    EXPECT_EQ(block.q[0], 0x88);  // two zeros
    std::array<float, 32> back;
    DequantizeBlock(block, back.data());
    EXPECT_EQ(back, values);
  }
}

TEST(Q4_0Test, EveryWeightIsWithinAStep) {
  const auto values = Normal(32 * 100, 4);
  for (size_t at = 0; at < values.size(); at += 32) {
    BlockQ4_0 block;
    std::array<float, 32> back;
    QuantizeBlock(&values[at], &block);
    DequantizeBlock(block, back.data());
    const float step = std::fabs(F16ToF32(block.scale));
    for (int i = 0; i < 32; ++i) {
      // The far end of the other sign has no code of its own: up to one step.
      EXPECT_LE(std::fabs(back[i] - values[at + i]), 1.002f * step);
    }
  }
}

// Blocks written down from the published layout, byte by byte.
template <typename Block>
Block FromBytes(std::initializer_list<std::pair<size_t, int>> bytes) {
  std::array<uint8_t, sizeof(Block)> raw{};
  for (const auto& [at, byte] : bytes) raw[at] = static_cast<uint8_t>(byte);
  return std::bit_cast<Block>(raw);
}

TEST(GoldenBlockTest, Q4_1) {
  // Scale 1, min -2; codes 1 (weight 0) and 15 (weight 16).
  const auto block = FromBytes<BlockQ4_1>({{1, 0x3C}, {3, 0xC0}, {4, 0xF1}});
  std::array<float, 32> values;
  DequantizeBlock(block, values.data());
  std::array<float, 32> expected;
  expected.fill(-2);
  expected[0] = -1;
  expected[16] = 13;
  EXPECT_EQ(values, expected);
}

TEST(GoldenBlockTest, Q5_0) {
  // Scale 0.5; weight 0 has code 2 + 16, weight 23 has 3 + 16.
  const auto block = FromBytes<BlockQ5_0>(
      {{1, 0x38}, {2, 0x01}, {4, 0x80}, {6, 0x02}, {6 + 7, 0x30}});
  std::array<float, 32> values;
  DequantizeBlock(block, values.data());
  std::array<float, 32> expected;
  expected.fill(-8);
  expected[0] = 1;
  expected[23] = 1.5f;
  EXPECT_EQ(values, expected);
}

TEST(GoldenBlockTest, Q5_1) {
  // Scale 0.25, min 1; weight 9 has code 16, weight 31 has code 31.
  const auto block = FromBytes<BlockQ5_1>(
      {{1, 0x34}, {3, 0x3C}, {5, 0x02}, {7, 0x80}, {8 + 15, 0xF0}});
  std::array<float, 32> values;
  DequantizeBlock(block, values.data());
  std::array<float, 32> expected;
  expected.fill(1);
  expected[9] = 5;
  expected[31] = 8.75f;
  EXPECT_EQ(values, expected);
}

template <typename Block>
class BlockTest : public testing::Test {
 public:
  static constexpr size_t kElements = sizeof(Block) > 64 ? 256 : 32;
};
using Blocks = testing::Types<BlockQ8_0, BlockQ4_0, BlockQ4_1, BlockQ5_0,
                              BlockQ5_1, BlockQ4_K, BlockQ5_K, BlockQ6_K>;
TYPED_TEST_SUITE(BlockTest, Blocks);

TYPED_TEST(BlockTest, ZerosAndTinyNumbersAreZeroAndNothingIsUndefined) {
  std::array<float, TestFixture::kElements> values, back;
  for (const float value :
       {0.0f, 1e-45f, 1e-39f, 1e-30f, -1e-30f, 3e38f, kInfinity, -kInfinity,
        std::numeric_limits<float>::quiet_NaN()}) {
    values = {};
    values[5] = value;
    TypeParam block;
    QuantizeBlock(values.data(), &block);
    DequantizeBlock(block, back.data());
    if (!(std::fabs(value) < 1)) continue;
    EXPECT_EQ(back, (decltype(back){})) << value;
  }
  values.fill(std::numeric_limits<float>::quiet_NaN());
  TypeParam block;
  QuantizeBlock(values.data(), &block);
}

TYPED_TEST(BlockTest, AnyBytesAreABlock) {
  std::array<float, TestFixture::kElements> values;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    std::array<uint8_t, sizeof(TypeParam)> raw;
    for (size_t i = 0; i < raw.size(); ++i) {
      raw[i] = static_cast<uint8_t>(RandomBits(seed, 1, i));
      if (seed == 0) raw[i] = 0xFF;  // every scale is NaN
    }
    DequantizeBlock(std::bit_cast<TypeParam>(raw), values.data());
    if (seed == 0) {
      EXPECT_TRUE(std::isnan(values[0]));
    }
  }
}

TEST(RowTest, RowsOfEachTypeSurviveAtAnyAddress) {
  constexpr size_t kCount = 768;
  const auto values = Normal(kCount, 3);
  const struct {
    DType type;
    float error;
  } cases[] = {
      {DType::kF32, 0},      {DType::kF16, 2e-3f},  {DType::kBF16, 2e-2f},
      {DType::kQ8_0, 2e-2f}, {DType::kQ4_0, 0.6f},  {DType::kQ4_1, 0.25f},
      {DType::kQ5_0, 0.3f},  {DType::kQ5_1, 0.15f}, {DType::kQ4_K, 0.35f},
      {DType::kQ5_K, 0.2f},  {DType::kQ6_K, 0.15f}};
  for (const auto& c : cases) {
    const size_t size = BytesFor(c.type, kCount);
    std::vector<std::byte> memory(size + 1);
    const auto bytes = std::span(memory).subspan(1);  // misaligned
    EncodeRow(c.type, values, bytes);
    std::vector<float> back(kCount);
    DecodeRow(c.type, bytes, back);
    float worst = 0;
    for (size_t i = 0; i < kCount; ++i) {
      worst = std::max(worst, std::fabs(back[i] - values[i]));
    }
    EXPECT_LE(worst, c.error) << NameOf(c.type);
  }
}

TEST(RowTest, WhatWasDecodedOnceIsAFixedPointWhereCodesAreSymmetric) {
  const auto values = Normal(96, 3);
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    std::vector<std::byte> bytes(BytesFor(type, 96)), again(bytes.size());
    std::vector<float> back(96);
    EncodeRow(type, values, bytes);
    DecodeRow(type, bytes, back);
    EncodeRow(type, back, again);
    EXPECT_EQ(again, bytes) << NameOf(type);
  }
}

// A grid of `codes` steps over what 32 (Q6_K: 16) normal numbers span has the
// error of a step over the square root of 12; the bounds leave a tenth.
TEST(RowTest, TheErrorIsWhatTheBitsPromise) {
  constexpr size_t kCount = 256 * 200;
  const auto values = Normal(kCount, 17);
  const struct {
    DType type;
    double rms;
  } cases[] = {{DType::kQ4_0, 0.095}, {DType::kQ4_1, 0.085},
               {DType::kQ5_0, 0.046}, {DType::kQ5_1, 0.042},
               {DType::kQ4_K, 0.078}, {DType::kQ5_K, 0.040},
               {DType::kQ6_K, 0.022}, {DType::kQ8_0, 0.006}};
  for (const auto& c : cases) {
    std::vector<std::byte> bytes(BytesFor(c.type, kCount));
    std::vector<float> back(kCount);
    EncodeRow(c.type, values, bytes);
    DecodeRow(c.type, bytes, back);
    double squares = 0;
    for (size_t i = 0; i < kCount; ++i) {
      squares += (back[i] - values[i]) * (back[i] - values[i]);
    }
    const double rms = std::sqrt(squares / kCount);
    EXPECT_LE(rms, c.rms) << NameOf(c.type);
    EXPECT_GE(rms, 0.5 * c.rms) << NameOf(c.type);
  }
}

TEST(DTypeTest, OnlyListedNumbersHaveTraitsAndNames) {
  EXPECT_EQ(NameOf(DType::kQ8_0), "Q8_0");
  EXPECT_EQ(NameOf(DType{99}), "type 99");
  EXPECT_FALSE(TraitsOf(DType{4}));  // withdrawn from the format
  EXPECT_EQ(BytesFor(DType::kQ4_K, 512), 288u);
  EXPECT_TRUE(IsComputable(DType::kBF16));
  EXPECT_TRUE(IsComputable(DType::kQ4_K));
  EXPECT_TRUE(IsComputable(DType::kF16));
  EXPECT_FALSE(IsComputable(DType::kQ2_K));
}

}  // namespace
}  // namespace aio
