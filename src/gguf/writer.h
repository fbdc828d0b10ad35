// SPDX-License-Identifier: Apache-2.0
//
// Writes a GGUF file: give it metadata and tensors, then Write. What it writes
// passes File's checks; a mistake in what it is given is an error from Write
// (or Serialize) and leaves no file.
//
//   Writer writer;
//   writer.Add("general.architecture", "llama");
//   writer.Add("llama.block_count", uint32_t{5});
//   writer.AddFloats("output_norm.weight", DType::kF32, {64}, values);
//   RETURN_IF_ERROR(writer.Write("model.gguf"));
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace aio::gguf {

// A metadata value in the width that the file gets. An int literal is an I32:
// most keys want uint32_t{n}.
using Item = std::variant<
    uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t,
    float, double, bool, std::string, std::vector<uint8_t>, std::vector<int8_t>,
    std::vector<uint16_t>, std::vector<int16_t>, std::vector<uint32_t>,
    std::vector<int32_t>, std::vector<uint64_t>, std::vector<int64_t>,
    std::vector<float>, std::vector<double>, std::vector<bool>,
    std::vector<std::string>>;

class Writer {
 public:
  struct Options {
    uint32_t version = 3;     // 2 differs in nothing but the number
    uint32_t alignment = 32;  // other values also become general.alignment
  };

  Writer() = default;
  explicit Writer(const Options& options) : options_(options) {}

  void Add(std::string key, Item value);

  // `data` is borrowed until the last Write. shape[0] is contiguous.
  void AddTensor(std::string name, DType type, std::vector<int64_t> shape,
                 std::span<const std::byte> data);
  // Encodes floats to `type`, which must have a codec (HasCodec), and
  // keeps the bytes. Values must be finite unless the type is a float.
  void AddFloats(std::string name, DType type, std::vector<int64_t> shape,
                 std::span<const float> values);

  // kInvalidArgument naming a key or tensor that is wrong (twice, no such
  // shape, size not that of the shape); otherwise as AtomicFile.
  Result<void> Write(const std::string& path) const;
  // The same bytes in memory.
  Result<std::vector<std::byte>> Serialize() const;

 private:
  struct Record {
    std::string name;
    DType type;
    std::vector<int64_t> shape;
    std::span<const std::byte> borrowed;
    std::vector<std::byte> owned;  // instead of `borrowed`, if not empty

    std::span<const std::byte> data() const {
      return owned.empty() ? borrowed : std::span<const std::byte>(owned);
    }
  };

  Result<std::string> Header() const;
  size_t Padding(size_t size) const;
  // Calls put(bytes) for the whole file, in order.
  template <typename Put>
  Result<void> Emit(Put put) const;

  Options options_;
  std::vector<std::pair<std::string, Item>> metadata_;
  std::vector<Record> tensors_;
};

}  // namespace aio::gguf
