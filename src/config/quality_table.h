// SPDX-License-Identifier: Apache-2.0
//
// Reads the quality table that `aio eval --quality-table` writes:
//
//   {"format": 1,
//    "variants": {"small": {"code": {"quality": 0.93, "low": 0.88,
//                                    "high": 0.96, "n": 200}, …}, …},
//    "source": {…}}
//
// as config/variant_table.h says. `low`, `high` and `n` may be left out. A row
// "small+think", "small+no_think" or "small+auto_think" is of that variant when
// it is told so.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/quality.h"

namespace aio::config {

Result<core::QualityTable> LoadQualityTable(
    const std::string& file, const std::vector<std::string>& variants);

// The same from memory; `source` stands in errors.
Result<core::QualityTable> ParseQualityTable(
    std::string_view text, const std::string& source,
    const std::vector<std::string>& variants);

}  // namespace aio::config
