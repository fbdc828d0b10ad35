// SPDX-License-Identifier: Apache-2.0
//
// Between matmul.cc, which cuts a product into passes, and the two SIMD files
// that compute one.
#pragma once

#include "kernels/matmul.h"

namespace aio::kernels {

// One pass: 1..kColumnsPerPass columns over some rows.
struct MatMulPass {
  WeightMatrix w;
  Activations x;
  int columns;
  Range rows;
  float* y;
  int64_t y_stride;
  bool from_memory;  // else the weights are in a cache already
};

void FloatPass(const MatMulPass& pass);  // F32, F16, BF16
void Int8Pass(const MatMulPass& pass);   // Q8_0, Q4_0

}  // namespace aio::kernels
