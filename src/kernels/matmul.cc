// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/matmul_impl.h"

namespace aio::kernels {
namespace {

// Tiles that all columns pass over stay in a core's L2 cache, beside the
// activations of one pass.
constexpr int64_t kCachedBytes = 256 << 10;

void RunPass(const MatMulPass& pass) {
  if (pass.w.nest != Nest::kNone) return NestPass(pass);
  switch (pass.w.type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return FloatPass(pass);
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return KPass(pass);
    default:
      return BlockPass(pass);
  }
}

}  // namespace

void MatMul(const TiledMatrix& w, const Activations& x, Range rows, float* y,
            int64_t y_stride) {
  if (rows.size() <= 0) return;  // they may begin at an end within a tile
  DCHECK(x.depth == w.depth && rows.begin % kTileRows == 0);
  DCHECK(rows.end % kTileRows == 0 || rows.end == w.rows);
  const Range tiles = {rows.begin / kTileRows,
                       (rows.end + kTileRows - 1) / kTileRows};
  int64_t step = tiles.size();
  if (x.columns > 0 && x.columns > x.Width(0)) {
    const int64_t bytes = w.tile_bytes + (x.fine > 0 ? w.fine_tile_bytes : 0);
    step = std::max<int64_t>(1, kCachedBytes / bytes);
  }
  for (int64_t tile = tiles.begin; tile < tiles.end; tile += step) {
    const Range part = {tile, std::min(tile + step, tiles.end)};
    for (int64_t c = 0; c < x.columns; c += x.Width(c)) {
      RunPass({w, x.From(c), part, y + c * y_stride, y_stride, c == 0});
    }
  }
}

}  // namespace aio::kernels
