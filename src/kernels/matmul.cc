// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/matmul_impl.h"

namespace aio::kernels {
namespace {

// A tile of rows that all columns pass over stays in a core's L2 cache, beside
// the activations of one pass.
constexpr int64_t kTileBytes = 256 << 10;

}  // namespace

void MatMul(const WeightMatrix& w, const Activations& x, int columns,
            Range rows, float* y, int64_t y_stride) {
  DCHECK(x.depth == w.depth);
  const auto pass = TakesCodes(w.type) ? Int8Pass : FloatPass;
  int64_t tile = rows.size();
  if (columns > kColumnsPerPass) {
    tile =
        std::max<int64_t>(16, kTileBytes / std::max<int64_t>(1, w.row_bytes));
  }
  for (int64_t row = rows.begin; row < rows.end; row += tile) {
    const Range part = {row, std::min(row + tile, rows.end)};
    for (int c = 0; c < columns; c += kColumnsPerPass) {
      pass({w, x.From(c), std::min(kColumnsPerPass, columns - c), part,
            y + c * y_stride, y_stride, c == 0});
    }
  }
}

}  // namespace aio::kernels
