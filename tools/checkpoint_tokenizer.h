// SPDX-License-Identifier: Apache-2.0
//
// Hugging Face's tokenizer.json and tokenizer_config.json as GGUF's tokenizer
// keys: a byte-level BPE with Qwen2's pre-tokenizer, as llama.cpp's converter
// writes it.
//
// Thread safety: pure function.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "gguf/writer.h"

namespace aio::tools {

// `tokens`: rows of the embedding. Ids that the tokenizer does not use become
// [PADn] of the type "unused". kCorrupt or kUnsupported; the message begins
// with the file's name.
Result<void> AddTokenizer(std::string_view tokenizer, std::string_view settings,
                          int64_t tokens, gguf::Writer* writer);

}  // namespace aio::tools
