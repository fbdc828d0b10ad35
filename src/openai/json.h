// SPDX-License-Identifier: Apache-2.0
//
// The few JSON operations that every file of this folder needs, over
// Boost.JSON. Text from outside is parsed with a depth limit and must be valid
// UTF-8; of keys that occur twice in one object the last one counts.
//
// Thread safety: free functions, no state.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace aio::openai {

// Deeper than any request or answer of the API; bounds the parser's stack.
inline constexpr int kJsonDepthMax = 32;

// kInvalidArgument with the reason if `text` is not one JSON value in valid
// UTF-8. The caller has bounded the length of `text`.
Result<boost::json::value> ParseJson(std::string_view text);

// The value of `key`, or null if it is absent or JSON's null: the API treats
// both alike.
const boost::json::value* Find(const boost::json::object& object,
                               std::string_view key);

// A whole number, also when written as 3.0; nothing for anything else,
// including numbers outside int64.
std::optional<int64_t> AsInteger(const boost::json::value& value);
// Any finite number.
std::optional<double> AsNumber(const boost::json::value& value);
std::optional<std::string_view> AsString(const boost::json::value& value);
// The string at `key`; empty if there is none.
std::string_view StringAt(const boost::json::object& object,
                          std::string_view key);

// Appends `text` quoted and escaped; invalid UTF-8 becomes U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);
std::string JsonString(std::string_view text);

// Appends a number as short as it reads back; what JSON cannot say (infinities
// and NaN) becomes `otherwise`.
void AppendJsonNumber(float value, float otherwise, std::string* out);
void AppendJsonNumber(double value, double otherwise, std::string* out);

}  // namespace aio::openai
