// SPDX-License-Identifier: Apache-2.0
//
// How long answers are, by variant and intent, as measured. Stands in core as
// quality.h does: `cli` writes it, `config` reads it, `cost` starts from it.
//
// Thread safety: plain data.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "core/intent.h"

namespace aio::core {

// variant -> [label], mean tokens of an answer; an absent entry was not
// measured.
using LengthTable =
    std::map<std::string, std::array<std::optional<double>, kLabels>,
             std::less<>>;

}  // namespace aio::core
