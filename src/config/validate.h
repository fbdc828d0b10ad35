// SPDX-License-Identifier: Apache-2.0
//
// What no single key can tell: names that must exist, keys that exclude each
// other, and the defaults that follow from other keys.
//
// Thread safety: free functions, no state.
#pragma once

#include "config/config.h"
#include "config/section.h"

namespace aio::config {

// Fills in `config`'s derived defaults; the first error goes to `reading`.
// `root` is the file, for line numbers.
void Validate(const YAML::Node& root, Reading* reading, Config* config);

}  // namespace aio::config
