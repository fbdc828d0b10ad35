// SPDX-License-Identifier: Apache-2.0
//
// Weights times columns. The best instruction set of this machine is chosen at
// the first call; no SIMD type appears in this header.
//
// Determinism: an output is one dot product, summed over k in an order that
// depends on the depth, the weight type and the instruction set alone: not on
// how many columns or which rows a call computes.
//
// Thread safety: pure functions over disjoint outputs.
// Cost: up to kColumnsPerPass columns read the weights once; more read a tile
// of rows from memory once and from cache after that.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/activations.h"
#include "tensor/matrix.h"

namespace aio::kernels {

inline constexpr int kColumnsPerPass = 8;

// Whether MatMul reads the codes of the activations instead of the values.
inline bool TakesCodes(DType weights) {
  return weights == DType::kQ8_0 || weights == DType::kQ4_0;
}

// y[column * y_stride + row] = dot(w.Row(row), column) for the rows given and
// columns 0..columns-1. Callers split rows between threads.
// REQUIRES: IsComputable(w.type), x.depth == w.depth; QuantizeColumns has been
// called on x if TakesCodes(w.type).
void MatMul(const WeightMatrix& w, const Activations& x, int columns,
            Range rows, float* y, int64_t y_stride);

// Rounds the values of `columns` to codes and scales, by the rule of ggml's
// q8_0: scale = max|x| / 127 through F16, code = nearest(x * 127 / max|x|).
void QuantizeColumns(const Activations& x, Range columns);

}  // namespace aio::kernels
