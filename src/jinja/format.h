// SPDX-License-Identifier: Apache-2.0
//
// Formatting as Python has it: "%s of %d" % (x, y), "{} of {b}".format(x, b=y)
// and strftime. The common conversions only; another is an error that names it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

Result<Value> PercentFormat(Runtime& rt, const Text& format,
                            const Value& operand);
Result<Value> BraceFormat(Runtime& rt, const Text& format,
                          const Arguments& arguments);

// In English, without a time zone, as datetime.strftime of a naive datetime.
Result<std::string> FormatTime(std::string_view format,
                               std::chrono::local_seconds time);

}  // namespace aio::jinja
