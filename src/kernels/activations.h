// SPDX-License-Identifier: Apache-2.0
//
// The inputs of a matrix product: a vector per column, as floats and, for
// quantized weights, as int8 codes with a scale per 32 values. The scale is per
// column and block, so a column's codes depend on nothing but the column
// (determinism contract, rule d).
//
// Thread safety: plain data; columns are independent, and so are the blocks of
// one.
#pragma once

#include <cstdint>

#include "tensor/aligned_buffer.h"

namespace aio::kernels {

// Values that share an activation scale: the block of Q8_0 and of most others.
inline constexpr int64_t kBlock = 32;
// Vectors are padded to a multiple of this, with zeros: what a tile of weights
// takes at a time (tensor/tiles.h).
inline constexpr int64_t kPad = 64;

inline constexpr int64_t Padded(int64_t n) {
  return (n + kPad - 1) / kPad * kPad;
}

// Columns that a kernel takes at once, and that lie interleaved.
inline constexpr int kColumnsPerPass = 8;

// A view of the columns of one step. Codes and what belongs to them are
// interleaved by passes of 8 columns, the last pass by as many as are left
// (its width), so that a kernel reads them all by one pointer and a single
// column lies close together. Columns that take both planes of nested weights
// come first and are cut into passes by themselves, since a pass takes one
// view.
struct Activations {
  float* values = nullptr;  // [columns][stride], 0 from depth on
  int8_t* codes = nullptr;  // [passes][stride / 4][width][4]
  float* scales = nullptr;  // [passes][stride / 32][width]
  // Minus the sum of the codes of 32, and of 16: weights are stored plus an
  // offset, as unsigned bytes, and offset * sum is taken off again.
  int32_t* minus_sums = nullptr;       // [passes][stride / 32][width]
  int32_t* minus_half_sums = nullptr;  // [passes][stride / 32][2][width]
  // scale * sum of the codes of 32: what a weight's minimum is multiplied by.
  float* scaled_sums = nullptr;  // [passes][stride / 32][width]
  // What all products of a column are multiplied by; null: 1.
  const float* factors = nullptr;  // [columns]
  int64_t columns = 0;
  int64_t depth = 0;
  int64_t stride = 0;  // Padded(depth)
  int64_t fine = 0;    // columns, the first ones, of 8 bits of nested weights

  float* Values(int64_t column) const { return values + column * stride; }
  // The first column of the pass of `column`, and the columns of that pass.
  int64_t First(int64_t column) const {
    const int64_t group = column < fine ? 0 : fine;
    return column - (column - group) % kColumnsPerPass;
  }
  int64_t Width(int64_t column) const {
    const int64_t left = (column < fine ? fine : columns) - First(column);
    return left < kColumnsPerPass ? left : kColumnsPerPass;
  }
  // The same columns without the first `column` ones.
  // REQUIRES: column is the first of a pass.
  Activations From(int64_t column) const {
    const int64_t blocks = column * stride / kBlock;
    Activations a = *this;
    a.values += column * stride;
    a.codes += column * stride;
    a.scales += blocks;
    a.minus_sums += blocks;
    a.minus_half_sums += 2 * blocks;
    a.scaled_sums += blocks;
    if (factors != nullptr) a.factors += column;
    a.columns -= column;
    a.fine = fine > column ? fine - column : 0;
    return a;
  }
};

class ActivationBuffer {
 public:
  ActivationBuffer() = default;
  ActivationBuffer(int64_t columns, int64_t depth)
      : columns_(columns),
        depth_(depth),
        values_(static_cast<size_t>(columns * Padded(depth))),
        codes_(values_.size()),
        scales_(values_.size() / kBlock),
        minus_sums_(scales_.size()),
        minus_half_sums_(2 * scales_.size()),
        scaled_sums_(scales_.size()) {}

  // What the constructor allocates: per value a float and a code, per block
  // two floats and three sums.
  static int64_t Bytes(int64_t columns, int64_t depth) {
    const int64_t n = columns * Padded(depth);
    return n * 5 + n / kBlock * 20;
  }

  Activations View() { return View(columns_); }
  // For a step of so many columns, all of 8 bits, or the first `fine`.
  Activations View(int64_t columns) { return View(columns, columns); }
  Activations View(int64_t columns, int64_t fine) {
    return {values_.data(),
            codes_.data(),
            scales_.data(),
            minus_sums_.data(),
            minus_half_sums_.data(),
            scaled_sums_.data(),
            nullptr,
            columns,
            depth_,
            Padded(depth_),
            fine};
  }

 private:
  int64_t columns_ = 0;
  int64_t depth_ = 0;
  AlignedBuffer<float> values_;
  AlignedBuffer<int8_t> codes_;
  AlignedBuffer<float> scales_;
  AlignedBuffer<int32_t> minus_sums_;
  AlignedBuffer<int32_t> minus_half_sums_;
  AlignedBuffer<float> scaled_sums_;
};

}  // namespace aio::kernels
