// SPDX-License-Identifier: Apache-2.0
//
// Text tables for a terminal.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace aio::eval {

// snprintf into a string of at most 255 bytes.
template <typename... Arguments>
std::string Format(const char* format, Arguments... arguments) {
  char text[256];
  std::snprintf(text, sizeof text, format, arguments...);
  return text;
}

std::string PercentText(double share);  // "80.0 %"
std::string BytesText(double bytes);    // "1.25 MB"; "-" for none

// Columns as wide as they must be, two spaces between; the first `left` of them
// to the left, the others to the right. Rows may not be longer than the first.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows,
                         size_t left);

}  // namespace aio::eval
