// SPDX-License-Identifier: Apache-2.0
#include "gguf/writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/atomic_file.h"
#include "gguf/parse.h"
#include "tensor/block_formats.h"

namespace aio::gguf {
namespace {

// What a thread generates before it is written: little memory, and large
// enough that starting the threads costs nothing.
constexpr size_t kChunkBytes = size_t{4} << 20;

Error Invalid(const std::string& what) {
  return {ErrorCode::kInvalidArgument, what, ""};
}

template <typename T>
void PutNumber(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutString(std::string_view text, std::string* out) {
  PutNumber(uint64_t{text.size()}, out);
  out->append(text);
}

template <typename T>
void PutScalar(const T& value, std::string* out) {
  if constexpr (std::is_same_v<T, std::string>) {
    PutString(value, out);
  } else if constexpr (std::is_same_v<T, bool>) {
    PutNumber(uint8_t{value}, out);
  } else {
    PutNumber(value, out);
  }
}

template <typename T>
constexpr ValueType TypeOf() {
  if (std::is_same_v<T, uint8_t>) return ValueType::kU8;
  if (std::is_same_v<T, int8_t>) return ValueType::kI8;
  if (std::is_same_v<T, uint16_t>) return ValueType::kU16;
  if (std::is_same_v<T, int16_t>) return ValueType::kI16;
  if (std::is_same_v<T, uint32_t>) return ValueType::kU32;
  if (std::is_same_v<T, int32_t>) return ValueType::kI32;
  if (std::is_same_v<T, uint64_t>) return ValueType::kU64;
  if (std::is_same_v<T, int64_t>) return ValueType::kI64;
  if (std::is_same_v<T, float>) return ValueType::kF32;
  if (std::is_same_v<T, double>) return ValueType::kF64;
  if (std::is_same_v<T, bool>) return ValueType::kBool;
  return ValueType::kString;
}

struct PutItem {
  std::string* out;

  template <typename T>
  void operator()(const T& value) const {
    PutNumber(TypeOf<T>(), out);
    PutScalar(value, out);
  }
  template <typename T>
  void operator()(const std::vector<T>& values) const {
    PutNumber(ValueType::kArray, out);
    PutNumber(TypeOf<T>(), out);
    PutNumber(uint64_t{values.size()}, out);
    for (const auto& value : values) PutScalar<T>(value, out);
  }
};

// As `Narrow` if all of `from` fit.
template <typename Narrow, typename Wide>
Item Converted(const std::vector<Wide>& from) {
  std::vector<Narrow> to;
  to.reserve(from.size());
  for (const Wide value : from) {
    to.push_back(static_cast<Narrow>(value));
    // What is not a number fits too.
    if (to.back() != value && value == value) return from;
  }
  return to;
}

struct ToItem {
  template <typename Narrow, typename Wide>
  static Item Scalar(Wide value) {
    const auto narrow = static_cast<Narrow>(value);
    if (narrow != value && value == value) return value;
    return narrow;
  }
  Item operator()(uint64_t v) const { return Scalar<uint32_t>(v); }
  Item operator()(int64_t v) const { return Scalar<int32_t>(v); }
  Item operator()(double v) const { return Scalar<float>(v); }
  Item operator()(bool v) const { return v; }
  Item operator()(std::string_view v) const { return std::string(v); }
  Item operator()(const Array& v) const { return std::visit(*this, v.items); }
  Item operator()(const std::vector<uint64_t>& v) const {
    return Converted<uint32_t>(v);
  }
  Item operator()(const std::vector<int64_t>& v) const {
    return Converted<int32_t>(v);
  }
  Item operator()(const std::vector<double>& v) const {
    return Converted<float>(v);
  }
  Item operator()(const std::vector<bool>& v) const { return v; }
  Item operator()(const std::vector<std::string_view>& v) const {
    return std::vector<std::string>(v.begin(), v.end());
  }
};

// The bytes of a tensor of this shape; kInvalidArgument if there is no such
// tensor.
Result<size_t> SizeOf(const std::string& name, DType type,
                      const std::vector<int64_t>& shape) {
  const auto traits = TraitsOf(type);
  if (!traits) return Invalid("tensor " + Quote(name) + ": " + NameOf(type));
  const std::string wrong = "tensor " + Quote(name) + " of type " +
                            std::string(traits->name) +
                            " cannot have this shape";
  if (shape.empty() || shape.size() > kMaxDimensions) return Invalid(wrong);
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 1 || __builtin_mul_overflow(elements, size, &elements) ||
        elements > std::numeric_limits<int64_t>::max() / 512) {
      return Invalid(wrong);  // a block has at most 292 bytes
    }
  }
  if (shape[0] % traits->block_elements != 0) return Invalid(wrong);
  return BytesFor(type, elements);
}

}  // namespace

Item ItemOf(const Value& value) { return std::visit(ToItem(), value); }

void Writer::Add(std::string key, Item value) {
  metadata_.emplace_back(std::move(key), std::move(value));
}

void Writer::AddTensor(std::string name, DType type, std::vector<int64_t> shape,
                       std::span<const std::byte> data) {
  tensors_.push_back({std::move(name), type, std::move(shape), data, {}, {}});
}

void Writer::AddGenerated(std::string name, DType type,
                          std::vector<int64_t> shape, Fill fill) {
  tensors_.push_back(
      {std::move(name), type, std::move(shape), {}, {}, std::move(fill)});
}

