// SPDX-License-Identifier: Apache-2.0
#include "tensor/nest.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "base/random.h"
#include "tensor/block_codes.h"

namespace aio {
namespace {

using Values = std::vector<float>;

double Normal(uint64_t stream, uint64_t index) {
  const double u = 1 - RandomUnit(3, 2 * stream, index);
  const double angle = RandomUnit(3, 2 * stream + 1, index);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * angle);
}

Values Gaussian(size_t count) {
  Values values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(Normal(1, i));
  }
  return values;
}

// With 5 degrees of freedom: now and then a weight far out.
Values StudentT(size_t count) {
  Values values(count);
  for (size_t i = 0; i < count; ++i) {
    double chi = 0;
    for (uint64_t k = 0; k < 5; ++k) {
      const double z = Normal(10 + k, i);
      chi += z * z;
    }
    values[i] = static_cast<float>(Normal(2, i) / std::sqrt(chi / 5));
  }
  return values;
}

// Ratio of signal to noise, in dB.
double Snr(const Values& values, const Values& got) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    signal += double{values[i]} * values[i];
    noise += (double{got[i]} - values[i]) * (double{got[i]} - values[i]);
  }
  return 10 * std::log10(signal / noise);
}

// The mean error over the weights' root mean square: what a product with inputs
// whose mean is not zero adds up.
double Shift(const Values& values, const Values& got) {
  double squares = 0, off = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    squares += double{values[i]} * values[i];
    off += double{got[i]} - values[i];
  }
  const auto n = static_cast<double>(values.size());
  return off / n / std::sqrt(squares / n);
}

struct Views {
  Values coarse, fine;   // of kK
  Values q8, half, cut;  // Q8_0, its k8 at 4 bits, and its low bits dropped
};

Views ViewsOf(const Values& values) {
  Views v;
  v.coarse = v.fine = v.q8 = v.half = v.cut = Values(values.size());
  for (size_t at = 0; at < values.size(); at += kSuperBlockElements) {
    BlockQ4_K block;
    uint8_t fine[kFineBytes];
    QuantizeBlock(values.data() + at, &block);
    FineCodes(values.data() + at, block, fine);
    DequantizeBlock(block, v.coarse.data() + at);
    DequantizeFine(block, fine, v.fine.data() + at);
  }
  for (size_t at = 0; at < values.size(); at += kBlockElements) {
    BlockQ8_0 block;
    QuantizeBlock(values.data() + at, &block);
    DequantizeBlock(block, v.q8.data() + at);
    DequantizeCoarse(block, v.half.data() + at);
    for (int8_t& q : block.q) q = static_cast<int8_t>(q & ~15);
    DequantizeBlock(block, v.cut.data() + at);
  }
  return v;
}

constexpr size_t kCount = 256 * 400;

TEST(NestTest, EightBitsAreAsGoodAsQ8_0) {
  for (const Values& values : {Gaussian(kCount), StudentT(kCount)}) {
    const Views v = ViewsOf(values);
    EXPECT_GT(Snr(values, v.fine), Snr(values, v.q8) - 0.5);
    EXPECT_GT(Snr(values, v.fine), 43);
    EXPECT_LT(std::fabs(Shift(values, v.fine)), 1e-4);
  }
}

TEST(NestTest, FourBitsOfQ8_0NeedTheMiddleOfWhatIsDropped) {
  for (const Values& values : {Gaussian(kCount), StudentT(kCount)}) {
    const Views v = ViewsOf(values);
    EXPECT_GT(Snr(values, v.half), 18);
    EXPECT_GT(Snr(values, v.coarse), Snr(values, v.half) + 1.5);
    EXPECT_LT(Snr(values, v.cut), Snr(values, v.half) - 5);
    EXPECT_LT(std::fabs(Shift(values, v.half)), 2e-3);
    EXPECT_LT(Shift(values, v.cut), -0.1);  // all one way
  }
}

// The figures of docs/nest.md.
TEST(NestTest, SignalsStandOverNoiseAsDocumented) {
  const auto expect = [](const Values& values,
                         const std::vector<double>& want) {
    const Views v = ViewsOf(values);
    size_t i = 0;
    for (const Values* got : {&v.coarse, &v.fine, &v.q8, &v.half, &v.cut}) {
      EXPECT_NEAR(Snr(values, *got), want[i], 0.1) << i;
      ++i;
    }
  };
  expect(Gaussian(kCount), {22.9, 45.6, 45.4, 21.0, 15.6});
  expect(StudentT(kCount), {21.6, 44.2, 43.3, 18.9, 13.4});
}

