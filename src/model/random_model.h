// SPDX-License-Identifier: Apache-2.0
//
// GGUF models of any supported family with random weights: for tests that need
// the shape of a real model and not its sense, and for measuring speed. Scaled
// like trained ones, so that the logits spread by about one.
//
// Thread safety: pure functions of the description; the same description gives
// the same file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "tensor/dtype.h"

namespace aio::model {

struct RandomModel {
  std::string architecture = "llama";
  // Of matrices. Vectors are F32, and so become matrices whose rows are no
  // whole number of blocks.
  DType type = DType::kF32;
  uint64_t seed = 1;
  int vocabulary = 512;
  int hidden = 256;
  int layers = 3;
  int heads = 8;
  int kv_heads = 4;
  int head_dim = 32;
  int feed_forward = 512;
  int context = 2048;
  bool tied = false;           // no output.weight
  bool rope_divisors = false;  // a rope_freqs.weight (llama only)
  // More keys, after "<architecture>.".
  std::vector<std::pair<std::string, gguf::Item>> keys = {};
};

// Metadata and tensors. With `tokenizer`, a file whose tokenizer keys are
// copied; its vocabulary replaces the description's.
gguf::Writer MakeRandomModel(RandomModel description,
                             const gguf::File* tokenizer = nullptr);

}  // namespace aio::model
