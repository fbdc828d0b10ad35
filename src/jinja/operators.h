// SPDX-License-Identifier: Apache-2.0
//
// What Python's operators and protocols mean for the values of the template
// language: truth, equality, order, membership, iteration, arithmetic.
// Undefined values follow Jinja's default: they print, iterate and test as
// nothing, and anything else with them is an error that says what was missing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

enum class Op : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

bool Truth(const Value& value);
// len(); an error for what has none.
Result<size_t> Length(const Value& value);
// What a for loop walks: a list itself, a dict's keys, a string's characters.
// A generator is used up.
Result<Sequence*> Iterate(Runtime& rt, const Value& value);

Result<bool> Equal(Runtime& rt, const Value& a, const Value& b, int depth = 0);
// `a op b` for the comparisons and memberships.
Result<bool> Compare(Runtime& rt, Op op, const Value& a, const Value& b);
// `a op b` for the arithmetic ones.
Result<Value> Arithmetic(Runtime& rt, Op op, const Value& a, const Value& b);
Result<Value> Negate(const Value& value);

// Less, equal, greater as -1, 0, 1; 2 where a NaN has no order; an error for
// types that Python does not order.
Result<int> Order(Runtime& rt, const Value& a, const Value& b, int depth = 0);
// Sorts `order` (indices of keys) by keys, stably. Cost: O(n log n) compares.
Result<void> SortByKey(Runtime& rt, const std::vector<Value>& keys,
                       bool reverse, std::vector<size_t>* order);

}  // namespace aio::jinja
