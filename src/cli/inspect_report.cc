// SPDX-License-Identifier: Apache-2.0
#include "cli/inspect_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <cmath>
#include <iterator>
#include <map>
#include <type_traits>
#include <variant>

#include "base/utf8.h"
#include "gguf/parse.h"
#include "model/weights.h"

namespace aio::cli {
namespace {

namespace json = boost::json;
using gguf::Array;
using gguf::Entry;
using gguf::File;
using gguf::Tensor;
using gguf::Value;

constexpr size_t kItemsInText = 4;
constexpr size_t kItemsInJson = 16;
constexpr size_t kTextBytes = 60;  // of a string in the summary

template <typename... Args>
void Line(std::string* out, fmt::format_string<Args...> format,
          Args&&... args) {
  fmt::format_to(std::back_inserter(*out), format, std::forward<Args>(args)...);
  out->push_back('\n');
}

std::string HumanBytes(int64_t bytes) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(units)) {
    size /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes)
                   : fmt::format("{:.1f} {}", size, units[unit]);
}

// What tensors of one type take together.
struct TypeTotal {
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

// Residuals of a nested matrix (docs/nest.md): more bits of weights that are
// counted already.
bool IsResidual(const File& file, const Tensor& tensor) {
  return file.Find(model::kNestKey) != nullptr && tensor.type == DType::kI8 &&
         tensor.name.ends_with(model::kNestSuffix);
}

int64_t ResidualsOf(const File& file) {
  return std::ranges::count_if(
      file.tensors(), [&](const Tensor& t) { return IsResidual(file, t); });
}

int64_t ParametersOf(const File& file) {
  int64_t sum = 0;
  for (const Tensor& t : file.tensors()) {
    if (!IsResidual(file, t)) sum += t.elements();
  }
  return sum;
}

// By the number of the type, so that the order is the same every time.
std::map<DType, TypeTotal> TotalsOf(const File& file) {
  std::map<DType, TypeTotal> totals;
  for (const Tensor& tensor : file.tensors()) {
    TypeTotal& total = totals[tensor.type];
    ++total.tensors;
    // No sum can overflow: tensors do not overlap, all bytes are mapped (so
    // fewer than 2^57) and no type packs 8 elements into a byte.
    total.elements += tensor.elements();
    total.bytes += static_cast<int64_t>(tensor.data.size());
  }
  return totals;
}

TypeTotal SumOf(const std::map<DType, TypeTotal>& totals) {
  TypeTotal sum;
  for (const auto& [type, total] : totals) {
    sum.tensors += total.tensors;
    sum.elements += total.elements;
    sum.bytes += total.bytes;
  }
  return sum;
}

template <typename T>
std::string ShowScalar(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return gguf::Quote(value, kTextBytes);
  } else if constexpr (std::is_same_v<T, double>) {
    return fmt::format("{:g}", value);  // most were floats: 1e-05
  } else {
    return fmt::format("{}", value);
  }
}

std::string ShowArray(const Array& array) {
  std::string text = fmt::format("{} items: [", array.size());
  std::visit(
      [&](const auto& items) {
        using T = typename std::decay_t<decltype(items)>::value_type;
        for (size_t i = 0; i < std::min(items.size(), kItemsInText); ++i) {
          text += (i > 0 ? ", " : "") + ShowScalar<T>(items[i]);
        }
      },
      array.items);
  return text + (array.size() > kItemsInText ? ", …]" : "]");
}

std::string Show(const Value& value) {
  if (const auto* array = std::get_if<Array>(&value)) return ShowArray(*array);
  return std::visit(
      [](const auto& scalar) -> std::string {
        using T = std::decay_t<decltype(scalar)>;
        if constexpr (std::is_same_v<T, Array>) {
          return "";
        } else {
          return ShowScalar(scalar);
        }
      },
      value);
}

