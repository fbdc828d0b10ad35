// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention_impl.h"

namespace aio::kernels {
namespace {

constexpr int kSpanBlocks = kKvSpan / kKvBlock;
// Partials start at cache lines.
constexpr int64_t kLine = 16;

int64_t RoundUp(int64_t n) { return (n + kLine - 1) / kLine * kLine; }

int64_t PartialFloats(const AttentionShape& shape, int rows) {
  return rows * shape.value_stride() + RoundUp(2 * rows);
}

Partial PartialAt(const AttentionShape& shape, int rows, float* at) {
  float* most = at + rows * shape.value_stride();
  return {at, most, most + rows};
}

Range BlocksOf(int span, int last_block) {
  return {span * kSpanBlocks,
          std::min<int64_t>((span + 1) * kSpanBlocks, last_block + 1)};
}

// The next span of the same queries into those before it.
void Merge(const AttentionShape& shape, int rows, const Partial& next,
           const Partial& total) {
  const int64_t stride = shape.value_stride();
  for (int r = 0; r < rows; ++r) {
    const float most = std::max(total.most[r], next.most[r]);
    const float old_scale = std::exp(total.most[r] - most);
    const float new_scale = std::exp(next.most[r] - most);
    total.most[r] = most;
    total.sum[r] = total.sum[r] * old_scale + next.sum[r] * new_scale;
    float* sums = total.values + r * stride;
    const float* values = next.values + r * stride;
    for (int64_t i = 0; i < stride; ++i) {
      sums[i] = sums[i] * old_scale + values[i] * new_scale;
    }
  }
}

void Finish(const AttentionShape& shape, const Partial& total, int row,
            float* out) {
  const float* sums = total.values + row * shape.value_stride();
  for (int i = 0; i < shape.head_dim; ++i) out[i] = sums[i] / total.sum[row];
}

// Row r of some columns is head r % heads of column r / heads.
Tile MakeTile(const AttentionShape& shape,
              std::span<const AttentionColumn> columns, int64_t first,
              float* queries) {
  Tile tile;
  const auto end = static_cast<int64_t>(columns.size()) * shape.heads;
  for (; tile.rows < kTileRows && first < end; ++first, ++tile.rows) {
    const auto& column = columns[static_cast<size_t>(first / shape.heads)];
    const int block = column.position / kKvBlock;
    if (tile.rows > 0 && block != tile.block) break;
    tile.block = block;
    tile.counts[tile.rows] = column.position % kKvBlock + 1;
    tile.q[tile.rows] = column.q + first % shape.heads * shape.head_dim;
  }
  for (const int width : {1, 2, 4, 6, 8}) {
    if (tile.width == 0 && width >= tile.rows) tile.width = width;
  }
  // Rows that only fill up go as far as the last real one.
  for (int r = tile.rows; r < tile.width; ++r) {
    tile.counts[r] = tile.counts[tile.rows - 1];
  }
  tile.queries = queries;
  PrepareTile(shape, tile);
  return tile;
}

}  // namespace

const char* NameOf(KvType type) {
  constexpr const char* kNames[] = {"f32", "f16", "q8"};
  return kNames[static_cast<size_t>(type)];
}

int64_t AttentionScratch(const AttentionShape& shape) {
  return RoundUp(QueryFloats(shape)) + 2 * PartialFloats(shape, kTileRows);
}

int64_t SpanFloats(const AttentionShape& shape) {
  return PartialFloats(shape, shape.heads);
}

void Attend(const AttentionShape& shape, const KvPages& kv,
            std::span<const AttentionColumn> columns, float* scratch) {
  float* at = scratch + RoundUp(QueryFloats(shape));
  const Partial next = PartialAt(shape, kTileRows, at);
  const Partial total =
      PartialAt(shape, kTileRows, at + PartialFloats(shape, kTileRows));
  const auto rows = static_cast<int64_t>(columns.size()) * shape.heads;
  for (int64_t first = 0; first < rows;) {
    const Tile tile = MakeTile(shape, columns, first, scratch);
    AttendTile(shape, kv, tile, BlocksOf(0, tile.block), total);
    for (int span = 1; span * kSpanBlocks <= tile.block; ++span) {
      AttendTile(shape, kv, tile, BlocksOf(span, tile.block), next);
      Merge(shape, tile.rows, next, total);
    }
    for (int r = 0; r < tile.rows; ++r, ++first) {
      const auto& column = columns[static_cast<size_t>(first / shape.heads)];
      Finish(shape, total, r,
             column.out + first % shape.heads * shape.head_dim);
    }
  }
}

void AttendSpan(const AttentionShape& shape, const KvPages& kv,
                const AttentionColumn& column, int span, float* partial,
                float* scratch) {
  const Partial tile_out =
      PartialAt(shape, kTileRows, scratch + RoundUp(QueryFloats(shape)));
  const Partial out = PartialAt(shape, shape.heads, partial);
  const int64_t stride = shape.value_stride();
  for (int first = 0; first < shape.heads;) {
    const Tile tile = MakeTile(shape, {&column, 1}, first, scratch);
    AttendTile(shape, kv, tile, BlocksOf(span, tile.block), tile_out);
    std::copy_n(tile_out.values, tile.rows * stride,
                out.values + first * stride);
    std::copy_n(tile_out.most, tile.rows, out.most + first);
    std::copy_n(tile_out.sum, tile.rows, out.sum + first);
    first += tile.rows;
  }
}

void MergeSpans(const AttentionShape& shape, float* partials,
                const AttentionColumn& column) {
  const Partial total = PartialAt(shape, shape.heads, partials);
  for (int span = 1; span < SpansOf(column.position); ++span) {
    float* next = partials + span * SpanFloats(shape);
    Merge(shape, shape.heads, PartialAt(shape, shape.heads, next), total);
  }
  for (int h = 0; h < shape.heads; ++h) {
    Finish(shape, total, h, column.out + h * shape.head_dim);
  }
}

}  // namespace aio::kernels
