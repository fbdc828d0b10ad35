// SPDX-License-Identifier: Apache-2.0
//
// Tokens to syntax tree, by Jinja's grammar with the tags that chat templates
// use: for if set macro call filter with print raw, Jinja's break and continue,
// Hugging Face's generation. Includes, inheritance and recursive loops are
// kUnsupported.
//
// Thread safety: a pure function.
#pragma once

#include <string_view>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/limits.h"

namespace aio::jinja {

// kCorrupt or kUnsupported with the line: "line 3: …".
Result<Program> ParseProgram(std::string_view source,
                             const TemplateLimits& limits);

}  // namespace aio::jinja
