// SPDX-License-Identifier: Apache-2.0
//
// Tiles on their way into memory: packed from the model's file, or read from a
// file that an earlier load has kept.
//
// The file is read, not mapped: nobody who shortens it can kill the process,
// the weights lie in pages of 2 MiB, and all of it is verified on the way,
// while what was copied is still in the second-level cache. It is 64-bit words
// in the byte order of the machine:
//
//   magic, format, layout (kTileLayout)
//   the model's bytes, time of its last change (ns), SampleHash
//   matrices, bytes of tiles
//   for each matrix: hash of its name, type of the tiles (and from bit 32 on
//     the Nest), rows, depth, offset, checksum
//   zeros up to the next multiple of 4096 but for the last word, which is the
//   checksum of those before; then the tiles as they lie in memory
//
// A reader knows every word but the checksums, and whether kK has served where
// that was open, from its model, and takes no file in which one differs.
// Checksums find accidents; who means harm could as well replace the model
// beside it.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/pack_weights.h"
#include "model/weights.h"
#include "tensor/matrix.h"

namespace aio::model {

// What LoadTiles did.
struct TileReport {
  int64_t bytes = 0;
  bool from_cache = false;
  bool kept = false;                  // written to the cache
  std::vector<std::string> warnings;  // the cache was no use, and why
};

struct TileOptions {
  // Told while tiles are packed or read. May be empty.
  PackProgress progress;
  // The file that keeps them between loads; it takes about as much of the disk
  // as the model. Empty: none.
  std::string cache;
  // Filled in, if not null.
  TileReport* report = nullptr;
};

// The tiles of all weights, as PackWeights; a cache that is missing, of another
// model or version, damaged or impossible to write costs a warning and time.
// What killed writers left of one goes.
Result<AlignedBuffer<std::byte>> LoadTiles(Weights* weights, ThreadPool* pool,
                                           const TileOptions& options);

// kNotFound; kInvalidArgument: of another model or version; kCorrupt: damaged;
// kUnavailable and kDenied: it cannot be read. May throw bad_alloc.
Result<AlignedBuffer<std::byte>> ReadTiles(const std::string& path,
                                           Weights* weights, ThreadPool* pool,
                                           const PackProgress& progress);

// The file is there whole or not at all; errors as AtomicFile. REQUIRES:
// weights are packed.
Result<void> WriteTiles(const std::string& path, Weights* weights,
                        ThreadPool* pool);

}  // namespace aio::model
