// SPDX-License-Identifier: Apache-2.0
//
// A task in our own format, which task.h describes. Strict: a field that is not
// known, or not of its type, is an error, since a mistyped name would else
// change what is measured without a word.
//
// Thread safety: free functions, no state.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/result.h"
#include "eval/task.h"

namespace aio::eval {

// Errors name the field, without file and line. What the fields mean together
// with the checker is left to the caller.
Result<Task> OwnTask(const boost::json::object& object);

// "field 'id' must be ..."; kInvalidArgument.
Error WrongField(std::string_view key, std::string_view what);

}  // namespace aio::eval
