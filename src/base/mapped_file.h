// SPDX-License-Identifier: Apache-2.0
//
// A whole regular file, mapped read-only. Mapping instead of reading: a model
// larger than the free memory still opens at once, and two processes share it.
//
// The price, which nothing in this process can lower: if another program
// shortens the file while it is mapped, touching the lost pages is SIGBUS.
// Replace model files by rename, never in place (gguf::Writer does).
//
// Thread safety: const after Open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace aio {

class MappedFile {
 public:
  // kNotFound; kDenied; kInvalidArgument if it is not a regular file (a pipe
  // or a directory; never blocks on one); kUnavailable for the rest.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Page-aligned; empty for an empty file. The address survives moves.
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // When the file was last written, nanoseconds since 1970.
  int64_t modified_ns() const { return modified_ns_; }
  // Lets go of the memory of whole pages within `part`; they are read from the
  // file again when touched. REQUIRES: part lies within bytes().
  void Forget(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::byte* data, size_t size, int64_t modified_ns)
      : data_(data), size_(size), modified_ns_(modified_ns) {}

  const std::byte* data_;
  size_t size_;
  int64_t modified_ns_;
};

}  // namespace aio
