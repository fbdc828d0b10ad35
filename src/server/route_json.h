// SPDX-License-Identifier: Apache-2.0
//
// The answer of /v1/route: {intent: {label, probabilities, entropy}, variant,
// thinking, strategy, reason, probe, candidates: [{variant, thinking, why,
// quality, estimate}]}. `quality` is there only where a quality table tells it,
// `thinking` only where it is known: "on", "off" or "auto".
//
// Thread safety: a free function, no state.
#pragma once

#include <string>

#include "orchestrator/orchestrator.h"

namespace aio::server {

std::string RouteJson(const orchestrator::Explanation& explanation);

}  // namespace aio::server
