// SPDX-License-Identifier: Apache-2.0
//
// The K types of block_formats.h: 256 weights, whose sub-blocks' scales are
// themselves codes under one scale.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "tensor/block_formats.h"

namespace aio {
namespace {

constexpr int kSubBlocks = 8;  // of Q4_K and Q5_K, with 32 weights each
constexpr int kSubBlock = kSuperBlockElements / kSubBlocks;
constexpr int kSmallSubBlocks = 16;  // of Q6_K, with 16 weights each
constexpr int kSmallSubBlock = kSuperBlockElements / kSmallSubBlocks;

// Codes of a super-block before they are packed.
using Codes = std::array<uint8_t, kSuperBlockElements>;

// To the nearest code in [0, max]; NaN is 0.
int ToCode(float value, int max) {
  const float shifted = value + 0.5f;
  if (!(shifted > 0)) return 0;
  if (!(shifted < static_cast<float>(max) + 1)) return max;
  return static_cast<int>(shifted);
}

// Weights are about scale * code - min, with min >= 0.
struct Affine {
  float scale = 0;
  float min = 0;
};

// What a weight's error counts: a large weight moves a product more, and the
// typical one keeps small weights from being free.
std::array<float, kSubBlock> Importance(const float* values) {
  float squares = 0;
  for (int i = 0; i < kSubBlock; ++i) squares += values[i] * values[i];
  const float typical = std::sqrt(squares / kSubBlock);
  std::array<float, kSubBlock> importance;
  for (int i = 0; i < kSubBlock; ++i) {
    importance[i] = typical + std::fabs(values[i]);
  }
  return importance;
}

// The scale and min that serve the codes of `start` best: a weighted straight
// line through (code, value), kept to min >= 0.
Affine Refit(const float* values,
             const std::array<float, kSubBlock>& importance,
             const Affine& start, int max) {
  float w = 0, wq = 0, wqq = 0, wx = 0, wqx = 0;
  for (int i = 0; i < kSubBlock; ++i) {
    const auto q =
        static_cast<float>(ToCode((values[i] + start.min) / start.scale, max));
    w += importance[i];
    wq += importance[i] * q;
    wqq += importance[i] * q * q;
    wx += importance[i] * values[i];
    wqx += importance[i] * q * values[i];
  }
  const float determinant = w * wqq - wq * wq;
  if (!(determinant > 0)) return start;
  const Affine line{(w * wqx - wx * wq) / determinant,
                    (wq * wqx - wqq * wx) / determinant};
  if (line.min >= 0) return line;
  return {wqx / wqq, 0};
}

float ErrorOf(const float* values,
              const std::array<float, kSubBlock>& importance,
              const Affine& affine, int max) {
  float error = 0;
  for (int i = 0; i < kSubBlock; ++i) {
    const int q = ToCode((values[i] + affine.min) / affine.scale, max);
    const float off =
        affine.scale * static_cast<float>(q) - affine.min - values[i];
    error += importance[i] * off * off;
  }
  return error;
}

// Tries grids somewhat coarser and finer than the range of the values asks for,
// each refitted to the codes that it gives.
Affine FitAffine(const float* values, int max) {
  const auto [least, most] = std::minmax_element(values, values + kSubBlock);
  const float low = std::min(*least, 0.0f);
  if (!(*most > low)) return {0, -low};
  const auto importance = Importance(values);
  Affine best{(*most - low) / static_cast<float>(max), -low};
  if (!(best.scale > 0)) return {0, -low};
  float best_error = ErrorOf(values, importance, best, max);
  for (int step = -10; step <= 10; ++step) {
    const float levels =
        static_cast<float>(max) + 0.1f * static_cast<float>(step);
    const Affine fit =
        Refit(values, importance, {(*most - low) / levels, -low}, max);
    if (!(fit.scale > 0)) continue;
    const float error = ErrorOf(values, importance, fit, max);
    if (error < best_error) {
      best = fit;
      best_error = error;
    }
  }
  return best;
}

// A scale for codes in [-32, 31], of either sign: the value farthest from zero
// gets about code -32, the one with no counterpart.
float FitScale(const float* values) {
  float farthest = 0;
  for (int i = 0; i < kSmallSubBlock; ++i) {
    if (std::fabs(values[i]) > std::fabs(farthest)) farthest = values[i];
  }
  if (!(std::fabs(farthest) > 0)) return 0;
  float best = 0, best_gain = 0;
  for (int step = -9; step <= 9; ++step) {
    const float inverse = -(32 + 0.1f * static_cast<float>(step)) / farthest;
    float xq = 0, qq = 0;
    for (int i = 0; i < kSmallSubBlock; ++i) {
      const auto q =
          static_cast<float>(ToCode(values[i] * inverse + 32, 63) - 32);
      const float importance = values[i] * values[i];
      xq += importance * values[i] * q;
      qq += importance * q * q;
    }
    // With the best scale xq / qq, the square error is a constant less this.
    if (qq > 0 && xq * xq > best_gain * qq) {
      best = xq / qq;
      best_gain = xq * xq / qq;
    }
  }
  return best;
}

// The parts that Q4_K and Q5_K share: scales, and codes in [0, max].
template <typename Block>
Codes QuantizeAffine(const float* values, int max, Block* block) {
  std::array<Affine, kSubBlocks> fits;
  Affine largest;
  for (int b = 0; b < kSubBlocks; ++b) {
    fits[b] = FitAffine(values + b * kSubBlock, max);
    largest.scale = std::max(largest.scale, fits[b].scale);
    largest.min = std::max(largest.min, fits[b].min);
  }
  block->scale = F32ToF16(largest.scale / 63);
  block->min = F32ToF16(largest.min / 63);
  // From what the file will say, not from what was meant.
  const float scale = F16ToF32(block->scale);
  const float min = F16ToF32(block->min);
  SubBlockScales scales;
  Codes codes;
  for (int b = 0; b < kSubBlocks; ++b) {
    scales.scale[b] = static_cast<uint8_t>(ToCode(fits[b].scale / scale, 63));
    scales.min[b] = static_cast<uint8_t>(ToCode(fits[b].min / min, 63));
    const float step = scale * static_cast<float>(scales.scale[b]);
    const float below = min * static_cast<float>(scales.min[b]);
    for (int i = b * kSubBlock; i < (b + 1) * kSubBlock; ++i) {
      codes[i] = static_cast<uint8_t>(ToCode((values[i] + below) / step, max));
    }
  }
  PackScales(scales, block->scales);
  return codes;
}

// q: low four bits of the codes of sub-blocks 2p and 2p + 1 share 32 bytes.
void PutLow(const Codes& codes, uint8_t* q) {
  for (int i = 0; i < kSuperBlockElements / 2; ++i) {
    const int even = i / kSubBlock * 2 * kSubBlock + i % kSubBlock;
    q[i] = static_cast<uint8_t>((codes[even] & 15) |
                                (codes[even + kSubBlock] & 15) << 4);
  }
}

// Where weight `at` of a Q6_K block has its code.
struct Place {
  int low, low_shift, high, high_shift;
};

Place PlaceOf(int at) {
  const int half = at / 128, k = at % 128 / 32, i = at % 32;
  return {half * 64 + k % 2 * 32 + i, k / 2 * 4, half * 32 + i, 2 * k};
}

}  // namespace

SubBlockScales UnpackScales(const uint8_t packed[12]) {
  SubBlockScales scales;
  for (int b = 0; b < 4; ++b) {
    scales.scale[b] = packed[b] & 63;
    scales.min[b] = packed[b + 4] & 63;
    scales.scale[b + 4] =
        static_cast<uint8_t>((packed[b + 8] & 15) | packed[b] >> 6 << 4);
    scales.min[b + 4] =
        static_cast<uint8_t>(packed[b + 8] >> 4 | packed[b + 4] >> 6 << 4);
  }
  return scales;
}

void PackScales(const SubBlockScales& scales, uint8_t packed[12]) {
  for (int b = 0; b < 4; ++b) {
    const int s = scales.scale[b + 4], m = scales.min[b + 4];
    packed[b] = static_cast<uint8_t>(scales.scale[b] | s >> 4 << 6);
    packed[b + 4] = static_cast<uint8_t>(scales.min[b] | m >> 4 << 6);
    packed[b + 8] = static_cast<uint8_t>((s & 15) | (m & 15) << 4);
  }
}

void QuantizeBlock(const float* values, BlockQ4_K* block) {
  PutLow(QuantizeAffine(values, 15, block), block->q);
}

void QuantizeBlock(const float* values, BlockQ5_K* block) {
  const Codes codes = QuantizeAffine(values, 31, block);
  PutLow(codes, block->q);
  std::memset(block->high, 0, sizeof(block->high));
  for (int at = 0; at < kSuperBlockElements; ++at) {
    uint8_t& high = block->high[at % kSubBlock];
    high = static_cast<uint8_t>(high | codes[at] >> 4 << at / kSubBlock);
  }
}

void QuantizeBlock(const float* values, BlockQ6_K* block) {
  std::array<float, kSmallSubBlocks> fits;
  float farthest = 0;
  for (int b = 0; b < kSmallSubBlocks; ++b) {
    fits[b] = FitScale(values + b * kSmallSubBlock);
    if (std::fabs(fits[b]) > std::fabs(farthest)) farthest = fits[b];
  }
  *block = {};
  block->scale = F32ToF16(farthest / -128);
  const float scale = F16ToF32(block->scale);
  for (int b = 0; b < kSmallSubBlocks; ++b) {
    const int code = ToCode(fits[b] / scale + 128, 255) - 128;
    block->scales[b] = static_cast<int8_t>(code);
    const float step = scale * static_cast<float>(code);
    for (int at = b * kSmallSubBlock; at < (b + 1) * kSmallSubBlock; ++at) {
      const int q = ToCode(values[at] / step + 32, 63);
      const auto [low, low_shift, high, high_shift] = PlaceOf(at);
      block->low[low] =
          static_cast<uint8_t>(block->low[low] | (q & 15) << low_shift);
      block->high[high] =
          static_cast<uint8_t>(block->high[high] | q >> 4 << high_shift);
    }
  }
}

}  // namespace aio
