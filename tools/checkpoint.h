// SPDX-License-Identifier: Apache-2.0
//
// A model as training leaves it (the folder layout of Hugging Face:
// config.json, model.safetensors, tokenizer.json, tokenizer_config.json) as a
// GGUF file, with the keys and names that llama.cpp's convert_hf_to_gguf.py
// writes. Family: Qwen2ForCausalLM with a byte-level BPE.
//
// Everything a file says is either carried over or refused by name: what is
// dropped would be another model.
//
// Thread safety: pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/writer.h"
#include "tensor/dtype.h"

namespace aio::tools {

struct CheckpointFiles {
  std::string_view config;              // config.json
  std::span<const std::byte> weights;   // model.safetensors
  std::string_view tokenizer;           // tokenizer.json
  std::string_view tokenizer_settings;  // tokenizer_config.json
};

struct CheckpointOptions {
  std::string name = {};     // general.name
  std::string license = {};  // general.license, an SPDX identifier
  // F32, F16, BF16 or Q8_0. Norms and biases stay F32; rows that are no
  // multiple of a Q8_0 block become F16.
  DType type = DType::kF32;
};

// The files must outlive the Writer, which borrows weights whose type stays.
// kCorrupt or kUnsupported; the message begins with the file's name and names
// the key or tensor.
Result<gguf::Writer> FromCheckpoint(const CheckpointFiles& files,
                                    const CheckpointOptions& options);

}  // namespace aio::tools
