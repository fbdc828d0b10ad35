// SPDX-License-Identifier: Apache-2.0
//
// The JSON of /v1/fleet and /v1/fleet/drain.
//
// Thread safety: free functions, no state. Input is hostile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "orchestrator/orchestrator.h"

namespace aio::server {

// {"variant": "large", "replica": "host:port", "drained": true}; without a
// replica all of the variant, and `drained` is true unless it says false.
struct DrainRequest {
  std::string variant, replica;
  bool drained = true;
};
Result<DrainRequest> ParseDrain(std::string_view body);

// {"places": [{variant, replica, state, running, queued, others}]}; state is
// ready, full, unhealthy, absent or drained.
std::string FleetJson(const std::vector<orchestrator::Place>& places);

}  // namespace aio::server
