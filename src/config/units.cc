// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

namespace aio::config {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 6> kTimes = {{{"ns", 1},
                                         {"us", 1e3},
                                         {"ms", 1e6},
                                         {"s", 1e9},
                                         {"m", 60e9},
                                         {"h", 3600e9}}};
constexpr std::array<Unit, 10> kSizes = {{{"", 1},
                                          {"B", 1},
                                          {"KiB", 0x1p10},
                                          {"MiB", 0x1p20},
                                          {"GiB", 0x1p30},
                                          {"TiB", 0x1p40},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12}}};

// The product of the number and its unit, if it is positive and an int64.
std::optional<int64_t> Scaled(std::string_view text,
                              std::span<const Unit> units) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc() || !std::isfinite(number)) return std::nullopt;
  std::string_view name(rest, end - rest);
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    const double product = std::round(number * unit.factor);
    if (product < 1 || product >= 0x1p62) return std::nullopt;
    return static_cast<int64_t>(product);
  }
  return std::nullopt;
}

Error Wrong(std::string_view text, std::string_view expected) {
  std::string message = "'";
  message += text;
  message += "' is not ";
  message += expected;
  return Error{ErrorCode::kInvalidArgument, std::move(message), ""};
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  if (const auto value = Scaled(text, kTimes)) return Duration(*value);
  return Wrong(text, "a time above zero such as 500ms, 10s, 5m or 2h");
}

Result<int64_t> ParseBytes(std::string_view text) {
  if (const auto value = Scaled(text, kSizes)) return *value;
  return Wrong(text, "a size above zero such as 65536, 64KiB, 8MiB or 16GiB");
}

Result<Endpoint> ParseEndpoint(std::string_view text) {
  constexpr std::string_view kExpected =
      "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080";
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Wrong(text, kExpected);
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool colons = host.find(':') != std::string_view::npos;
  if (host.empty() || colons != bracketed) return Wrong(text, kExpected);
  uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, failed] = std::from_chars(digits.data(), end, port);
  if (failed != std::errc() || rest != end) return Wrong(text, kExpected);
  return Endpoint{std::string(host), port};
}

}  // namespace aio::config
