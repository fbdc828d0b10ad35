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
// A tensor may also be generated while it is written, so that a file may be
// larger than memory.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf.h"
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

// A value that was read, to be written again: in 32 bits where it fits, which
// is what readers expect of most keys, whatever it had.
Item ItemOf(const Value& value);

// Makes the blocks number `first`, `first` + 1, ... of a tensor. Called for
// every block once each time the file is written, from any thread, in any
// order: it may depend on nothing else.
using Fill = std::function<void(int64_t first, std::span<std::byte> blocks)>;

struct WriteOptions {
  ThreadPool* pool = nullptr;  // generates tensors; without, this thread does
  // Called on this thread with the bytes written since the last call.
  std::function<void(size_t)> wrote = nullptr;
};

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
  // Encodes floats to `type`, which must have a codec (IsComputable), and
  // keeps the bytes. Values must be finite unless the type is a float.
  void AddFloats(std::string name, DType type, std::vector<int64_t> shape,
                 std::span<const float> values);

  void AddGenerated(std::string name, DType type, std::vector<int64_t> shape,
                    Fill fill);

  // kInvalidArgument naming a key or tensor that is wrong (twice, no such
  // shape, size not that of the shape); otherwise as AtomicFile.
  Result<void> Write(const std::string& path,
                     const WriteOptions& options = {}) const;
  // The same bytes in memory.
  Result<std::vector<std::byte>> Serialize() const;
  // How many they are.
  Result<int64_t> Bytes() const;

 private:
  struct Record {
    std::string name;
    DType type;
    std::vector<int64_t> shape;
    std::span<const std::byte> borrowed;
    std::vector<std::byte> owned;  // instead of `borrowed`, if not empty
    Fill fill;                     // instead of both, if not null

    std::span<const std::byte> data() const {
      return owned.empty() ? borrowed : std::span<const std::byte>(owned);
    }
  };

  // Checked, as all of it is that can be wrong.
  Result<std::string> Header() const;
  size_t Padding(size_t size) const;
  using Put = std::function<Result<void>(std::span<const std::byte>)>;
  // Calls put(bytes) for the whole file, in order.
  Result<void> Emit(ThreadPool* pool, const Put& put) const;
  Result<void> EmitGenerated(const Record& tensor, ThreadPool* pool,
                             const Put& put) const;

  Options options_;
  std::vector<std::pair<std::string, Item>> metadata_;
  std::vector<Record> tensors_;
};

}  // namespace aio::gguf
