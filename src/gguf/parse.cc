// SPDX-License-Identifier: Apache-2.0
#include "gguf/parse.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "base/utf8.h"

namespace aio::gguf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF is read by memcpy; a big-endian host needs swaps here");

// Control characters, the second set too, which a terminal may obey.
bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

bool IsPrintable(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeUtf8(text, i);
    if (!c.valid || IsControl(c.value)) return false;
    i += c.size;
  }
  return true;
}

// Reads forward through bytes that may end anywhere.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  Error Corrupt(const std::string& what) const {
    return {ErrorCode::kCorrupt, what + " at byte " + std::to_string(at_), ""};
  }

  // `what` names the item in the message about a file that ends too early.
  Result<std::span<const std::byte>> Bytes(uint64_t count, const char* what) {
    if (count > left()) {
      return Corrupt("the file ends inside " + std::string(what) + " (" +
                     std::to_string(count) + " bytes needed, " +
                     std::to_string(left()) + " left)");
    }
    const auto bytes = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += bytes.size();
    return bytes;
  }

  template <typename T>
  Result<T> Number(const char* what) {
    ASSIGN_OR_RETURN(const auto bytes, Bytes(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  Result<std::string_view> String(const char* what) {
    ASSIGN_OR_RETURN(const auto length, Number<uint64_t>(what));
    ASSIGN_OR_RETURN(const auto bytes, Bytes(length, what));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()),
                            bytes.size());
  }

  // A key or a tensor's name: not empty, bounded, printable.
  Result<std::string_view> Name(const char* what, size_t bytes_max) {
    const size_t start = at_;
    ASSIGN_OR_RETURN(const auto name, String(what));
    const bool printable = IsPrintable(name);
    if (!name.empty() && name.size() <= bytes_max && printable) return name;
    at_ = start;
    if (name.empty()) return Corrupt(std::string(what) + " is empty");
    if (!printable) return Corrupt(std::string(what) + " is not text");
    return Corrupt(std::string(what) + " is longer than " +
                   std::to_string(bytes_max) + " bytes");
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

bool IsTrueOrFalse(std::byte b) {
  return b == std::byte{0} || b == std::byte{1};
}

// The type that numbers of type T widen to.
template <typename T>
using Wide = std::conditional_t<
    std::is_floating_point_v<T>, double,
    std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

// The readers of values write into the entry instead of returning a
// Result<Value>: GCC 12 warns falsely about moves of such a variant.
template <typename T>
Result<void> ReadNumber(Cursor* cursor, Value* out) {
  ASSIGN_OR_RETURN(const T value, cursor->Number<T>("a metadata value"));
  *out = Wide<T>{value};
  return {};
}

Result<void> ReadBool(Cursor* cursor, Value* out) {
  ASSIGN_OR_RETURN(const auto byte,
                   cursor->Number<std::byte>("a metadata value"));
  if (!IsTrueOrFalse(byte)) {
    return cursor->Corrupt("a boolean that is neither 0 nor 1 before");
  }
  *out = byte == std::byte{1};
  return {};
}

Result<void> ReadString(Cursor* cursor, Value* out) {
  ASSIGN_OR_RETURN(*out, cursor->String("a metadata string"));
  return {};
}

template <typename T>
Result<Array> ReadNumbers(Cursor* cursor, size_t count) {
  // `count` is at most kMaxArrayItems, so the product is small.
  ASSIGN_OR_RETURN(const auto bytes,
                   cursor->Bytes(count * sizeof(T), "a metadata array"));
  std::vector<Wide<T>> items(count);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    items[i] = value;
  }
  return Array{std::move(items)};
}

Result<Array> ReadBools(Cursor* cursor, size_t count) {
  ASSIGN_OR_RETURN(const auto bytes, cursor->Bytes(count, "a metadata array"));
  if (!std::all_of(bytes.begin(), bytes.end(), IsTrueOrFalse)) {
    return cursor->Corrupt("a boolean that is neither 0 nor 1 before");
  }
  std::vector<bool> items(count);
  std::transform(bytes.begin(), bytes.end(), items.begin(),
                 [](std::byte b) { return b == std::byte{1}; });
  return Array{std::move(items)};
}

Result<Array> ReadStrings(Cursor* cursor, size_t count) {
  if (count > cursor->left() / sizeof(uint64_t)) {  // each has its length
    return cursor->Corrupt("an array of " + std::to_string(count) +
                           " strings does not fit in the file");
  }
  std::vector<std::string_view> items(count);
  for (auto& item : items) {
    ASSIGN_OR_RETURN(item, cursor->String("a string of a metadata array"));
  }
  return Array{std::move(items)};
}

Error UnknownType(const Cursor& cursor, ValueType type) {
  return cursor.Corrupt("unknown metadata value type " +
                        std::to_string(static_cast<uint32_t>(type)) +
                        " before");
}

Result<Array> ReadItems(Cursor* cursor, ValueType type, size_t count) {
  switch (type) {
    case ValueType::kU8:
      return ReadNumbers<uint8_t>(cursor, count);
    case ValueType::kI8:
      return ReadNumbers<int8_t>(cursor, count);
    case ValueType::kU16:
      return ReadNumbers<uint16_t>(cursor, count);
    case ValueType::kI16:
      return ReadNumbers<int16_t>(cursor, count);
    case ValueType::kU32:
      return ReadNumbers<uint32_t>(cursor, count);
    case ValueType::kI32:
      return ReadNumbers<int32_t>(cursor, count);
    case ValueType::kU64:
      return ReadNumbers<uint64_t>(cursor, count);
    case ValueType::kI64:
      return ReadNumbers<int64_t>(cursor, count);
    case ValueType::kF32:
      return ReadNumbers<float>(cursor, count);
    case ValueType::kF64:
      return ReadNumbers<double>(cursor, count);
    case ValueType::kBool:
      return ReadBools(cursor, count);
    case ValueType::kString:
      return ReadStrings(cursor, count);
    case ValueType::kArray:
      return Error{ErrorCode::kUnsupported,
                   "a metadata array of arrays before byte " +
                       std::to_string(cursor->at()),
                   ""};
  }
  return UnknownType(*cursor, type);
}

Result<void> ReadArray(Cursor* cursor, size_t* items_left, Value* out) {
  ASSIGN_OR_RETURN(const auto type,
                   cursor->Number<ValueType>("a metadata array's type"));
  ASSIGN_OR_RETURN(const auto count,
                   cursor->Number<uint64_t>("a metadata array's length"));
  // Nothing takes less than a byte, so this also refuses what cannot fit.
  if (count > cursor->left()) {
    return cursor->Corrupt("an array of " + std::to_string(count) +
                           " items does not fit in the file");
  }
  if (count > *items_left) {
    return Error{ErrorCode::kUnsupported,
                 "more than " + std::to_string(kMaxArrayItems) +
                     " metadata array items before byte " +
                     std::to_string(cursor->at()),
                 ""};
  }
  *items_left -= static_cast<size_t>(count);
  ASSIGN_OR_RETURN(*out, ReadItems(cursor, type, static_cast<size_t>(count)));
  return {};
}

Result<void> ReadValue(Cursor* cursor, ValueType type, size_t* items_left,
                       Value* out) {
  switch (type) {
    case ValueType::kU8:
      return ReadNumber<uint8_t>(cursor, out);
    case ValueType::kI8:
      return ReadNumber<int8_t>(cursor, out);
    case ValueType::kU16:
      return ReadNumber<uint16_t>(cursor, out);
    case ValueType::kI16:
      return ReadNumber<int16_t>(cursor, out);
    case ValueType::kU32:
      return ReadNumber<uint32_t>(cursor, out);
    case ValueType::kI32:
      return ReadNumber<int32_t>(cursor, out);
    case ValueType::kU64:
      return ReadNumber<uint64_t>(cursor, out);
    case ValueType::kI64:
      return ReadNumber<int64_t>(cursor, out);
    case ValueType::kF32:
      return ReadNumber<float>(cursor, out);
    case ValueType::kF64:
      return ReadNumber<double>(cursor, out);
    case ValueType::kBool:
      return ReadBool(cursor, out);
    case ValueType::kString:
      return ReadString(cursor, out);
    case ValueType::kArray:
      return ReadArray(cursor, items_left, out);
  }
  return UnknownType(*cursor, type);
}

Result<void> ReadMetadata(Cursor* cursor, uint64_t count, Part* part) {
  // No reserve by `count`, which may lie; growth stops where the bytes end.
  size_t items_left = kMaxArrayItems;
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const auto key,
                     cursor->Name("a metadata key", kMaxKeyBytes));
    ASSIGN_OR_RETURN(const auto type,
                     cursor->Number<ValueType>("a metadata value's type"));
    Entry& entry = part->metadata.emplace_back();
    entry.key = key;
    auto read = ReadValue(cursor, type, &items_left, &entry.value);
    if (!read) {
      Error error = std::move(read).error();
      error.message = "metadata " + Quote(key) + ": " + error.message;
      return error;
    }
  }
  std::vector<std::string_view> keys;
  keys.reserve(part->metadata.size());
  for (const Entry& entry : part->metadata) keys.push_back(entry.key);
  ASSIGN_OR_RETURN(part->by_key, SortByName(keys, "metadata key"));
  return {};
}

