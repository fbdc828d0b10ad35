// SPDX-License-Identifier: Apache-2.0
//
// Between attention.cc, which cuts columns into tiles and spans and merges
// them, and attention_tile.cc, the SIMD.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/attention.h"

namespace aio::kernels {

inline constexpr int kTileRows = 8;
// Codes of a query that share a scale.
inline constexpr int kQueryBlock = 32;

// Up to kTileRows queries (a head of a column each) that share every load:
// heads of one column, or of several whose positions lie in one block.
struct Tile {
  int rows = 0;
  int width = 0;                   // rows computed: 1, 2, 4, 6 or 8
  int block = 0;                   // where the rows' positions lie
  int counts[kTileRows] = {};      // positions of it, of each row; ascending
  const float* q[kTileRows] = {};  // [head_dim]
  float* queries = nullptr;        // as PrepareTile writes them, QueryFloats
};

inline int64_t QueryFloats(const AttentionShape& shape) {
  const int64_t blocks = (shape.head_dim + kQueryBlock - 1) / kQueryBlock;
  return kTileRows * blocks * (kQueryBlock + 2);
}

// What the blocks up to some position come to, of `rows` queries: the largest
// score, and sums of exp(score - most), alone and times the values.
struct Partial {
  float* values = nullptr;  // [rows][value_stride]; aligned to 64
  float* most = nullptr;    // [rows]
  float* sum = nullptr;     // [rows]
};

// Orders (and for Q8 rounds) tile.q into tile.queries.
void PrepareTile(const AttentionShape& shape, const Tile& tile);
// Sets `partial` to what `blocks` come to; none is past tile.block.
void AttendTile(const AttentionShape& shape, const KvPages& kv,
                const Tile& tile, Range blocks, const Partial& partial);

}  // namespace aio::kernels
