// SPDX-License-Identifier: Apache-2.0
//
// A GGUF model file (v2 or v3, little endian), mapped and checked: metadata and
// a table of tensors. Every size and offset is verified before use, so a
// truncated or hostile file is a clear error. Split files
// (…-00001-of-00003.gguf) open as one through any of their parts.
//
// Thread safety: const after Open.
// Source of the format: ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace aio::gguf {

// An array value. Strings are views into the mapped file.
struct Array {
  std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>,
               std::vector<bool>, std::vector<std::string_view>>
      items;
  size_t size() const;
};

// Integers of every width widen to 64 bits, floats to double.
using Value =
    std::variant<uint64_t, int64_t, double, bool, std::string_view, Array>;

struct Entry {
  std::string_view key;
  Value value;
};

struct Tensor {
  std::string_view name;
  DType type;
  std::vector<int64_t> shape;  // GGUF order: shape[0] is contiguous (columns)
  std::span<const std::byte> data;  // exactly the tensor, in the mapped file

  int64_t elements() const;
};

class File {
 public:
  // kNotFound, kCorrupt (what is wrong and at which offset), kUnsupported.
  static Result<File> Open(const std::string& path);
  // From memory, one part only; `bytes` must outlive the File and be aligned
  // as malloc does for the tensors' data to be. For tests and fuzzing.
  static Result<File> Parse(std::span<const std::byte> bytes);

  uint32_t version() const;
  const std::vector<Entry>& metadata() const;
  const std::vector<Tensor>& tensors() const;
  int64_t file_bytes() const;  // all parts
  // When the newest part was last written, nanoseconds since 1970; 0 in memory.
  int64_t modified_ns() const;
  // Of the tensors' names and of bytes at both ends of each: tells models
  // apart. Reading the weights whole would delay every start.
  uint64_t SampleHash() const;
  // Part of a tensor's data will not be read soon: its memory may go. Does
  // nothing for what is not mapped.
  void Forget(std::span<const std::byte> data) const;
  const std::string& path() const;

  const Value* Find(std::string_view key) const;  // null if absent
  const Tensor* FindTensor(std::string_view name) const;

  // Typed access. kCorrupt naming the key if it is absent (no fallback given)
  // or has another type; an integer must fit.
  Result<int64_t> Int(std::string_view key) const;
  Result<int64_t> Int(std::string_view key, int64_t fallback) const;
  Result<double> Float(std::string_view key) const;
  Result<double> Float(std::string_view key, double fallback) const;
  Result<bool> Bool(std::string_view key, bool fallback) const;
  Result<std::string> String(std::string_view key) const;
  Result<std::string> String(std::string_view key,
                             std::string_view fallback) const;

 private:
  struct State;
  explicit File(std::shared_ptr<const State> state)
      : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace aio::gguf