Result<size_t> AlignmentOf(const Part& part) {
  const Value* value = part.Find("general.alignment");
  if (value == nullptr) return kDefaultAlignment;
  const uint64_t* number = std::get_if<uint64_t>(value);
  // At least 8, as the specification has it: floats of a tensor that begins at
  // an odd address could not be read in place.
  if (number == nullptr || *number < 8 || *number > kMaxAlignment ||
      !std::has_single_bit(*number)) {
    return Error{ErrorCode::kCorrupt,
                 "general.alignment is not a power of two between 8 and " +
                     std::to_string(kMaxAlignment),
                 ""};
  }
  return static_cast<size_t>(*number);
}

// Where a tensor's bytes are, relative to the data section.
struct Extent {
  uint64_t offset;
  uint64_t bytes;
};

// The bytes of a tensor of this shape; every product is checked.
Result<uint64_t> SizeOf(const Tensor& tensor, const Cursor& cursor) {
  const auto corrupt = [&](const std::string& what) {
    return cursor.Corrupt("tensor " + Quote(tensor.name) + " " + what +
                          ", before");
  };
  const auto traits = TraitsOf(tensor.type);
  if (!traits) {
    return Error{
        ErrorCode::kUnsupported,
        "tensor " + Quote(tensor.name) + " has unknown " + NameOf(tensor.type),
        ""};
  }
  int64_t elements = 1;
  for (const int64_t size : tensor.shape) {
    if (size < 1) return corrupt("has a dimension below 1 or above 2^63 - 1");
    if (__builtin_mul_overflow(elements, size, &elements)) {
      return corrupt("has too many elements");
    }
  }
  if (tensor.shape[0] % traits->block_elements != 0) {
    return corrupt("has rows that are no multiple of a " +
                   std::string(traits->name) + " block");
  }
  uint64_t bytes;
  if (__builtin_mul_overflow(
          static_cast<uint64_t>(elements / traits->block_elements),
          static_cast<uint64_t>(traits->block_bytes), &bytes)) {
    return corrupt("has too many elements");
  }
  return bytes;
}

