// SPDX-License-Identifier: Apache-2.0
#include "tensor/nest.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/block_codes.h"

namespace aio {
namespace {

constexpr int kSubBlocks = kSuperBlockElements / kBlockElements;

// A block of Q4_K taken apart, with the scale and minimum of each 32.
struct Parts {
  explicit Parts(const BlockQ4_K& block) {
    UnpackBlock(DType::kQ4_K, reinterpret_cast<const std::byte*>(&block), &c);
    const float scale = F16ToF32(c.scale), least = F16ToF32(c.min);
    for (int b = 0; b < kSubBlocks; ++b) {
      d[b] = scale * static_cast<float>(c.scales[b]);
      m[b] = least * static_cast<float>(c.mins[b]);
    }
  }
  BlockCodes c;
  float d[kSubBlocks];
  float m[kSubBlocks];
};

// Where the residual of weight `at` of 256 lies.
int ByteOf(int at) { return at / 64 * 32 + at % 32; }
int ShiftOf(int at) { return at % 64 / 32 * 4; }

uint8_t FineCode(float value, float d, float m, int code) {
  if (d == 0) return 8;
  const float r =
      std::floor(16 * ((value + m) / d - static_cast<float>(code)) + 8);
  if (!(r > 0)) return 0;
  return static_cast<uint8_t>(std::min(r, 15.0f));
}

double Square(double x) { return x * x; }

// Of 256 values and what they became.
NestLoss LossOf(const float* values, const BlockQ4_K& block,
                const uint8_t* fine) {
  float coarse[kSuperBlockElements], both[kSuperBlockElements],
      q8[kSuperBlockElements];
  DequantizeBlock(block, coarse);
  DequantizeFine(block, fine, both);
  const Parts parts(block);
  NestLoss loss;
  for (int b = 0; b < kSubBlocks; ++b) {
    const float* x = values + b * kBlockElements;
    BlockQ8_0 eight;
    QuantizeBlock(x, &eight);
    DequantizeBlock(eight, q8 + b * kBlockElements);
    const auto [least, most] = std::minmax_element(x, x + kBlockElements);
    loss.lost += parts.d[b] == 0 && *least < *most;
  }
  for (int i = 0; i < kSuperBlockElements; ++i) {
    loss.finite &= std::isfinite(values[i]);
    loss.signal += Square(values[i]);
    loss.coarse += Square(double{coarse[i]} - values[i]);
    loss.fine += Square(double{both[i]} - values[i]);
    loss.q8 += Square(double{q8[i]} - values[i]);
  }
  return loss;
}

}  // namespace

void FineCodes(const float* values, const BlockQ4_K& block, uint8_t* fine) {
  const Parts parts(block);
  std::fill_n(fine, kFineBytes, uint8_t{0});
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int b = i / kBlockElements;
    const int r = FineCode(values[i], parts.d[b], parts.m[b], parts.c.codes[i]);
    fine[ByteOf(i)] = static_cast<uint8_t>(fine[ByteOf(i)] | r << ShiftOf(i));
  }
}

void UnpackFine(const std::byte* fine, uint8_t* codes) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(fine);
  constexpr int kHalf = kBlockElements;
  for (int p = 0; p < kFineBytes; p += kHalf, codes += 2 * kHalf) {
    for (int i = 0; i < kHalf; ++i) {
      codes[i] = bytes[p + i] & 15;
      codes[kHalf + i] = bytes[p + i] >> 4;
    }
  }
}

void DequantizeFine(const BlockQ4_K& block, const uint8_t* fine,
                    float* values) {
  const Parts parts(block);
  uint8_t residuals[kSuperBlockElements];
  UnpackFine(reinterpret_cast<const std::byte*>(fine), residuals);
  for (int i = 0; i < kSuperBlockElements; ++i) {
    const int b = i / kBlockElements;
    const int byte = 16 * parts.c.codes[i] + residuals[i];
    const float step = parts.d[b] / 16;
    values[i] =
        step * static_cast<float>(byte - 128) + (120.5f * step - parts.m[b]);
  }
}

void DequantizeCoarse(const BlockQ8_0& block, float* values) {
  const float scale = F16ToF32(block.scale);
  for (int i = 0; i < kBlockElements; ++i) {
    const int u = (block.q[i] + 128) / 16;
    values[i] = scale * (static_cast<float>(16 * u) - 120.5f);
  }
}

void NestLoss::Add(const NestLoss& other) {
  signal += other.signal;
  coarse += other.coarse;
  fine += other.fine;
  q8 += other.q8;
  lost += other.lost;
  finite &= other.finite;
}

bool NestLoss::Serves() const {
  return finite && lost == 0 && fine <= kFineNoiseMax * q8;
}

NestLoss EncodeNest(const WeightMatrix& w, Range rows, BlockQ4_K* blocks,
                    uint8_t* fine) {
  std::vector<float> values(static_cast<size_t>(w.depth));
  NestLoss loss;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    DecodeRow(w.type, {w.Row(r), static_cast<size_t>(w.row_bytes)}, values);
    for (int64_t k = 0; k < w.depth; k += kSuperBlockElements) {
      QuantizeBlock(values.data() + k, blocks);
      FineCodes(values.data() + k, *blocks, fine);
      loss.Add(LossOf(values.data() + k, *blocks, fine));
      ++blocks;
      fine += kFineBytes;
    }
  }
  return loss;
}

Nest NestFor(DType type, int64_t depth) {
  const bool numbers =
      type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
  if (type == DType::kQ8_0) return Nest::k8;
  if (!numbers || depth % kBlockElements != 0) return Nest::kNone;
  return depth % kSuperBlockElements == 0 ? Nest::kK : Nest::k8;
}

}  // namespace aio
