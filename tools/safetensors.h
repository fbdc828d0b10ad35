// SPDX-License-Identifier: Apache-2.0
//
// A .safetensors file: eight bytes with the length of a JSON header, the
// header (name -> dtype, shape, place), then the tensors end to end. Every size
// and place is checked, so a truncated or hostile file is a clear error.
//
// Thread safety: pure function and plain data.
// Source of the format: huggingface/safetensors, README.md, "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace aio::tools {

struct SafeTensor {
  DType type;                       // F32, F16 or BF16
  std::vector<int64_t> shape;       // Hugging Face's order: rows, columns
  std::span<const std::byte> data;  // exactly the tensor; of any alignment

  // Its numbers as floats; exact.
  std::vector<float> Floats() const;
};

using SafeTensors = std::map<std::string, SafeTensor>;  // by name

// The tensors, as views into `file`. kCorrupt if the file does not follow its
// format (as the reference reader, it must be without holes and overlaps);
// kUnsupported naming a tensor of another dtype.
Result<SafeTensors> ReadSafeTensors(std::span<const std::byte> file);

}  // namespace aio::tools
