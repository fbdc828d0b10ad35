// SPDX-License-Identifier: Apache-2.0
//
// What tests of matrix products multiply.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/random.h"
#include "kernels/activations.h"
#include "kernels/matmul.h"

namespace aio::kernels {

// In [-1, 1).
inline float Number(uint64_t stream, uint64_t index) {
  return static_cast<float>(2 * RandomUnit(7, stream, index) - 1);
}

// Random columns; with `exact`, ones that int8 codes represent exactly.
inline ActivationBuffer Columns(int columns, int64_t depth, bool exact) {
  ActivationBuffer buffer(columns, depth);
  const Activations x = buffer.View();
  for (int c = 0; c < columns; ++c) {
    for (int64_t k = 0; k < depth; ++k) {
      const float number =
          Number(1000 + static_cast<uint64_t>(c), static_cast<uint64_t>(k));
      x.Values(c)[k] = !exact             ? number
                       : k % 32 == c % 32 ? 127.0f / 64
                                          : std::round(number * 127) / 64;
    }
  }
  QuantizeColumns(x, {0, columns});
  return buffer;
}

}  // namespace aio::kernels
