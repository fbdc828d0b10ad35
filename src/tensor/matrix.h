// SPDX-License-Identifier: Apache-2.0
//
// A matrix of weights where it lies in a file.
//
// Thread safety: plain data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace aio {

// Rows of `depth` weights, one after another; y[row] = dot(row, x). A view: the
// bytes belong to the mapped file and need no alignment.
struct WeightMatrix {
  DType type = DType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t row_bytes = 0;

  const std::byte* Row(int64_t row) const { return data + row * row_bytes; }
  int64_t bytes() const { return rows * row_bytes; }
};

}  // namespace aio
