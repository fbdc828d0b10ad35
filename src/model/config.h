// SPDX-License-Identifier: Apache-2.0
//
// What a GGUF file says about its model: the family, its sizes and its
// arithmetic. Everything is checked here, so that the rest of model/ may trust
// it. A key of the architecture that is not understood is refused by name: what
// is ignored would be a wrong answer.
//
// Thread safety: plain data.
// Source of the keys: ggml-org/ggml, docs/gguf.md; ggml-org/llama.cpp,
// src/llama-arch.cpp and src/models/.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "gguf/gguf.h"
#include "kernels/rope.h"

namespace aio::model {

enum class Family : uint8_t { kLlama, kQwen2, kQwen3, kPanguEmbedded };

struct ModelConfig {
  Family family = Family::kLlama;
  std::string architecture;  // general.architecture
  std::string name;          // general.name, or empty
  int vocabulary = 0;
  int context_length = 0;  // tokens it was made for
  int hidden = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;  // divides heads
  int head_dim = 0;  // even; heads * head_dim need not be `hidden`
  int feed_forward = 0;
  float norm_epsilon = 0;
  // Without the divisors of rope_freqs.weight: those are weights.
  kernels::RopeParameters rope;
};

// kUnsupported: a family or a key that this build does not implement, by name.
// kCorrupt: a value is missing, of another type, or makes no sense.
Result<ModelConfig> ReadConfig(const gguf::File& file);

}  // namespace aio::model
