// SPDX-License-Identifier: Apache-2.0
//
// Numbers as people write them: durations, sizes and addresses. Errors say what
// would have been right; the caller adds where it stands.
//
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"

namespace aio::config {

// "500ms", "10s", "1.5m", "2h". Zero and below are errors: no time limit of
// ours may be switched off by a typing slip.
Result<Duration> ParseDuration(std::string_view text);

// Bytes: "1048576", "64KiB", "8MiB", "16GiB", "1TiB", "1.5GiB"; KB, MB, GB and
// TB are powers of 1000.
Result<int64_t> ParseBytes(std::string_view text);

// "HOST:PORT" where HOST is a name, an IPv4 address or an IPv6 address in
// brackets. Port 0 asks the system for one.
struct Endpoint {
  std::string host;  // without brackets
  uint16_t port = 0;
};
Result<Endpoint> ParseEndpoint(std::string_view text);

}  // namespace aio::config
