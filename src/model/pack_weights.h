// SPDX-License-Identifier: Apache-2.0
//
// From the file's matrices to tiles (tensor/tiles.h): once, at load. Each
// thread packs the rows that it will compute, so that on a machine with several
// memory nodes they lie near it, and gives the pages of the file back as it
// goes: what is resident stays near the size of the file. Numbers that shall be
// nested are encoded on the way, which takes far longer than packing.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/weights.h"
#include "tensor/aligned_buffer.h"

namespace aio::model {

// Of the bytes of tiles, so many are ready.
using PackProgress = std::function<void(int64_t done, int64_t total)>;

// All that is packed, in the order in which it lies in memory.
std::vector<Linear*> LinearsOf(Weights* weights);

// Whether it is packed as kK or as k8, tiles of a matrix take the same room.
void SetKind(Nest nest, TiledMatrix* tiles);

// Bytes of tiles that PackWeights makes.
int64_t PackedBytes(const Weights& weights);

// Memory for the tiles, still to be written, with `tiles` of every Linear
// looking at its part. May throw bad_alloc.
AlignedBuffer<std::byte> PlaceTiles(Weights* weights);

// PlaceTiles, and the tiles themselves. A matrix of numbers that was to be kK
// but is not served by it (NestLoss::Serves) becomes k8. kCorrupt naming the
// tensor with a number that is not finite. May throw bad_alloc.
Result<AlignedBuffer<std::byte>> PackWeights(Weights* weights, ThreadPool* pool,
                                             const PackProgress& progress);

}  // namespace aio::model
