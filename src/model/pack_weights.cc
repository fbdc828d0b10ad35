// SPDX-License-Identifier: Apache-2.0
#include "model/pack_weights.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "tensor/tiles.h"

namespace aio::model {
namespace {

// A thread's share of one matrix, some tiles at a time.
bool PackShare(const gguf::File& file, const Linear& linear, Range tiles) {
  // What a thread has read and not yet given back.
  constexpr int64_t kResidentBytes = 4 << 20;
  const WeightMatrix& from = linear.matrix;
  const int64_t source_bytes = from.row_bytes * kTileRows;
  const int64_t step =
      std::max<int64_t>(1, kResidentBytes / std::max<int64_t>(1, source_bytes));
  bool finite = true;
  for (int64_t t = tiles.begin; t < tiles.end; t += step) {
    const Range part = {t, std::min(t + step, tiles.end)};
    // The view is of memory that PlaceTiles made.
    finite &=
        PackTiles(from, part, const_cast<std::byte*>(linear.tiles.Tile(t)));
    const int64_t end = std::min(part.end * kTileRows, from.rows);
    file.Forget({from.Row(t * kTileRows), from.Row(end)});
  }
  return finite;
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
    at += linear->tiles.bytes();
  }
  return buffer;
}

Result<AlignedBuffer<std::byte>> PackWeights(Weights* weights, ThreadPool* pool,
                                             const PackProgress& progress) {
  AlignedBuffer<std::byte> buffer = PlaceTiles(weights);
  const auto total = static_cast<int64_t>(buffer.size());
  int64_t done = 0;
  for (const Linear* linear : LinearsOf(weights)) {
    std::atomic<bool> finite = true;
    pool->Run([&](int thread) {
      const Range mine = Share(linear->tiles.tiles(), thread, pool->threads());
      if (!PackShare(weights->file, *linear, mine)) finite = false;
    });
    if (!finite) {
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
