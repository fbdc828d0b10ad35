// SPDX-License-Identifier: Apache-2.0
//
// Models of llama2.c (github.com/karpathy/llama2.c) as GGUF files of the
// architecture `llama`.
//
// llama2.c rotates neighbouring pairs of a head (2i, 2i + 1), as GGUF's `llama`
// does, so the rows of wq and wk keep their order.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "gguf/writer.h"
#include "tensor/dtype.h"

namespace aio::tools {

struct Llama2cOptions {
  std::string name = {};     // general.name
  std::string license = {};  // general.license, an SPDX identifier
  // F32, F16 or Q8_0. Norms stay F32; rows that are no multiple of a Q8_0
  // block become F16.
  DType type = DType::kF32;
};

// `checkpoint`: a version 0 file (export.py's "legacy"), 4-byte aligned;
// `tokenizer`: the tokenizer.bin that belongs to it. Both must outlive the
// Writer, which borrows F32 weights. kCorrupt if they are no such files.
Result<gguf::Writer> FromLlama2c(std::span<const std::byte> checkpoint,
                                 std::span<const std::byte> tokenizer,
                                 const Llama2cOptions& options);

}  // namespace aio::tools
