// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one GGUF file (one part of a split one) to its metadata and
// tensor table. The bytes are hostile: every count is compared with the bytes
// that are left before anything is allocated or read.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace aio::gguf {

// Numbers of the metadata value types and limits of the file format.
enum class ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

inline constexpr char kMagic[4] = {'G', 'G', 'U', 'F'};
inline constexpr size_t kDefaultAlignment = 32;
inline constexpr size_t kMaxAlignment = 1 << 16;
inline constexpr size_t kMaxKeyBytes = 65535;       // by the specification
inline constexpr size_t kMaxTensorNameBytes = 128;  // the specification: 64
inline constexpr size_t kMaxDimensions = 4;
// Ours, far above any real file: they bound what a small header, or a large
// sparse file, can make us allocate (about 0.5 GiB).
inline constexpr size_t kMaxKeys = 1 << 16;
inline constexpr size_t kMaxTensors = 1 << 20;
inline constexpr size_t kMaxArrayItems = 1 << 24;  // in all arrays together

// One file's contents; views into its bytes.
struct Part {
  uint32_t version = 0;
  std::vector<Entry> metadata;
  std::vector<uint32_t> by_key;  // indices of metadata, sorted by key
  std::vector<Tensor> tensors;   // names may repeat: File checks all parts

  const Value* Find(std::string_view key) const;
};

// kCorrupt or kUnsupported; the message says what is wrong at which offset.
Result<Part> ParsePart(std::span<const std::byte> bytes);

// Checks all that comes before the tensors' bytes and that `header` ends
// there; the alignment of the tensors.
Result<size_t> CheckHeader(std::span<const std::byte> header);

// A name from a file as it may appear in a message: quoted, shortened, and
// with anything unprintable replaced.
std::string Quote(std::string_view name, size_t bytes_max = 80);

std::vector<std::string_view> NamesOf(const std::vector<Tensor>& tensors);

// Indices of `names`, sorted by name; kCorrupt if one occurs twice (`kind`
// says of what). A sorted list and not a hash table, so that no choice of
// names makes it slow.
Result<std::vector<uint32_t>> SortByName(
    const std::vector<std::string_view>& names, std::string_view kind);

}  // namespace aio::gguf
