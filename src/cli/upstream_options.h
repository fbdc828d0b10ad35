// SPDX-License-Identifier: Apache-2.0
//
// An upstream variant of the config as upstream/ wants it.
//
// Thread safety: a pure function, but for the environment.
#pragma once

#include <string>

#include "base/result.h"
#include "config/config.h"
#include "upstream/upstream.h"

namespace aio::cli {

// kInvalidArgument if the key's environment variable is not set, or a
// certificate file cannot be read.
Result<upstream::Upstream::Options> UpstreamOptions(
    const std::string& name, const config::Variant& settings);

}  // namespace aio::cli