// The key's value as text, or `absent`.
std::string ShowKey(const File& file, std::string_view key,
                    const char* absent = "not given") {
  const Value* value = file.Find(key);
  return value == nullptr ? absent : Show(*value);
}

std::string ShapeOf(const Tensor& tensor) {
  std::string text;
  for (const int64_t size : tensor.shape) {
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  }
  return text;
}

void DescribeTypes(const File& file, std::string* out) {
  const auto totals = TotalsOf(file);
  const TypeTotal sum = SumOf(totals);
  if (totals.empty()) {
    Line(out, "tensors        none: a vocabulary only");
    return;
  }
  if (file.Find(model::kNestKey) != nullptr) {
    Line(out,
         "nested         {}: 4 bits and 8 of one copy; {} matrices of Q4_K "
         "with residuals, Q8_0 in halves",
         ShowKey(file, model::kNestKey), ResidualsOf(file));
  }
  Line(out, "parameters     {}\n", ParametersOf(file));
  Line(out, "{:<8} {:>7} {:>15} {:>15}  share", "type", "tensors", "elements",
       "bytes");
  std::string refused;
  for (const auto& [type, total] : totals) {
    Line(out, "{:<8} {:>7} {:>15} {:>15} {:>5.1f} %", NameOf(type),
         total.tensors, total.elements, total.bytes,
         100.0 * static_cast<double>(total.bytes) /
             static_cast<double>(sum.bytes));
    const bool residuals = type == DType::kI8 && ResidualsOf(file) > 0;
    if (!IsComputable(type) && !residuals) {
      refused += (refused.empty() ? "" : ", ") + NameOf(type);
    }
  }
  Line(out, "{:<8} {:>7} {:>15} {:>15}", "all", sum.tensors, sum.elements,
       sum.bytes);
  if (!refused.empty()) {
    Line(out, "This build cannot compute with {}.", refused);
  }
}

// One token's id and text, where the file names one.
void DescribeToken(const File& file, const char* label, std::string_view key,
                   std::string* out) {
  const auto id = file.Int(key);
  if (!id) return;
  std::string text = "outside the vocabulary";
  if (const Value* value = file.Find("tokenizer.ggml.tokens")) {
    const auto* array = std::get_if<Array>(value);
    const auto* tokens =
        array == nullptr
            ? nullptr
            : std::get_if<std::vector<std::string_view>>(&array->items);
    if (tokens != nullptr && *id >= 0 &&
        static_cast<uint64_t>(*id) < tokens->size()) {
      text = gguf::Quote((*tokens)[static_cast<size_t>(*id)]);
    }
  }
  Line(out, "{:<14} {} {}", label, *id, text);
}

void DescribeTokenizer(const File& file, std::string* out) {
  const Value* tokens = file.Find("tokenizer.ggml.tokens");
  const auto* array = tokens ? std::get_if<Array>(tokens) : nullptr;
  Line(out, "tokenizer      {}, pre-tokenizer {}, {} tokens",
       ShowKey(file, "tokenizer.ggml.model"),
       ShowKey(file, "tokenizer.ggml.pre"), array ? array->size() : 0);
  DescribeToken(file, "  begin", "tokenizer.ggml.bos_token_id", out);
  DescribeToken(file, "  end", "tokenizer.ggml.eos_token_id", out);
  DescribeToken(file, "  end of turn", "tokenizer.ggml.eot_token_id", out);
  const auto chat = file.String("tokenizer.chat_template");
  Line(out, "chat template  {}",
       chat ? fmt::format("yes, {} bytes", chat->size()) : "no");
}

template <typename T>
json::value ScalarToJson(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return json::value(ReplaceInvalidUtf8(value));
  } else if constexpr (std::is_same_v<T, double>) {
    return std::isfinite(value) ? json::value(value) : json::value(nullptr);
  } else {
    return json::value(value);
  }
}

