// SPDX-License-Identifier: Apache-2.0
//
// A small file of text, whole.
//
// Thread safety: a free function, no state.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace aio::config {

// A configuration is some 60 lines; more than this is not one.
inline constexpr size_t kFileBytesMax = size_t{1} << 20;

// At most kFileBytesMax + 1 bytes, so that the caller can tell that there are
// too many. kNotFound if it cannot be opened, kUnavailable if not read.
Result<std::string> ReadTextFile(const std::string& file);

}  // namespace aio::config
