// SPDX-License-Identifier: Apache-2.0
//
// A matrix of weights where it lies in a file.
//
// Thread safety: plain data.
// See docs/nest.md about nested ones.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace aio {

// Whether one copy of a matrix serves 4 bits and 8 (tensor/nest.h), and how.
enum class Nest : uint8_t {
  kNone,
  kK,  // Q4_K, and four more bits of each weight
  k8,  // Q8_0, read as two halves of its bytes
};

// Rows of `depth` weights, one after another; y[row] = dot(row, x). A view: the
// bytes belong to the mapped file and need no alignment.
struct WeightMatrix {
  DType type = DType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t row_bytes = 0;
  // What becomes of it in tiles. Of kK either `type` is Q4_K and `fine` is
  // there, or it is F32, F16 or BF16 and becomes both when it is packed.
  Nest nest = Nest::kNone;
  const std::byte* fine = nullptr;  // [rows][depth / 2] residuals

  const std::byte* Row(int64_t row) const { return data + row * row_bytes; }
  int64_t bytes() const { return rows * row_bytes; }
};

}  // namespace aio
