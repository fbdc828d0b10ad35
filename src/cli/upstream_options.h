// SPDX-License-Identifier: Apache-2.0
//
// An upstream variant of the config as upstream/ wants it, and what is guessed
// of its costs.
//
// Thread safety: a pure function, but for the environment.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "config/config.h"
#include "cost/step_cost.h"
#include "upstream/process.h"
#include "upstream/upstream.h"

namespace aio::cli {

// kInvalidArgument if the key's environment variable is not set, or a
// certificate file cannot be read.
Result<upstream::Upstream::Options> UpstreamOptions(
    const std::string& name, const config::Variant& settings);

upstream::Process::Options ProcessOptions(const std::string& name,
                                          const config::Process& settings);

// What its steps take, as long as no answer has told, and what it reads for a
// token; 0: not known.
struct UpstreamGuess {
  cost::StepCost steps;
  int64_t bytes_per_token = 0;
};
// kInvalidArgument for a profile or a shape that nobody knows, with the
// nearest.
Result<UpstreamGuess> GuessOf(const std::string& name,
                              const config::Variant& settings);

}  // namespace aio::cli
