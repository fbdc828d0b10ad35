// SPDX-License-Identifier: Apache-2.0
//
// Values as text, byte for byte as Python writes them: str() for what a
// template prints, repr() for what stands inside a printed list.
//
// Provenance: strings keep theirs. Numbers, True and None count as the
// template's (none can hold a special token's name, and a template may compose
// one around a number: "<|image_" ~ n ~ "|>"); the brackets, quotes and commas
// of a printed container do not.
#pragma once

#include <string>
#include <string_view>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

// repr(float): the shortest digits that read back as the same number.
std::string FloatRepr(double value);
// Python's name of the type, for messages: "str", "dict", …
std::string_view TypeName(const Value& value);

// Appends str(value).
Result<void> AppendStr(const Value& value, TextBuilder* out);
// str(value) as a value; a string is itself, without its markup.
Result<Value> Str(Runtime& rt, const Value& value);
// Appends repr(value).
Result<void> AppendRepr(const Value& value, TextBuilder* out, int depth = 0);
// `&<>'"` as HTML entities.
Result<Value> EscapeHtml(Runtime& rt, const Text& text);

// Containers within containers that printing, comparing and tojson follow.
inline constexpr int kContainerDepthMax = 100;
Error TooDeep();

}  // namespace aio::jinja
