// SPDX-License-Identifier: Apache-2.0
//
// The forward pass on the CPU: weights are packed into tiles, and KV pages and
// all scratch are allocated, once at load.
//
// Thread safety: as Forward. The pool may be shared with other models, as long
// as their steps do not overlap (one engine thread).
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf.h"
#include "kernels/attention.h"
#include "model/forward.h"
#include "model/tile_cache.h"

namespace aio::model {

struct CpuOptions {
  // Runs the kernels. Must outlive the Forward.
  ThreadPool* pool = nullptr;
  // Of the KV cache: fewer bytes to keep and read per token, or less rounding.
  kernels::KvType kv = kernels::KvType::kF16;
  int pages = 1;          // KV pages of kPageTokens positions
  int columns_max = 512;  // of one step: sizes the scratch memory
  // Positions a sequence may have; 0, or more than the model was made for: as
  // many as the model was made for.
  int context_max = 0;
  // Columns of one step that may ask for logits; 0: all. Each takes a float per
  // token of the vocabulary.
  int logits_max = 0;
  // Whether Forward::Profile has something to tell: some 20 ns a stage.
  bool profile = false;
  // Whether weights that the file has in one precision are nested as they are
  // packed (docs/nest.md): Q8_0 as it is, in no time; F32, F16 and BF16 by
  // encoding them anew at each load, which `aio pack --nest` does once for all.
  bool nest = false;
  // How the weights come to be in memory; of LoadCpuForward only.
  TileOptions tiles;
};

// What LoadCpuForward will need, before it allocates anything.
struct MemoryNeeds {
  int64_t weight_bytes = 0;   // of tiles and vectors, read by steps
  int64_t page_bytes = 0;     // of one KV page
  int64_t scratch_bytes = 0;  // for columns_max and logits_max
  bool nested = false;        // whether there will be two views
};

// `options.pages` is not looked at, and `options.pool` only for its number of
// threads: null counts as one. Errors as below.
Result<MemoryNeeds> PlanMemory(const gguf::File& file,
                               const CpuOptions& options);

// kUnsupported or kCorrupt naming what is wrong with the file (ReadConfig,
// LoadWeights, LoadTiles); kInvalidArgument for options out of range;
// kOverloaded if the memory is not there.
Result<std::unique_ptr<Forward>> LoadCpuForward(const gguf::File& file,
                                                const CpuOptions& options);

}  // namespace aio::model