void Writer::AddFloats(std::string name, DType type, std::vector<int64_t> shape,
                       std::span<const float> values) {
  Record record{std::move(name), type, std::move(shape), {}, {}, {}};
  const auto bytes = SizeOf(record.name, type, record.shape);
  const auto traits = TraitsOf(type);
  // If anything is wrong the record stays empty, which Write reports.
  if (bytes && IsComputable(type) &&
      values.size() % traits->block_elements == 0 &&
      *bytes == BytesFor(type, static_cast<int64_t>(values.size()))) {
    record.owned.resize(*bytes);
    EncodeRow(type, values, record.owned);
  }
  tensors_.push_back(std::move(record));
}

size_t Writer::Padding(size_t size) const {
  return (options_.alignment - size % options_.alignment) % options_.alignment;
}

Result<std::string> Writer::Header() const {
  if (options_.alignment == 0 || options_.alignment > kMaxAlignment) {
    return Invalid("alignment " + std::to_string(options_.alignment));
  }
  auto metadata = metadata_;
  if (options_.alignment != kDefaultAlignment) {
    metadata.emplace_back("general.alignment", options_.alignment);
  }
  std::string out(kMagic, sizeof(kMagic));
  PutNumber(options_.version, &out);
  PutNumber(uint64_t{tensors_.size()}, &out);
  PutNumber(uint64_t{metadata.size()}, &out);
  for (const auto& [key, item] : metadata) {
    PutString(key, &out);
    std::visit(PutItem{&out}, item);
  }
  uint64_t offset = 0;
  for (const Record& tensor : tensors_) {
    ASSIGN_OR_RETURN(const size_t bytes,
                     SizeOf(tensor.name, tensor.type, tensor.shape));
    if (!tensor.fill && tensor.data().size() != bytes) {
      return Invalid("tensor " + Quote(tensor.name) +
                     " was given another size than its shape has");
    }
    PutString(tensor.name, &out);
    PutNumber(static_cast<uint32_t>(tensor.shape.size()), &out);
    for (const int64_t size : tensor.shape) PutNumber(size, &out);
    PutNumber(tensor.type, &out);
    PutNumber(offset, &out);
    offset += bytes + Padding(bytes);
  }
  // What File would refuse is refused here, by the same code.
  const auto alignment = CheckHeader(std::as_bytes(std::span(out)));
  if (!alignment) return Invalid(alignment.error().message);
  if (*alignment != options_.alignment) {
    return Invalid("general.alignment is set by Options::alignment");
  }
  return out;
}

Result<void> Writer::EmitGenerated(const Record& tensor, ThreadPool* pool,
                                   const Put& put) const {
  ASSIGN_OR_RETURN(const size_t bytes,
                   SizeOf(tensor.name, tensor.type, tensor.shape));
  const auto block = static_cast<size_t>(TraitsOf(tensor.type)->block_bytes);
  const auto total = static_cast<int64_t>(bytes / block);
  const int threads = pool == nullptr ? 1 : pool->threads();
  const int64_t step =
      std::min(total, threads * static_cast<int64_t>(kChunkBytes / block));
  std::vector<std::byte> buffer(static_cast<size_t>(step) * block);
  for (int64_t first = 0; first < total; first += step) {
    const int64_t count = std::min(step, total - first);
    const auto fill = [&](int thread) {
      const Range share = Share(count, thread, threads);
      if (share.size() == 0) return;
      tensor.fill(
          first + share.begin,
          std::span(buffer).subspan(static_cast<size_t>(share.begin) * block,
                                    static_cast<size_t>(share.size()) * block));
    };
    if (pool == nullptr) {
      fill(0);
    } else {
      pool->Run(fill);
    }
    RETURN_IF_ERROR(
        put(std::span(buffer).first(static_cast<size_t>(count) * block)));
  }
  return {};
}

Result<void> Writer::Emit(ThreadPool* pool, const Put& put) const {
  ASSIGN_OR_RETURN(const std::string header, Header());
  const std::vector<std::byte> zeros(options_.alignment);
  const auto pad = [&](size_t size) {
    return put(std::span(zeros).first(Padding(size)));
  };
  RETURN_IF_ERROR(put(std::as_bytes(std::span(header))));
  if (!tensors_.empty()) RETURN_IF_ERROR(pad(header.size()));
  for (const Record& tensor : tensors_) {
    ASSIGN_OR_RETURN(const size_t bytes,
                     SizeOf(tensor.name, tensor.type, tensor.shape));
    RETURN_IF_ERROR(tensor.fill ? EmitGenerated(tensor, pool, put)
                                : put(tensor.data()));
    RETURN_IF_ERROR(pad(bytes));
  }
  return {};
}

Result<void> Writer::Write(const std::string& path,
                           const WriteOptions& options) const {
  ASSIGN_OR_RETURN(auto file, AtomicFile::Create(path));
  RETURN_IF_ERROR(Emit(options.pool, [&](auto bytes) -> Result<void> {
    RETURN_IF_ERROR(file.Append(bytes));
    if (options.wrote) options.wrote(bytes.size());
    return {};
  }));
  return file.Commit();
}

Result<std::vector<std::byte>> Writer::Serialize() const {
  std::vector<std::byte> out;
  RETURN_IF_ERROR(Emit(nullptr, [&](std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return Result<void>();
  }));
  return out;
}

Result<int64_t> Writer::Bytes() const {
  ASSIGN_OR_RETURN(const std::string header, Header());
  size_t total = header.size();
  if (!tensors_.empty()) total += Padding(total);
  for (const Record& tensor : tensors_) {
    ASSIGN_OR_RETURN(const size_t bytes,
                     SizeOf(tensor.name, tensor.type, tensor.shape));
    total += bytes + Padding(bytes);
  }
  return static_cast<int64_t>(total);
}

}  // namespace aio::gguf
