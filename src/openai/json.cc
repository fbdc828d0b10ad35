// SPDX-License-Identifier: Apache-2.0
#include "openai/json.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/parse_options.hpp>
#include <charconv>
#include <cmath>
#include <exception>

#include "base/utf8.h"

namespace aio::openai {
namespace {

namespace json = boost::json;

// What a character needs in a JSON string; empty if it stands as it is.
std::string_view Escape(unsigned char c, char (&buffer)[8]) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (c >= 0x20) return {};
  constexpr char kHex[] = "0123456789abcdef";
  const char text[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
  std::copy(std::begin(text), std::end(text), buffer);
  return {buffer, sizeof(text)};
}

template <typename Float>
void AppendShortest(Float value, std::string* out) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out->append(buffer, end.ptr);
}

// Boost.JSON reads 1e999 as infinity and 0e405 as no number, and would write
// both as what is not JSON. Depth is bounded by the parser.
bool NumbersAreFinite(const json::value& value) {
  if (const double* number = value.if_double()) return std::isfinite(*number);
  if (const json::array* array = value.if_array()) {
    return std::all_of(array->begin(), array->end(), NumbersAreFinite);
  }
  if (const json::object* object = value.if_object()) {
    return std::all_of(object->begin(), object->end(), [](const auto& entry) {
      return NumbersAreFinite(entry.value());
    });
  }
  return true;
}

}  // namespace

Result<json::value> ParseJson(std::string_view text) {
  if (!IsValidUtf8(text)) {
    return Error{ErrorCode::kInvalidArgument, "the JSON is not valid UTF-8",
                 ""};
  }
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  // Boost.JSON throws on sizes past its own limits (2 GiB).
  try {
    boost::system::error_code failed;
    json::value value =
        json::parse({text.data(), text.size()}, failed, {}, options);
    if (!failed && !NumbersAreFinite(value)) {
      return Error{ErrorCode::kInvalidArgument,
                   "the JSON has a number that is out of range", ""};
    }
    if (!failed) return value;
    return Error{ErrorCode::kInvalidArgument,
                 "the JSON cannot be parsed: " + failed.message(), ""};
  } catch (const std::exception& e) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string("the JSON cannot be parsed: ") + e.what(), ""};
  }
}

const json::value* Find(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<int64_t> AsInteger(const json::value& value) {
  if (const int64_t* i = value.if_int64()) return *i;
  if (const uint64_t* u = value.if_uint64()) {
    if (*u > INT64_MAX) return std::nullopt;
    return static_cast<int64_t>(*u);
  }
  if (const double* d = value.if_double()) {
    // 2^53: beyond it a double no longer tells neighbours apart.
    if (std::trunc(*d) == *d && std::fabs(*d) <= 0x1p53) {
      return static_cast<int64_t>(*d);
    }
  }
  return std::nullopt;
}

std::optional<double> AsNumber(const json::value& value) {
  if (const int64_t* i = value.if_int64()) return static_cast<double>(*i);
  if (const uint64_t* u = value.if_uint64()) return static_cast<double>(*u);
  if (const double* d = value.if_double(); d != nullptr && std::isfinite(*d)) {
    return *d;
  }
  return std::nullopt;
}

std::optional<std::string_view> AsString(const json::value& value) {
  if (const json::string* s = value.if_string()) {
    return std::string_view(s->data(), s->size());
  }
  return std::nullopt;
}

std::string_view StringAt(const json::object& object, std::string_view key) {
  const json::value* value = Find(object, key);
  if (value == nullptr) return {};
  return AsString(*value).value_or(std::string_view());
}

void AppendJsonString(std::string_view text, std::string* out) {
  if (!IsValidUtf8(text)) {
    AppendJsonString(ReplaceInvalidUtf8(text), out);
    return;
  }
  out->push_back('"');
  size_t plain = 0;  // start of what is not yet copied
  char buffer[8];
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escaped =
        Escape(static_cast<unsigned char>(text[i]), buffer);
    if (escaped.empty()) continue;
    out->append(text, plain, i - plain);
    out->append(escaped);
    plain = i + 1;
  }
  out->append(text, plain);
  out->push_back('"');
}

std::string JsonString(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

void AppendJsonNumber(float value, float otherwise, std::string* out) {
  AppendShortest(std::isfinite(value) ? value : otherwise, out);
}

void AppendJsonNumber(double value, double otherwise, std::string* out) {
  AppendShortest(std::isfinite(value) ? value : otherwise, out);
}

}  // namespace aio::openai
