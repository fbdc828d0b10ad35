// SPDX-License-Identifier: Apache-2.0
//
// The filters that make numbers.
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

std::string_view Stripped(std::string_view text) {
  while (!text.empty() && IsSpace(static_cast<uint8_t>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && IsSpace(static_cast<uint8_t>(text.back()))) {
    text.remove_suffix(1);
  }
  return text;
}

// Digits with single underscores between them, without those.
std::optional<std::string> WithoutUnderscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool inner = i > 0 && i + 1 < text.size() && text[i - 1] != '_';
    if (text[i] == '_' && !inner) return std::nullopt;
    if (text[i] != '_') out += text[i];
  }
  return out;
}

// int(text, base): nothing if it is no number; the prefixes 0b, 0o and 0x are
// allowed for their bases.
Result<std::optional<int64_t>> ParseInt(std::string_view text, int base) {
  std::optional<std::string> digits = WithoutUnderscores(Stripped(text));
  if (!digits) return std::optional<int64_t>();
  std::string sign;
  if (!digits->empty() && ((*digits)[0] == '-' || (*digits)[0] == '+')) {
    if ((*digits)[0] == '-') sign = "-";
    digits->erase(0, 1);
  }
  const std::string prefix = digits->substr(0, 2);
  const bool prefixed = (base == 16 && (prefix == "0x" || prefix == "0X")) ||
                        (base == 8 && (prefix == "0o" || prefix == "0O")) ||
                        (base == 2 && (prefix == "0b" || prefix == "0B"));
  if (prefixed) digits->erase(0, 2);
  if (digits->empty() || (*digits)[0] == '-') return std::optional<int64_t>();
  const std::string number = sign + *digits;
  const char* const end = number.data() + number.size();
  int64_t value = 0;
  const auto read = std::from_chars(number.data(), end, value, base);
  if (read.ptr != end) return std::optional<int64_t>();
  if (read.ec != std::errc()) return Fail("an integer does not fit 64 bits");
  return std::optional(value);
}

// float(text); nothing if it is no number.
std::optional<double> ParseFloat(std::string_view text) {
  const std::optional<std::string> digits = WithoutUnderscores(Stripped(text));
  if (!digits || digits->empty()) return std::nullopt;
  const size_t plus = (*digits)[0] == '+' ? 1 : 0;
  if (plus == 1 && digits->size() > 1 && (*digits)[1] == '-') {
    return std::nullopt;
  }
  const char* const end = digits->data() + digits->size();
  double value = 0;
  const auto read = std::from_chars(digits->data() + plus, end, value);
  if (read.ptr != end) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) {
    return std::strtod(digits->c_str(), nullptr);
  }
  if (read.ec != std::errc()) return std::nullopt;
  return value;
}

Result<Value> Truncated(double value, const Value& otherwise) {
  if (std::isnan(value)) return otherwise;
  if (std::abs(value) >= 0x1p63) {
    return Fail("an integer does not fit 64 bits");
  }
  return Value::Int(static_cast<int64_t>(value));
}

Result<Value> ToInt(Runtime&, const Value& self, Args args) {
  const Value otherwise = args[0] ? *args[0] : Value::Int(0);
  ASSIGN_OR_RETURN(const int64_t base, IntArgument(args[1], "base", 10));
  if (base < 2 || base > 36) return Unsupported("int in this base");
  if (self.is_undefined()) return Fail(self.Why());
  if (const auto i = self.AsInt()) return Value::Int(*i);
  if (self.number()) return Truncated(*self.number(), otherwise);
  if (!self.text()) return otherwise;
  ASSIGN_OR_RETURN(const std::optional<int64_t> whole,
                   ParseInt(self.text()->bytes(), static_cast<int>(base)));
  if (whole) return Value::Int(*whole);
  const std::optional<double> real = ParseFloat(self.text()->bytes());
  if (!real || std::isinf(*real)) return otherwise;
  return Truncated(*real, otherwise);
}

Result<Value> ToFloat(Runtime&, const Value& self, Args args) {
  const Value otherwise = args[0] ? *args[0] : Value::Float(0);
  if (self.is_undefined()) return Fail(self.Why());
  if (const auto d = self.AsDouble()) return Value::Float(*d);
  if (!self.text()) return otherwise;
  const std::optional<double> real = ParseFloat(self.text()->bytes());
  return real ? Value::Float(*real) : otherwise;
}

Result<Value> Absolute(Runtime&, const Value& self, Args) {
  if (self.number()) return Value::Float(std::abs(*self.number()));
  const auto i = self.AsInt();
  if (i && *i >= 0) return Value::Int(*i);
  return Negate(self);  // or its error
}

// round(value, digits): exact decimal rounding, halves to even.
Result<Value> RoundCommon(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return Value::Float(value);
  if (digits < -300) return Value::Float(std::copysign(0.0, value));
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return Value::Float(std::nearbyint(value / scale) * scale);
  }
  char buffer[700];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value,
                    std::chars_format::fixed, static_cast<int>(digits));
  double rounded = 0;
  std::from_chars(buffer, end.ptr, rounded);
  return Value::Float(rounded);
}

Result<Value> Round(Runtime&, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t digits, IntArgument(args[0], "precision", 0));
  std::string_view method = "common";
  if (args[1] != nullptr) {
    ASSIGN_OR_RETURN(const Text* const text, TextArgument(*args[1], "method"));
    method = text->bytes();
  }
  if (method != "common" && method != "ceil" && method != "floor") {
    return Fail("method must be common, ceil or floor");
  }
  const auto value = self.AsDouble();
  if (!value) {
    return Fail(self.is_undefined() ? self.Why() : "round: not a number");
  }
  if (method == "common") {
    if (self.AsInt() && digits >= 0) return Value::Int(*self.AsInt());
    return RoundCommon(*value, digits);
  }
  if (digits < -300 || digits > 300) return Unsupported("this precision");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = *value * scale;
  if (!std::isfinite(scaled)) return Fail("round: not a finite number");
  return Value::Float(
      (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr Builtin kFilters[] = {
    {"abs", Absolute},
    {"float", ToFloat, {"default"}},
    {"int", ToInt, {"default", "base"}},
    {"round", Round, {"precision", "method"}},
};

}  // namespace

std::span<const Builtin> NumberFilters() { return kFilters; }

}  // namespace aio::jinja