json::value ArrayToJson(const Array& array, bool full) {
  const size_t shown =
      full ? array.size() : std::min(array.size(), kItemsInJson);
  json::array items;
  items.reserve(shown);
  std::visit(
      [&](const auto& list) {
        using T = typename std::decay_t<decltype(list)>::value_type;
        for (size_t i = 0; i < shown; ++i) {
          items.push_back(ScalarToJson<T>(list[i]));
        }
      },
      array.items);
  if (shown == array.size()) return items;
  return json::object{{"length", array.size()}, {"first", std::move(items)}};
}

json::value ToJson(const Value& value, bool full) {
  return std::visit(
      [&](const auto& item) -> json::value {
        using T = std::decay_t<decltype(item)>;
        if constexpr (std::is_same_v<T, Array>) {
          return ArrayToJson(item, full);
        } else {
          return ScalarToJson<T>(item);
        }
      },
      value);
}

// A key or tensor's name: bounded, and printable as the reader checked.
std::string ShowName(std::string_view name) {
  const std::string quoted = gguf::Quote(name);
  return quoted.substr(1, quoted.size() - 2);
}

// The keys of the architecture, or all others.
void DescribeMetadata(const File& file, bool of_architecture,
                      std::string* out) {
  const auto architecture = file.String("general.architecture");
  const std::string prefix = architecture ? *architecture + "." : "\n";
  Line(out, "\n{}", of_architecture ? "hyperparameters" : "other metadata");
  for (const Entry& entry : file.metadata()) {
    if (entry.key.starts_with(prefix) != of_architecture) continue;
    const std::string_view key =
        of_architecture ? entry.key.substr(prefix.size()) : entry.key;
    Line(out, "  {:<36} {}", ShowName(key), Show(entry.value));
  }
}

}  // namespace

std::string DescribeModel(const File& file, bool tensors) {
  std::string out;
  Line(&out, "file           {}", file.path());
  Line(&out, "format         GGUF version {}, {} ({} bytes)", file.version(),
       HumanBytes(file.file_bytes()), file.file_bytes());
  Line(&out, "architecture   {}", ShowKey(file, "general.architecture"));
  Line(&out, "name           {}", ShowKey(file, "general.name"));
  Line(&out, "license        {}", ShowKey(file, "general.license"));
  DescribeTokenizer(file, &out);
  DescribeTypes(file, &out);
  DescribeMetadata(file, true, &out);
  DescribeMetadata(file, false, &out);
  if (!tensors) return out;
  Line(&out, "\ntensors");
  for (const Tensor& tensor : file.tensors()) {
    Line(&out, "  {:<6} {:>12} bytes  {:<20} {}", NameOf(tensor.type),
         tensor.data.size(), ShapeOf(tensor), ShowName(tensor.name));
  }
  return out;
}

json::object ModelToJson(const File& file, bool full) {
  const auto totals = TotalsOf(file);
  const TypeTotal sum = SumOf(totals);
  json::object types;
  for (const auto& [type, total] : totals) {
    types[NameOf(type)] = {{"tensors", total.tensors},
                           {"elements", total.elements},
                           {"bytes", total.bytes},
                           {"computable", IsComputable(type)}};
  }
  json::object metadata;
  for (const Entry& entry : file.metadata()) {
    metadata[entry.key] = ToJson(entry.value, full);
  }
  json::array tensors;
  for (const Tensor& tensor : file.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", NameOf(tensor.type)},
                       {"shape", json::value_from(tensor.shape)},
                       {"bytes", tensor.data.size()}});
  }
  return {{"path", ReplaceInvalidUtf8(file.path())},
          {"version", file.version()},
          {"file_bytes", file.file_bytes()},
          {"parameters", ParametersOf(file)},
          {"residual_tensors", ResidualsOf(file)},
          {"tensor_bytes", sum.bytes},
          {"types", std::move(types)},
          {"metadata", std::move(metadata)},
          {"tensors", std::move(tensors)}};
}

}  // namespace aio::cli
