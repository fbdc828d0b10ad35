// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a task file, read and unzipped within kTaskFileBytesMax.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace aio::eval {

// A copy and not a mapping: the file may still be written to. kNotFound,
// kDenied, kInvalidArgument (a folder, a pipe, too large), kUnavailable; each
// begins with the path.
Result<std::string> ReadTaskFile(const std::string& path);

bool IsGzip(std::string_view bytes);

// One or several gzip streams. kCorrupt if damaged or cut off,
// kInvalidArgument if what comes out is too large.
Result<std::string> Unzip(std::string_view bytes);

}  // namespace aio::eval
