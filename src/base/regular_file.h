// SPDX-License-Identifier: Apache-2.0
//
// Opening a file to be read: only what has a length and an end.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>

#include "base/result.h"

namespace aio {

// A descriptor, which the caller closes. Never blocks, as opening a pipe would.
// kNotFound; kDenied; kInvalidArgument if it is no regular file; kUnavailable
// for the rest. Each message begins with the path.
Result<int> OpenRegularFile(const std::string& path);

// The same for an errno that reading it gave.
Error ReadError(const std::string& path, int error);

}  // namespace aio
