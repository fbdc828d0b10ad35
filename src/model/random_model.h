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
  std::string name = "random";  // begins general.name
  // Of matrices. Vectors are F32. Where a row is no whole number of blocks, a K
  // type gives way to the type of 32 that llama.cpp takes instead (Q4_K to
  // Q5_0, Q5_K to Q5_1, Q6_K to Q8_0), and those to F32.
  DType type = DType::kF32;
  // The mix that llama.cpp calls Q4_K_M: with Q4_K as `type`, the output (or
  // the embedding that serves as output) is Q6_K, and so are attn_v and
  // ffn_down in about half of the layers.
  bool more_bits = false;
  // Nested matrices (docs/nest.md) instead of `type`: Q4_K with residuals; of
  // the embedding, and where a row is no whole number of 256, Q8_0.
  bool nest = false;
  uint64_t seed = 1;
  int vocabulary = 512;
  int hidden = 256;
  int layers = 3;
  int heads = 8;
  int kv_heads = 4;
  int head_dim = 32;
  int feed_forward = 512;
  int context = 2048;
  float norm_epsilon = 1e-5f;
  float rope_base = 10000;
  bool tied = false;           // no output.weight
  bool rope_divisors = false;  // a rope_freqs.weight (llama only)
  // More keys, after "<architecture>.".
  std::vector<std::pair<std::string, gguf::Item>> keys = {};
};

// Metadata and tensors. With `tokenizer`, a file whose tokenizer keys are
// copied; its vocabulary replaces the description's. Weights are generated when
// the file is written, and need no memory.
gguf::Writer MakeRandomModel(RandomModel description,
                             const gguf::File* tokenizer = nullptr);

}  // namespace aio::model