TEST(NestTest, AResidualIsWithinHalfASixteenthOfAStep) {
  const Values values = Gaussian(256 * 64);
  for (size_t at = 0; at < values.size(); at += kSuperBlockElements) {
    BlockQ4_K block;
    uint8_t fine[kFineBytes];
    float got[kSuperBlockElements];
    QuantizeBlock(values.data() + at, &block);
    FineCodes(values.data() + at, block, fine);
    DequantizeFine(block, fine, got);
    const SubBlockScales scales = UnpackScales(block.scales);
    BlockCodes c;
    UnpackBlock(DType::kQ4_K, reinterpret_cast<const std::byte*>(&block), &c);
    for (size_t i = 0; i < kSuperBlockElements; ++i) {
      const double d = double{F16ToF32(block.scale)} * scales.scale[i / 32];
      const double m = double{F16ToF32(block.min)} * scales.min[i / 32];
      const double from_code = (values[at + i] + m) / d - c.codes[i];
      if (std::fabs(from_code) > 0.5) continue;  // past the ends of the grid
      EXPECT_NEAR(got[i], values[at + i], d / 32 * 1.001) << at + i;
    }
  }
}

// Written from the comment in nest.h alone.
TEST(NestTest, ResidualsLieAsTheNibblesOfQ4_K) {
  BlockQ4_K block = {};
  block.scale = F32ToF16(1);
  SubBlockScales scales = {};
  for (uint8_t& s : scales.scale) s = 16;  // a sixteenth of a step is 1
  PackScales(scales, block.scales);
  for (int at = 0; at < kSuperBlockElements; ++at) {
    float values[kSuperBlockElements];
    std::fill_n(values, kSuperBlockElements, -7.5f);  // residual 0 of code 0
    values[at] = 5.6f;                                // residual 13
    uint8_t fine[kFineBytes];
    FineCodes(values, block, fine);
    for (int i = 0; i < kFineBytes; ++i) {
      const bool here = i == at / 64 * 32 + at % 32;
      ASSERT_EQ(fine[i], !here ? 0 : at % 64 < 32 ? 13 : 13 << 4) << at;
    }
    float got[kSuperBlockElements];
    DequantizeFine(block, fine, got);
    EXPECT_EQ(got[at], 5.5f);
  }
}

TEST(NestTest, BothHalvesOfQ8_0AreItsBytes) {
  for (int q = -128; q < 128; ++q) {
    BlockQ8_0 block = {F32ToF16(2), {}};
    block.q[7] = static_cast<int8_t>(q);
    float coarse[kBlockElements];
    DequantizeCoarse(block, coarse);
    EXPECT_LE(std::fabs(coarse[7] - 2.0f * static_cast<float>(q)), 15) << q;
  }
}

WeightMatrix Matrix(const Values& values) {
  const auto depth = static_cast<int64_t>(values.size());
  return {DType::kF32, reinterpret_cast<const std::byte*>(values.data()), 1,
          depth, 4 * depth};
}

NestLoss LossOf(const Values& values) {
  std::vector<BlockQ4_K> blocks(values.size() / kSuperBlockElements);
  std::vector<uint8_t> fine(values.size() / 2);
  return EncodeNest(Matrix(values), {0, 1}, blocks.data(), fine.data());
}

TEST(NestTest, TheLossIsThatOfTheViews) {
  const Values values = Gaussian(1024);
  const Views v = ViewsOf(values);
  const NestLoss loss = LossOf(values);
  EXPECT_NEAR(10 * std::log10(loss.signal / loss.fine), Snr(values, v.fine),
              1e-6);
  EXPECT_NEAR(10 * std::log10(loss.signal / loss.coarse), Snr(values, v.coarse),
              1e-6);
  EXPECT_NEAR(10 * std::log10(loss.signal / loss.q8), Snr(values, v.q8), 1e-6);
  EXPECT_TRUE(loss.Serves());
}

TEST(NestTest, WhatQ8_0HasExactlyIsLeftToIt) {
  const Values exact = ViewsOf(Gaussian(512)).q8;
  EXPECT_EQ(LossOf(exact).lost, 0);
  EXPECT_FALSE(LossOf(exact).Serves());
}

TEST(NestTest, ABlockWhoseScaleIsLostDoesNotServe) {
  Values values = Gaussian(512);
  for (size_t i = 64; i < 96; ++i) values[i] *= 1e-3f;
  EXPECT_EQ(LossOf(values).lost, 1);
  EXPECT_FALSE(LossOf(values).Serves());
  for (size_t i = 64; i < 96; ++i) values[i] = 0;  // nothing to lose
  EXPECT_EQ(LossOf(values).lost, 0);
  EXPECT_TRUE(LossOf(values).Serves());
}

TEST(NestTest, WhatIsNotFiniteDoesNotServe) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Values values = Gaussian(512);
    values[300] = bad;
    EXPECT_FALSE(LossOf(values).finite);
    EXPECT_FALSE(LossOf(values).Serves());
  }
}

TEST(NestTest, KindsFitTypesAndRows) {
  EXPECT_EQ(NestFor(DType::kF32, 512), Nest::kK);
  EXPECT_EQ(NestFor(DType::kBF16, 512 + 32), Nest::k8);
  EXPECT_EQ(NestFor(DType::kF16, 172), Nest::kNone);
  EXPECT_EQ(NestFor(DType::kQ8_0, 512), Nest::k8);
  EXPECT_EQ(NestFor(DType::kQ4_0, 512), Nest::kNone);
}

}  // namespace
}  // namespace aio
