// SPDX-License-Identifier: Apache-2.0
//
// The answer of /v1/route: {intent: {label, probabilities, entropy}, variant,
// strategy, reason, probe, candidates: [{variant, why, quality, estimate}]}.
// `quality` is there only where a quality table tells it.
//
// Thread safety: a free function, no state.
#pragma once

#include <string>

#include "orchestrator/orchestrator.h"

namespace aio::server {

std::string RouteJson(const orchestrator::Explanation& explanation);

}  // namespace aio::server
