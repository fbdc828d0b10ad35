// SPDX-License-Identifier: Apache-2.0
//
// The layout of the K types, against blocks written down by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "tensor/block_codes.h"
#include "tensor/block_formats.h"

namespace aio {
namespace {

using Values = std::array<float, kSuperBlockElements>;

// s[0] = 1, s[5] = 0x2A, m[2] = 3, m[5] = 0x1F: numbers of sub-blocks 4 to 7
// have their low four bits in bytes 8 to 11 and the others above their
// neighbours'.
constexpr uint8_t kPacked[12] = {0x01, 0x80, 0, 0,    0, 0x40,
                                 0x03, 0,    0, 0xFA, 0, 0};

TEST(SubBlockScalesTest, UnpackAsPublishedAndPackBack) {
  const SubBlockScales scales = UnpackScales(kPacked);
  for (int b = 0; b < 8; ++b) {
    EXPECT_EQ(scales.scale[b], b == 0 ? 1 : b == 5 ? 0x2A : 0);
    EXPECT_EQ(scales.min[b], b == 2 ? 3 : b == 5 ? 0x1F : 0);
  }
  // Every bit of the twelve bytes means something: 96 = 16 * 6.
  for (int bit = 0; bit < 96; ++bit) {
    uint8_t packed[12] = {}, again[12];
    packed[bit / 8] = static_cast<uint8_t>(1 << bit % 8);
    PackScales(UnpackScales(packed), again);
    EXPECT_EQ(std::memcmp(packed, again, 12), 0) << bit;
  }
}

// What the two golden blocks share. Weight 7 of sub-block 5 has nibble 9 (byte
// 32 * 2 + 7, high), weight 3 of sub-block 0 has nibble 5.
template <typename Block>
Block Golden() {
  Block block{};
  block.scale = 0x3C00;  // 1
  block.min = 0x3800;    // 0.5
  std::memcpy(block.scales, kPacked, sizeof(kPacked));
  block.q[71] = 0x9C;
  block.q[3] = 0x05;
  return block;
}

Values GoldenValues(float seventh) {
  Values values{};
  values[3] = 5;
  for (int i = 64; i < 96; ++i) values[i] = -0.5f * 3;
  for (int i = 160; i < 192; ++i) values[i] = -0.5f * 31;
  values[167] += 42 * seventh;
  return values;
}

TEST(GoldenBlockTest, Q4_K) {
  Values values;
  DequantizeBlock(Golden<BlockQ4_K>(), values.data());
  EXPECT_EQ(values, GoldenValues(9));
}

TEST(GoldenBlockTest, Q5_K) {
  auto block = Golden<BlockQ5_K>();
  block.high[7] = 1 << 5;
  Values values;
  DequantizeBlock(block, values.data());
  EXPECT_EQ(values, GoldenValues(9 + 16));
}

TEST(GoldenBlockTest, Q6_K) {
  BlockQ6_K block{};
  block.scale = 0x3400;  // 0.25
  block.scales[15] = -3;
  // Weight 244 = 128 + 32 * 3 + 20 has code 0x2B.
  block.low[64 + 32 + 20] = 0xB0;
  block.high[32 + 20] = 0x80;
  // Weight 32 * 1 + 16 has code 0x1C; the nibble above it is that of weight
  // 112, which has no scale.
  block.scales[3] = 2;
  block.low[32 + 16] = 0xFC;
  block.high[16] = 0x04;
  Values values, expected{};
  DequantizeBlock(block, values.data());
  for (int i = 240; i < 256; ++i) expected[i] = 0.25f * -3 * -32;
  expected[244] = 0.25f * -3 * (0x2B - 32);
  for (int i = 48; i < 64; ++i) expected[i] = 0.25f * 2 * -32;
  expected[48] = 0.25f * 2 * (0x1C - 32);
  EXPECT_EQ(values, expected);
}

template <typename Block>
double SquareError(const Values& values) {
  Block block;
  Values back;
  QuantizeBlock(values.data(), &block);
  DequantizeBlock(block, back.data());
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += (back[i] - values[i]) * (back[i] - values[i]);
  }
  return error;
}

Values SomeValues(uint64_t seed, double center, double spread) {
  Values values;
  for (size_t i = 0; i < values.size(); ++i) {
    double sum = -6;
    for (uint64_t k = 0; k < 12; ++k) sum += RandomUnit(seed, i, k);
    values[i] = static_cast<float>(center + spread * sum);
  }
  return values;
}

// Sub-blocks keep their own scale: a loud one costs a quiet one what half a
// unit of its 6 (8) bits is worth. The loud one spans 4.5 with a min of 2.5, so
// that is 2.5 / 126 for the min and 4.5 / 126 for the largest code.
template <typename Block>
void ExpectQuietSubBlocksSurvive(double bound) {
  Values values = SomeValues(5, 0, 0.05);
  for (int i = 0; i < 32; ++i) values[i] *= 20;
  Block block;
  Values back;
  QuantizeBlock(values.data(), &block);
  DequantizeBlock(block, back.data());
  for (int i = 32; i < 256; ++i) {
    EXPECT_LE(std::fabs(back[i] - values[i]), bound) << i;
  }
}

TEST(SuperBlockTest, QuietSubBlocksSurviveALoudOne) {
  ExpectQuietSubBlocksSurvive<BlockQ4_K>(0.05);
  ExpectQuietSubBlocksSurvive<BlockQ5_K>(0.05);
  ExpectQuietSubBlocksSurvive<BlockQ6_K>(0.01);
}

// Values on a grid that the format has come back almost exactly; min is kept to
// one sign, so only grids that reach down to zero or below are its own.
TEST(SuperBlockTest, ItsOwnGridComesBack) {
  Values values;
  for (int i = 0; i < 256; ++i) {
    values[i] = 0.125f * static_cast<float>(i % 32 % 16) - 0.75f;
  }
  EXPECT_LE(SquareError<BlockQ4_K>(values), 256 * 1e-6);
  EXPECT_LE(SquareError<BlockQ5_K>(values), 256 * 1e-6);
  for (int i = 0; i < 256; ++i) {
    values[i] = 0.125f * static_cast<float>(i % 16 * 4 - 32);
  }
  EXPECT_LE(SquareError<BlockQ6_K>(values), 256 * 1e-6);
}

TEST(SuperBlockTest, ConstantsOfEitherSignSurvive) {
  for (const float constant : {1.0f, -1.0f, 100.0f, -0.01f}) {
    Values values;
    values.fill(constant);
    const double bound = 256 * 1e-5 * constant * constant;
    EXPECT_LE(SquareError<BlockQ4_K>(values), bound) << constant;
    EXPECT_LE(SquareError<BlockQ5_K>(values), bound) << constant;
    EXPECT_LE(SquareError<BlockQ6_K>(values), bound) << constant;
  }
}

// More bits are better, whatever the center: all-positive numbers have no min.
TEST(SuperBlockTest, MoreBitsAreBetter) {
  for (const double center : {0.0, 3.0, -3.0}) {
    double q4 = 0, q5 = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Values values = SomeValues(seed, center, 1);
      q4 += SquareError<BlockQ4_K>(values);
      q5 += SquareError<BlockQ5_K>(values);
    }
    EXPECT_LT(q5, 0.5 * q4) << center;
  }
}

}  // namespace
}  // namespace aio
