// SPDX-License-Identifier: Apache-2.0
//
// The names a template may use without defining them: filters (x | trim),
// tests (x is defined), methods (x.split()) and functions (range()). Each is a
// row of a table: its name, its parameters, and what runs.
//
// Thread safety: the tables are const.
#pragma once

#include <span>
#include <string_view>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

// Null if there is none of that name.
const Builtin* FindFilter(std::string_view name);
const Builtin* FindTest(std::string_view name);
const Builtin* FindFunction(std::string_view name);
// By the type of `self`: a str has other methods than a dict.
const Builtin* FindMethod(const Value& self, std::string_view name);

// Binds the arguments to the parameters and runs; `what` ("filter", "method")
// is for the message when they do not fit.
Result<Value> Apply(Runtime& rt, std::string_view what, const Builtin& builtin,
                    const Value& self, Arguments arguments);

// The tables, one per file.
std::span<const Builtin> TextFilters();
std::span<const Builtin> ListFilters();
std::span<const Builtin> NumberFilters();
std::span<const Builtin> Tests();
std::span<const Builtin> Functions();
std::span<const Builtin> StringMethods();
std::span<const Builtin> ListMethods();
std::span<const Builtin> TupleMethods();
std::span<const Builtin> DictMethods();
std::span<const Builtin> LoopMethods();

// What several of them need of an argument; `name` is for the message.
// Each has a default for an argument that was not given.
Result<int64_t> IntArgument(const Value* argument, std::string_view name,
                            int64_t otherwise);
bool BoolArgument(const Value* argument, bool otherwise);
Result<const Text*> TextArgument(const Value& argument, std::string_view name);

}  // namespace aio::jinja
