// SPDX-License-Identifier: Apache-2.0
#include "tools/safetensors.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "openai/json.h"
#include "tensor/block_formats.h"

namespace aio::tools {
namespace {

namespace json = boost::json;

constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference reader's
constexpr size_t kDimensionsMax = 4;
constexpr std::string_view kMetadataKey = "__metadata__";

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}

// The numbers of an array; nothing if one is negative or no number.
std::optional<std::vector<int64_t>> Naturals(const json::object& object,
                                             std::string_view key) {
  const json::value* value = openai::Find(object, key);
  const json::array* array = value ? value->if_array() : nullptr;
  if (array == nullptr) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const json::value& item : *array) {
    const auto n = openai::AsInteger(item);
    if (!n || *n < 0) return std::nullopt;
    numbers.push_back(*n);
  }
  return numbers;
}

Result<DType> TypeNamed(const std::string& tensor, std::string_view dtype) {
  if (dtype == "F32") return DType::kF32;
  if (dtype == "F16") return DType::kF16;
  if (dtype == "BF16") return DType::kBF16;
  return Error{ErrorCode::kUnsupported,
               "tensor " + tensor + " is of dtype '" + std::string(dtype) +
                   "'; only F32, F16 and BF16 can be read",
               ""};
}

// What one entry of the header describes, and where it begins.
Result<std::pair<size_t, SafeTensor>> ReadTensor(
    const std::string& name, const json::value& entry,
    std::span<const std::byte> data) {
  const json::object* object = entry.if_object();
  if (object == nullptr) return Corrupt("tensor " + name + " is no object");
  const auto shape = Naturals(*object, "shape");
  const auto place = Naturals(*object, "data_offsets");
  if (!shape || shape->empty() || shape->size() > kDimensionsMax || !place ||
      place->size() != 2) {
    return Corrupt("tensor " + name + " lacks a shape or data_offsets");
  }
  ASSIGN_OR_RETURN(const DType type,
                   TypeNamed(name, openai::StringAt(*object, "dtype")));
  int64_t elements = 1;
  for (const int64_t size : *shape) {
    if (size < 1 || __builtin_mul_overflow(elements, size, &elements) ||
        elements > (int64_t{1} << 50)) {
      return Corrupt("tensor " + name + " has an impossible shape");
    }
  }
  const auto begin = static_cast<uint64_t>((*place)[0]);
  const auto end = static_cast<uint64_t>((*place)[1]);
  if (begin > end || end > data.size()) {
    return Corrupt("tensor " + name + " ends at byte " + std::to_string(end) +
                   " of the data, which has " + std::to_string(data.size()));
  }
  if (end - begin != BytesFor(type, elements)) {
    return Corrupt("tensor " + name + " has " + std::to_string(end - begin) +
                   " bytes, but its shape takes " +
                   std::to_string(BytesFor(type, elements)));
  }
  return std::pair{begin,
                   SafeTensor{type, *shape, data.subspan(begin, end - begin)}};
}

}  // namespace

std::vector<float> SafeTensor::Floats() const {
  int64_t elements = 1;
  for (const int64_t size : shape) elements *= size;
  std::vector<float> values(static_cast<size_t>(elements));
  DecodeRow(type, data, values);
  return values;
}

Result<SafeTensors> ReadSafeTensors(std::span<const std::byte> file) {
  uint64_t header_bytes = 0;
  if (file.size() < sizeof(header_bytes)) return Corrupt("the file is empty");
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  file = file.subspan(sizeof(header_bytes));
  if (header_bytes > std::min<uint64_t>(kHeaderBytesMax, file.size())) {
    return Corrupt("the file ends inside its header of " +
                   std::to_string(header_bytes) + " bytes");
  }
  const auto data = file.subspan(header_bytes);
  const auto header = openai::ParseJson(
      {reinterpret_cast<const char*>(file.data()), header_bytes});
  if (!header) return Corrupt("its header: " + header.error().message);
  const json::object* object = header->if_object();
  if (object == nullptr) return Corrupt("its header is no object");
  SafeTensors tensors;
  std::map<size_t, std::string> places;  // by first byte
  for (const auto& [key, entry] : *object) {
    const std::string name(key);
    if (name == kMetadataKey) continue;
    ASSIGN_OR_RETURN(auto read, ReadTensor(name, entry, data));
    const auto other = places.emplace(read.first, name);
    if (!other.second) {
      return Corrupt("tensors " + other.first->second + " and " + name +
                     " overlap");
    }
    tensors.emplace(name, std::move(read.second));
  }
  size_t at = 0;
  for (const auto& [begin, name] : places) {
    if (begin != at) {
      return Corrupt("tensor " + name +
                     " does not begin where the one before it ends");
    }
    at += tensors.at(name).data.size();
  }
  if (at != data.size()) {
    return Corrupt("the file goes on after its last tensor");
  }
  return tensors;
}

}  // namespace aio::tools
