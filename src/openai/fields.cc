// SPDX-License-Identifier: Apache-2.0
#include "openai/fields.h"

#include <algorithm>
#include <utility>

#include "base/nearest.h"
#include "openai/json.h"

namespace aio::openai {
namespace {

namespace json = boost::json;

std::string Quoted(std::string_view key) {
  std::string out = "'";
  out += key;
  out += '\'';
  return out;
}

std::string Text(double value) {
  std::string out;
  AppendJsonNumber(static_cast<float>(value), 0, &out);
  return out;
}

}  // namespace

const json::value* Fields::Get(std::string_view key) {
  known_.push_back(key);
  return error_ ? nullptr : Find(object_, key);
}

void Fields::Number(std::string_view key, double min, double max, float* out) {
  const json::value* value = Get(key);
  if (value == nullptr) return;
  const auto number = AsNumber(*value);
  if (!number || *number < min || *number > max) {
    Fail(ErrorCode::kInvalidArgument, key,
         "must be a number between " + Text(min) + " and " + Text(max));
    return;
  }
  *out = static_cast<float>(*number);
}

std::optional<int64_t> Fields::Integer(std::string_view key, int64_t min,
                                       int64_t max) {
  const json::value* value = Get(key);
  if (value == nullptr) return std::nullopt;
  const auto number = AsInteger(*value);
  if (number && *number >= min && *number <= max) return number;
  Fail(ErrorCode::kInvalidArgument, key,
       "must be a whole number between " + std::to_string(min) + " and " +
           std::to_string(max));
  return std::nullopt;
}

void Fields::Bool(std::string_view key, bool* out) {
  const json::value* value = Get(key);
  if (value == nullptr) return;
  if (!value->is_bool()) {
    Fail(ErrorCode::kInvalidArgument, key, "must be true or false");
    return;
  }
  *out = value->get_bool();
}

void Fields::String(std::string_view key, std::string* out) {
  const json::value* value = Get(key);
  if (value == nullptr) return;
  const auto text = AsString(*value);
  if (!text) {
    Fail(ErrorCode::kInvalidArgument, key, "must be a string");
    return;
  }
  *out = *text;
}

const json::object* Fields::Object(std::string_view key) {
  const json::value* value = Get(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    Fail(ErrorCode::kInvalidArgument, key, "must be an object");
    return nullptr;
  }
  return &value->get_object();
}

void Fields::Accept(std::initializer_list<std::string_view> keys) {
  known_.insert(known_.end(), keys);
}

void Fields::Refuse(std::string_view key,
                    bool (*harmless)(const json::value& value)) {
  const json::value* value = Get(key);
  if (value == nullptr || harmless(*value)) return;
  const std::string param = prefix_ + std::string(key);
  Pass(Error{ErrorCode::kUnsupported,
             Quoted(param) + " is not supported by any variant here", param});
}

void Fields::Pass(Error error) {
  if (error_ || (foreign_ != nullptr && *foreign_)) return;
  (foreign_ == nullptr ? error_ : *foreign_) = std::move(error);
}

void Fields::Fail(ErrorCode code, std::string_view key, std::string message) {
  if (error_) return;
  const std::string param = prefix_ + std::string(key);
  error_ = Error{code, Quoted(param) + " " + message, param};
}

Result<void> Fields::Finish() {
  if (error_) return *error_;
  for (const auto& [key, value] : object_) {
    const std::string_view name(key.data(), key.size());
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const std::vector<std::string> known(known_.begin(), known_.end());
    const std::string param = prefix_ + std::string(name);
    Pass(Error{ErrorCode::kInvalidArgument,
               "unknown field " + Quoted(param) + DidYouMean(name, known),
               param});
  }
  if (error_) return *error_;
  return {};
}

}  // namespace aio::openai
