// SPDX-License-Identifier: Apache-2.0
//
// The loops around a kernel of one tile: all tiles of a pass, as many columns
// at a time as the registers hold. A Kernel has
//
//   template <size_t kColumns>
//   static void Tile(const TileWork& work, Floats* sums);  // [kColumns]
//   static constexpr int kGroupBytes;  // of a tile, in its first plane
//   static constexpr int kLightColumns;
//
// and sums each output alone, so that the number of columns does not enter the
// arithmetic. Up to kLightColumns columns it is so quick that the hardware,
// which sees one stream, asks for lines early enough, and asking for them costs
// more than it brings. A slower kernel holds the stream back, and what the
// hardware asks for by itself comes late.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_TILE_PASS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_TILE_PASS_INL_H_
#undef AIO_KERNELS_TILE_PASS_INL_H_
#else
#define AIO_KERNELS_TILE_PASS_INL_H_
#endif

#include <algorithm>
#include <array>
#include <utility>

#include "hwy/cache_control.h"
#include "kernels/matmul_impl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

struct TileWork {
  const std::byte* tile;
  const std::byte* fine;  // of a nested matrix
  int64_t groups;
  // What lies so many bytes behind should be on its way; 0: nothing needs to.
  int64_t ahead;
  const Activations& x;
  size_t first;  // column of x
  size_t width;  // of x: columns interleaved there
};

// That width, as a constant where a kernel takes all of them.
template <size_t kColumns>
HWY_INLINE size_t WidthOf(const TileWork& work) {
  return kColumnsAtOnce >= kColumnsPerPass ? kColumns : work.width;
}

// How far ahead of its use a line is asked for, where the hardware's own
// prefetching does not keep up.
inline constexpr int64_t kAhead = 8 << 10;

template <int kBytes>
HWY_INLINE void PrefetchGroup(const std::byte* p) {
  for (int line = 0; line < kBytes; line += 64) hwy::Prefetch(p + line);
}

template <typename Kernel, size_t kColumns>
void RunTile(const MatMulPass& pass, const TileWork& work, int64_t row,
             float* y) {
  Floats sums[kColumns];
  Kernel::template Tile<kColumns>(work, sums);
  const int64_t rows = std::min<int64_t>(kTileRows, pass.w.rows - row);
  const float* factors = pass.x.factors;
  for (size_t c = 0; c < kColumns; ++c, y += pass.y_stride) {
    if (factors != nullptr) sums[c] = Mul(sums[c], factors[work.first + c]);
    if (rows == kTileRows) {
      StoreFloats(sums[c], y);
    } else {
      HWY_ALIGN float all[kTileRows];
      StoreFloats(sums[c], all);
      std::copy_n(all, rows, y);
    }
  }
}

template <typename Kernel>
void RunTiles(const MatMulPass& pass) {
  using Run = void (*)(const MatMulPass&, const TileWork&, int64_t, float*);
  constexpr auto runs = []<size_t... kLess>(std::index_sequence<kLess...>) {
    return std::array<Run, sizeof...(kLess)>{RunTile<Kernel, kLess + 1>...};
  }
  (std::make_index_sequence<kColumnsAtOnce>());
  const int64_t groups = pass.w.tile_bytes / Kernel::kGroupBytes;
  const auto width = static_cast<size_t>(pass.x.Width(0));
  const bool light = width <= static_cast<size_t>(Kernel::kLightColumns);
  const int64_t ahead = pass.from_memory && !light ? kAhead : 0;
  for (int64_t t = pass.tiles.begin; t < pass.tiles.end; ++t) {
    const int64_t row = t * kTileRows;
    for (size_t c = 0; c < width; c += kColumnsAtOnce) {
      runs[std::min(kColumnsAtOnce, width - c) - 1](
          pass,
          {pass.w.Tile(t), pass.w.FineTile(t), groups, c == 0 ? ahead : 0,
           pass.x, c, width},
          row, pass.y + static_cast<int64_t>(c) * pass.y_stride + row);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
