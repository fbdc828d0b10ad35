// SPDX-License-Identifier: Apache-2.0
//
// Parts of values: x.name, x[key], x[a:b:c]. As in Jinja, x.name looks for a
// method first and for a key second, x[key] the other way round, and what is
// not there is undefined rather than an error.
#pragma once

#include <optional>
#include <string_view>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

Result<Value> GetAttribute(Runtime& rt, const Value& object,
                           std::string_view name);
// Only what belongs to the type, never a dict's key: the `attr` filter.
Result<Value> GetMember(Runtime& rt, const Value& object,
                        std::string_view name);
Result<Value> GetItem(Runtime& rt, const Value& object, const Value& key);
// Bounds that are None are those Python takes for absent ones.
struct SliceBounds {
  Value start, stop, step;
};
Result<Value> GetSlice(Runtime& rt, const Value& object,
                       const SliceBounds& bounds);
// "a.b.0", the attribute paths of map, selectattr and sort.
Result<Value> GetPath(Runtime& rt, Value object, const Value& path);

}  // namespace aio::jinja
