// SPDX-License-Identifier: Apache-2.0
//
// Between matmul.cc, which cuts a product into passes, and the SIMD files that
// compute one.
#pragma once

#include "kernels/matmul.h"

namespace aio::kernels {

// One pass: the first columns of x, as many as are interleaved, over some
// tiles.
struct MatMulPass {
  const TiledMatrix& w;
  Activations x;
  Range tiles;
  float* y;  // of the first column and row 0
  int64_t y_stride;
  bool from_memory;  // else the weights are in a cache already
};

void FloatPass(const MatMulPass& pass);  // F32, F16, BF16
void BlockPass(const MatMulPass& pass);  // Q8_0 Q4_0 Q4_1 Q5_0 Q5_1
void KPass(const MatMulPass& pass);      // Q4_K Q5_K Q6_K
// Nested weights, in the view that x.fine says: both planes, or one.
void NestPass(const MatMulPass& pass);

}  // namespace aio::kernels
