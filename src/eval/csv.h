// SPDX-License-Identifier: Apache-2.0
//
// Comma-separated values as RFC 4180 has them: a field in quotes may hold
// commas, line breaks and doubled quotes; lines end in LF or CRLF. Strict, as
// a table that was read wrongly looks like one that was read: a quote within a
// plain field, text behind a closing quote, a carriage return or NUL outside
// quotes and a row that is not as long as the first are errors.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio::eval {

inline constexpr size_t kCsvColumnsMax = 64;
inline constexpr size_t kCsvFieldBytesMax = size_t{1} << 20;
inline constexpr size_t kCsvRowsMax = 1'000'000;

struct CsvRow {
  int line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// The first row, the names of the columns, included; all as long as it. None
// of an empty text. kCorrupt, or kInvalidArgument for what exceeds the limits
// above; messages begin with "NAME:LINE: ".
Result<std::vector<CsvRow>> ParseCsv(std::string_view text,
                                     const std::string& name);

}  // namespace aio::eval
