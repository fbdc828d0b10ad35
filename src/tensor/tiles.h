// SPDX-License-Identifier: Apache-2.0
//
// Weights as the kernels read them: tiles of 16 rows, interleaved, so that one
// vector holds one step of all 16 rows and a thread's share of a matrix is one
// stream of memory from end to end. A number keeps its size in the file.
//
// A tile is [groups] of what 16 rows say about kGroup numbers of depth each:
//
//   type  group  layout, in bytes (h: F16 scales, [16] each; every part is a
//                multiple of 64)
//   F32       2  [2][16] numbers
//   F16 BF16  2  [2][16] numbers
//   Q8_0     64  h[2]              codes[2][8 x 64]
//   Q4_0     64  h[2]              nibbles[2][4 x 64]
//   Q4_1     64  h[2] min[2]       nibbles[2][4 x 64]
//   Q5_0     64  h[2]              fifth bits[2][64]  nibbles[2][4 x 64]
//   Q5_1     64  h[2] min[2]       fifth bits[2][64]  nibbles[2][4 x 64]
//   Q4_K    256  h min  scales[192]                   nibbles[8][4 x 64]
//   Q5_K    256  h min  scales[192] fifth bits[8][64] nibbles[8][4 x 64]
//   Q6_K    256  h 0    scales[16][16]   [16] of nibbles[2 x 64] high bits[64]
//
// 64 codes are a step: 4 of depth of each row, [16][4], as unsigned bytes (of
// Q8_0: plus 128). Nibbles hold the step 2i in their low and 2i + 1 in their
// high half. Bit j of a byte of fifth bits belongs to that byte of step j of
// the block of 8 steps; bits 2j and 2j + 1 of high bits to step j of 4. The
// six-bit scales and minimums of the K types: [8][16] bytes, the scale's low
// four bits low and the minimum's high, then [16] words with two high bits of
// the scale and two of the minimum for each of 8 blocks, lowest first.
// What is missing at the end of rows and depth is zeros.
//
// Nested matrices have two planes, each with its own tiles, so that who reads
// one reads one stream:
//
//   nest  group  plane               layout
//   kK      256  high: as Q4_K
//                fine, residuals                    nibbles[8][4 x 64]
//   k8       64  high, upper halves  h[2]           nibbles[2][4 x 64]
//                fine, lower halves                 nibbles[2][4 x 64]
//
// Q6_K has 32 bytes of padding a group, 1 % more than in the file; all others
// have none.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "tensor/dtype.h"
#include "tensor/matrix.h"

namespace aio {

inline constexpr int kTileRows = 16;
// Raise it with any change to the table: tiles that a file keeps
// (model/tile_cache.h) are then packed anew.
inline constexpr int kTileLayout = 2;

// Numbers of depth in a group, and the bytes that 16 rows take for it.
struct TileGroup {
  int depth = 0;
  int bytes = 0;
};
// REQUIRES: IsComputable(type).
TileGroup TileGroupOf(DType type);
// Of the two planes of a nested matrix, which share depths.
// REQUIRES: nest is not kNone.
TileGroup HighGroupOf(Nest nest);
TileGroup FineGroupOf(Nest nest);

// A view of tiles.
struct TiledMatrix {
  DType type = DType::kF32;         // of kK Q4_K, of k8 Q8_0
  const std::byte* data = nullptr;  // aligned to 64; of nested ones plane high
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t tile_bytes = 0;
  Nest nest = Nest::kNone;
  const std::byte* fine = nullptr;  // aligned to 64
  int64_t fine_tile_bytes = 0;

  int64_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  // What a product reads at 4 bits, and of both planes.
  int64_t high_bytes() const { return tiles() * tile_bytes; }
  int64_t bytes() const { return tiles() * (tile_bytes + fine_tile_bytes); }
  const std::byte* Tile(int64_t tile) const { return data + tile * tile_bytes; }
  const std::byte* FineTile(int64_t tile) const {
    return fine + tile * fine_tile_bytes;
  }
};

// The view of `w` once it is packed, without its data.
TiledMatrix TiledShape(const WeightMatrix& w);

// Writes the tiles [tiles.begin, tiles.end) of `w` to `out`, the place of the
// first of them, and of a nested matrix those of plane fine to `fine`. False if
// a number or a scale is not finite.
// REQUIRES: of a nested matrix, that its type is Q4_K with `w.fine` or Q8_0.
bool PackTiles(const WeightMatrix& w, Range tiles, std::byte* out,
               std::byte* fine = nullptr);

}  // namespace aio
