// SPDX-License-Identifier: Apache-2.0
//
// The inputs of a matrix product: a vector per column, as floats and, for
// weights of 8 and 4 bits, as int8 with a scale per 32 values. The scale is
// per column and block, so a column's codes depend on nothing but the column
// (determinism contract, rule d).
//
// Thread safety: plain data; columns are independent.
#pragma once

#include <cstdint>

#include "tensor/matrix.h"

namespace aio::kernels {

// Values that share an activation scale; also the block of Q8_0 and Q4_0.
inline constexpr int64_t kBlock = 32;
// Vectors are padded to a multiple of this, with zeros: two blocks, which is
// one vector of AVX-512 bytes.
inline constexpr int64_t kPad = 64;
// A scale is stored this many times, so that a vector of products is scaled by
// a plain load.
inline constexpr int64_t kScaleCopies = 8;

inline constexpr int64_t Padded(int64_t n) {
  return (n + kPad - 1) / kPad * kPad;
}

// A view of columns. `codes` and `scales` are written by QuantizeColumns only:
// how they encode a value is the instruction set's business.
struct Activations {
  float* values = nullptr;   // [columns][stride], 0 from depth on
  uint8_t* codes = nullptr;  // [columns][stride]
  float* scales = nullptr;   // [columns][stride / kBlock][kScaleCopies]
  int64_t depth = 0;
  int64_t stride = 0;  // Padded(depth)

  float* Values(int64_t column) const { return values + column * stride; }
  // The same columns without the first `column` ones.
  Activations From(int64_t column) const {
    Activations a = *this;
    a.values += column * stride;
    a.codes += column * stride;
    a.scales += column * stride / kBlock * kScaleCopies;
    return a;
  }
};

class ActivationBuffer {
 public:
  ActivationBuffer() = default;
  ActivationBuffer(int64_t columns, int64_t depth)
      : depth_(depth),
        values_(static_cast<size_t>(columns * Padded(depth))),
        codes_(static_cast<size_t>(columns * Padded(depth))),
        scales_(static_cast<size_t>(columns * Padded(depth) / kBlock *
                                    kScaleCopies)) {}

  // What the constructor allocates.
  static int64_t Bytes(int64_t columns, int64_t depth) {
    const int64_t n = columns * Padded(depth);
    return n * static_cast<int64_t>(sizeof(float)) + n +
           n / kBlock * kScaleCopies * static_cast<int64_t>(sizeof(float));
  }

  Activations View() {
    return {values_.data(), codes_.data(), scales_.data(), depth_,
            Padded(depth_)};
  }

 private:
  int64_t depth_ = 0;
  AlignedBuffer<float> values_;
  AlignedBuffer<uint8_t> codes_;
  AlignedBuffer<float> scales_;
};

}  // namespace aio::kernels