Result<Extent> ReadTensor(Cursor* cursor, Tensor* tensor) {
  ASSIGN_OR_RETURN(tensor->name,
                   cursor->Name("a tensor's name", kMaxTensorNameBytes));
  ASSIGN_OR_RETURN(const auto dimensions,
                   cursor->Number<uint32_t>("a tensor's dimensions"));
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    return cursor->Corrupt("tensor " + Quote(tensor->name) + " has " +
                           std::to_string(dimensions) +
                           " dimensions (1 to 4 are possible), before");
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    ASSIGN_OR_RETURN(const auto size,
                     cursor->Number<int64_t>("a tensor's shape"));
    tensor->shape.push_back(size);
  }
  ASSIGN_OR_RETURN(tensor->type, cursor->Number<DType>("a tensor's type"));
  ASSIGN_OR_RETURN(const auto offset,
                   cursor->Number<uint64_t>("a tensor's offset"));
  ASSIGN_OR_RETURN(const auto bytes, SizeOf(*tensor, *cursor));
  return Extent{offset, bytes};
}

Error BadTensor(const Tensor& tensor, const Extent& extent,
                const std::string& what) {
  return {ErrorCode::kCorrupt,
          "tensor " + Quote(tensor.name) + " (" + std::to_string(extent.bytes) +
              " bytes at offset " + std::to_string(extent.offset) + ") " + what,
          ""};
}

// REQUIRES: each extent lies in the data section, so sums do not overflow.
Result<void> CheckOverlap(const std::vector<Tensor>& tensors,
                          const std::vector<Extent>& extents) {
  std::vector<uint32_t> order(extents.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return extents[a].offset < extents[b].offset;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const Extent& before = extents[order[i - 1]];
    if (before.offset + before.bytes > extents[order[i]].offset) {
      return BadTensor(tensors[order[i]], extents[order[i]],
                       "overlaps tensor " + Quote(tensors[order[i - 1]].name));
    }
  }
  return {};
}

Result<void> PlaceTensors(std::span<const std::byte> bytes, size_t header_end,
                          const std::vector<Extent>& extents, Part* part) {
  if (extents.empty()) return {};  // a vocabulary: may end without a section
  ASSIGN_OR_RETURN(const size_t alignment, AlignmentOf(*part));
  const size_t start = (header_end + alignment - 1) / alignment * alignment;
  const size_t section = start < bytes.size() ? bytes.size() - start : 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    const Extent& extent = extents[i];
    Tensor& tensor = part->tensors[i];
    if (extent.offset > section || extent.bytes > section - extent.offset) {
      return BadTensor(tensor, extent,
                       "ends outside the file, whose tensor data has " +
                           std::to_string(section) +
                           " bytes: is the file complete?");
    }
    if (extent.offset % alignment != 0) {
      return BadTensor(tensor, extent,
                       "is not aligned to " + std::to_string(alignment));
    }
    tensor.data = bytes.subspan(start + static_cast<size_t>(extent.offset),
                                static_cast<size_t>(extent.bytes));
  }
  return CheckOverlap(part->tensors, extents);
}

