// SPDX-License-Identifier: Apache-2.0
//
// One model's weights in the precisions whose quality `aio bench quality`
// compares, as files in memory.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf.h"
#include "model/forward.h"

namespace aio::cli {

struct QualityModel {
  std::string name;
  uint8_t bits = 8;  // the view of its columns
  // What keeps the forward pass alive; shared where two models are views of one
  // copy.
  std::shared_ptr<const std::vector<std::byte>> bytes;
  std::shared_ptr<model::Forward> forward;
};

struct QualityOptions {
  ThreadPool* pool = nullptr;
  int columns_max = 1;
  int pages = 1;
  // Q8_0 weights stand for all numbers that round to them. If not 0, each is
  // replaced by one of those, drawn by this seed: an F32 model of which the
  // file is the Q8_0 form, where the real one is not to be had.
  uint64_t unround = 0;
};

// The first is F32, which all others are compared with, the second Q8_0. Those:
// F32, Q8_0, Q4_K, both views as `aio pack --nest` makes them of F32, the same
// with the embedding's Q8_0 as head if the file ties them, and Q8_0 whose lower
// halves are dropped. All but the first have the embedding's rows in Q8_0, and
// a head in the precision that they stand for.
Result<std::vector<QualityModel>> MakeQualityModels(
    const gguf::File& file, const QualityOptions& options);

}  // namespace aio::cli
