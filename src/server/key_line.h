// SPDX-License-Identifier: Apache-2.0
//
// One line of the file of API keys: the key, then words name=value.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/keys.h"

namespace aio::server {

struct KeyLine {
  std::string_view secret;  // points into the line
  Key key;                  // what the words say: no tenant, no account
};

// `line`: not empty, without space around it. Errors say what would have been
// right. They quote nothing of the line, where a key may have slipped into any
// place.
Result<KeyLine> ParseKeyLine(std::string_view line,
                             const std::vector<std::string>& variants);

}  // namespace aio::server
