// SPDX-License-Identifier: Apache-2.0
//
// Weights times columns. The best instruction set of this machine is chosen at
// the first call; no SIMD type appears in this header.
//
// Determinism: an output is one dot product, summed over k in an order that
// depends on the depth and the weight type alone: not on how many columns or
// which rows a call computes. Of quantized weights, blocks are exact integers
// and their scaled sums are added with one rounding each, in order of k; all
// instruction sets with fused multiply-adds give the same bits.
//
// Nested weights: the first x.fine columns take both planes, the others the
// first alone. A column's bits depend on its own view only.
//
// Thread safety: pure functions over disjoint outputs.
// Cost: up to kColumnsPerPass columns of a view read the weights once; more
// read some tiles from memory once and from cache after that.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/activations.h"
#include "tensor/tiles.h"

namespace aio::kernels {

// Whether MatMul reads the codes of the activations instead of the values.
inline bool TakesCodes(DType weights) {
  return weights != DType::kF32 && weights != DType::kF16 &&
         weights != DType::kBF16;
}

// y[column * y_stride + row] = dot(row of w, column) for the rows given and
// all columns of x, times the column's factor. Callers split rows between
// threads, at multiples of kTileRows.
// REQUIRES: IsComputable(w.type), x.depth == w.depth; rows.begin a multiple of
// kTileRows, rows.end too or w.rows; QuantizeColumns has been called on x if
// TakesCodes(w.type).
void MatMul(const TiledMatrix& w, const Activations& x, Range rows, float* y,
            int64_t y_stride);

// Rounds the values of `columns` to codes and scales, by the rule of ggml's
// q8_0 but for its scales of F16: scale = max|x| / 127, code = nearest(x * 127
// / max|x|). Multiplied by a power of two, the values have the same codes.
void QuantizeColumns(const Activations& x, Range columns);
// The same for some blocks of 32 values of one column.
void QuantizeBlocks(const Activations& x, int64_t column, Range blocks);

}  // namespace aio::kernels
