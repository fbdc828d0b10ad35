// SPDX-License-Identifier: Apache-2.0
#include "model/pack_weights.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/check.h"
#include "tensor/block_formats.h"
#include "tensor/nest.h"
#include "tensor/tiles.h"

namespace aio::model {
namespace {

// Rows as a nested matrix of their own.
struct NestedRows {
  std::vector<BlockQ4_K> blocks;
  std::vector<uint8_t> fine;
  std::vector<std::byte> q8;
  WeightMatrix matrix;
};

NestLoss EncodeAsQ8_0(const WeightMatrix& w, Range rows, NestedRows* out) {
  const auto bytes = static_cast<size_t>(out->matrix.row_bytes);
  std::vector<float> values(static_cast<size_t>(w.depth));
  NestLoss loss;
  out->q8.resize(static_cast<size_t>(rows.size()) * bytes);
  std::span<std::byte> at = out->q8;
  for (int64_t r = rows.begin; r < rows.end; ++r, at = at.subspan(bytes)) {
    DecodeRow(w.type, {w.Row(r), static_cast<size_t>(w.row_bytes)}, values);
    loss.finite &=
        std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
    EncodeRow(DType::kQ8_0, values, at.first(bytes));
  }
  out->matrix.data = out->q8.data();
  return loss;
}

// Encodes rows of numbers as `w.nest` says.
NestLoss Encode(const WeightMatrix& w, Range rows, NestedRows* out) {
  const bool k = w.nest == Nest::kK;
  const DType type = k ? DType::kQ4_K : DType::kQ8_0;
  out->matrix = {type,
                 nullptr,
                 rows.size(),
                 w.depth,
                 static_cast<int64_t>(BytesFor(type, w.depth)),
                 w.nest,
                 nullptr};
  if (!k) return EncodeAsQ8_0(w, rows, out);
  const int64_t numbers = rows.size() * w.depth;
  out->blocks.resize(static_cast<size_t>(numbers / kSuperBlockElements));
  out->fine.resize(static_cast<size_t>(numbers / 2));
  out->matrix.data = reinterpret_cast<const std::byte*>(out->blocks.data());
  out->matrix.fine = reinterpret_cast<const std::byte*>(out->fine.data());
  return EncodeNest(w, rows, out->blocks.data(), out->fine.data());
}

// A thread's share of one matrix, some tiles at a time. The loss has no more
// than `finite` where nothing was encoded as kK.
NestLoss PackShare(const gguf::File& file, const Linear& linear, Range tiles) {
  // What a thread has read and not yet given back.
  constexpr int64_t kResidentBytes = 4 << 20;
  const WeightMatrix& from = linear.matrix;
  const int64_t source_bytes = from.row_bytes * kTileRows;
  const int64_t step =
      std::max<int64_t>(1, kResidentBytes / std::max<int64_t>(1, source_bytes));
  const bool encodes =
      from.nest != Nest::kNone && from.type != linear.tiles.type;
  NestedRows encoded;
  NestLoss loss;
  for (int64_t t = tiles.begin; t < tiles.end; t += step) {
    const Range part = {t, std::min(t + step, tiles.end)};
    const Range rows = {t * kTileRows,
                        std::min(part.end * kTileRows, from.rows)};
    // The views are of memory that PlaceTiles made.
    auto* out = const_cast<std::byte*>(linear.tiles.Tile(t));
    auto* fine = const_cast<std::byte*>(linear.tiles.FineTile(t));
    if (encodes) {
      loss.Add(Encode(from, rows, &encoded));
      loss.finite &= PackTiles(encoded.matrix, {0, part.size()}, out, fine);
    } else {
      loss.finite &= PackTiles(from, part, out, fine);
    }
    file.Forget({from.Row(rows.begin), from.Row(rows.end)});
    if (from.fine == nullptr) continue;
    file.Forget({from.fine + rows.begin * from.depth / 2,
                 from.fine + rows.end * from.depth / 2});
  }
  return loss;
}

NestLoss PackLinear(const gguf::File& file, const Linear& linear,
                    ThreadPool* pool) {
  std::vector<NestLoss> losses(static_cast<size_t>(pool->threads()));
  pool->Run([&](int thread) {
    const Range mine = Share(linear.tiles.tiles(), thread, pool->threads());
    losses[static_cast<size_t>(thread)] = PackShare(file, linear, mine);
  });
  NestLoss all;
  for (const NestLoss& loss : losses) all.Add(loss);
  return all;
}

}  // namespace

std::vector<Linear*> LinearsOf(Weights* w) {
  std::vector<Linear*> linears;
  for (LayerWeights& l : w->layers) {
    for (Linear* m : {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down}) {
      linears.push_back(m);
    }
  }
  linears.push_back(&w->output);
  return linears;
}

void SetKind(Nest nest, TiledMatrix* tiles) {
  const TiledMatrix shape =
      TiledShape({tiles->type, nullptr, tiles->rows, tiles->depth, 0, nest});
  CHECK(shape.tile_bytes == tiles->tile_bytes &&
        shape.fine_tile_bytes == tiles->fine_tile_bytes);
  tiles->type = shape.type;
  tiles->nest = nest;
}

int64_t PackedBytes(const Weights& weights) {
  int64_t bytes = 0;
  for (const Linear* linear : LinearsOf(const_cast<Weights*>(&weights))) {
    bytes += TiledShape(linear->matrix).bytes();
  }
  return bytes;
}

AlignedBuffer<std::byte> PlaceTiles(Weights* weights) {
  AlignedBuffer<std::byte> buffer(static_cast<size_t>(PackedBytes(*weights)),
                                  AlignedBuffer<std::byte>::kNothing);
  int64_t at = 0;
  for (Linear* linear : LinearsOf(weights)) {
    linear->tiles = TiledShape(linear->matrix);
    linear->tiles.data = buffer.data() + at;
    if (linear->tiles.nest != Nest::kNone) {
      linear->tiles.fine = linear->tiles.data + linear->tiles.high_bytes();
    }
    at += linear->tiles.bytes();
  }
  return buffer;
}

Result<AlignedBuffer<std::byte>> PackWeights(Weights* weights, ThreadPool* pool,
                                             const PackProgress& progress) {
  AlignedBuffer<std::byte> buffer = PlaceTiles(weights);
  const auto total = static_cast<int64_t>(buffer.size());
  int64_t done = 0;
  for (Linear* linear : LinearsOf(weights)) {
    NestLoss loss = PackLinear(weights->file, *linear, pool);
    if (KindIsOpen(linear->matrix) && loss.finite && !loss.Serves()) {
      linear->matrix.nest = Nest::k8;
      SetKind(Nest::k8, &linear->tiles);
      loss = PackLinear(weights->file, *linear, pool);
    }
    if (!loss.finite) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + linear->name +
                       " has a number that is not finite (NaN or infinity): "
                       "the file is damaged",
                   ""};
    }
    done += linear->tiles.bytes();
    if (progress) progress(done, total);
  }
  return buffer;
}

}  // namespace aio::model