Result<uint32_t> ReadVersion(Cursor* cursor) {
  ASSIGN_OR_RETURN(const auto magic, cursor->Bytes(4, "the magic number"));
  if (std::memcmp(magic.data(), kMagic, 4) != 0) {
    return Error{ErrorCode::kCorrupt,
                 "not a GGUF file: it does not begin with \"GGUF\"", ""};
  }
  ASSIGN_OR_RETURN(const auto version, cursor->Number<uint32_t>("the version"));
  if (version == 2 || version == 3) return version;
  const std::string what = (version & 0xFFFF) == 0 && version != 0
                               ? "a big-endian GGUF file"
                               : "GGUF version " + std::to_string(version);
  return Error{ErrorCode::kUnsupported,
               what + " (little-endian versions 2 and 3 are supported)", ""};
}

// All that comes before the tensors' bytes; where they are said to be.
Result<std::vector<Extent>> ReadHeader(Cursor* cursor, Part* part) {
  ASSIGN_OR_RETURN(part->version, ReadVersion(cursor));
  ASSIGN_OR_RETURN(const auto tensors,
                   cursor->Number<uint64_t>("the tensor count"));
  ASSIGN_OR_RETURN(const auto keys,
                   cursor->Number<uint64_t>("the metadata count"));
  // The smallest entry has 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4
  // + 8 + 4 + 8.
  if (keys > kMaxKeys || keys > cursor->left() / 14) {
    return cursor->Corrupt("impossible metadata count " + std::to_string(keys) +
                           " before");
  }
  if (tensors > kMaxTensors || tensors > cursor->left() / 33) {
    return cursor->Corrupt("impossible tensor count " +
                           std::to_string(tensors) + " before");
  }
  RETURN_IF_ERROR(ReadMetadata(cursor, keys, part));
  std::vector<Extent> extents;
  for (uint64_t i = 0; i < tensors; ++i) {
    Tensor& tensor = part->tensors.emplace_back();
    ASSIGN_OR_RETURN(const Extent extent, ReadTensor(cursor, &tensor));
    extents.push_back(extent);
  }
  return extents;
}

}  // namespace

const Value* Part::Find(std::string_view key) const {
  const auto at = std::lower_bound(
      by_key.begin(), by_key.end(), key,
      [&](uint32_t i, std::string_view k) { return metadata[i].key < k; });
  if (at == by_key.end() || metadata[*at].key != key) return nullptr;
  return &metadata[*at].value;
}

Result<Part> ParsePart(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  Part part;
  ASSIGN_OR_RETURN(const auto extents, ReadHeader(&cursor, &part));
  RETURN_IF_ERROR(PlaceTensors(bytes, cursor.at(), extents, &part));
  return part;
}

Result<size_t> CheckHeader(std::span<const std::byte> header) {
  Cursor cursor(header);
  Part part;
  RETURN_IF_ERROR(ReadHeader(&cursor, &part));
  if (cursor.left() != 0) return cursor.Corrupt("the header does not end");
  RETURN_IF_ERROR(SortByName(NamesOf(part.tensors), "tensor"));
  return AlignmentOf(part);
}

std::vector<std::string_view> NamesOf(const std::vector<Tensor>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const Tensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

std::string Quote(std::string_view name, size_t bytes_max) {
  std::string text = "'";
  size_t i = 0;
  while (i < name.size() && i < bytes_max) {
    const CodePoint c = DecodeUtf8(name, i);
    if (c.valid && IsControl(c.value)) {
      text += '?';
    } else {
      AppendUtf8(c.value, &text);  // U+FFFD for what is not UTF-8
    }
    i += c.size;
  }
  return text + (i < name.size() ? "…'" : "'");
}

Result<std::vector<uint32_t>> SortByName(
    const std::vector<std::string_view>& names, std::string_view kind) {
  std::vector<uint32_t> order(names.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return names[a] < names[b]; });
  const auto twice = std::adjacent_find(
      order.begin(), order.end(),
      [&](uint32_t a, uint32_t b) { return names[a] == names[b]; });
  if (twice == order.end()) return order;
  return Error{ErrorCode::kCorrupt,
               std::string(kind) + " " + Quote(names[*twice]) + " occurs twice",
               ""};
}

}  // namespace aio::gguf
