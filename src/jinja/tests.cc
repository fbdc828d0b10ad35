// SPDX-License-Identifier: Apache-2.0
//
// The tests: what may follow `is`, and the names that select and reject take.
#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

// A test that only looks at the value.
template <bool (*property)(const Value&)>
Result<Value> Property(Runtime&, const Value& self, Args) {
  return Value::Bool(property(self));
}

bool IsDefined(const Value& v) { return !v.is_undefined(); }
bool IsUndefined(const Value& v) { return v.is_undefined(); }
bool IsNone(const Value& v) { return v.is_none(); }
bool IsBoolean(const Value& v) { return v.boolean() != nullptr; }
bool IsTrue(const Value& v) { return v.boolean() && *v.boolean(); }
bool IsFalse(const Value& v) { return v.boolean() && !*v.boolean(); }
bool IsInteger(const Value& v) { return v.integer() != nullptr; }
bool IsFloat(const Value& v) { return v.number() != nullptr; }
bool IsNumber(const Value& v) { return v.AsDouble().has_value(); }
bool IsString(const Value& v) { return v.text() != nullptr; }
bool IsMapping(const Value& v) { return v.dict() != nullptr; }
bool IsCallable(const Value& v) {
  return v.callable() || v.loop() || v.is_undefined();
}
bool IsEscaped(const Value& v) { return v.is_markup(); }

bool IsIterable(const Value& v) {
  return v.text() || v.sequence() || v.dict() || v.is_undefined() || v.loop();
}

// What has a length and can be indexed; in Python that includes dicts.
bool IsSequence(const Value& v) {
  return v.text() || v.dict() || v.is_undefined() ||
         (v.sequence() && v.sequence()->indexed());
}

template <bool upper>
Result<Value> IsCased(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  const Builtin* method = FindMethod(text, upper ? "isupper" : "islower");
  return Apply(rt, "test", *method, text, {});
}

template <Op op>
Result<Value> Compared(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const bool holds, Compare(rt, op, self, *args[0]));
  return Value::Bool(holds);
}

// value % divisor == rest
Result<Value> HasRest(Runtime& rt, const Value& self, const Value& divisor,
                      int64_t rest) {
  ASSIGN_OR_RETURN(const Value modulo,
                   Arithmetic(rt, Op::kModulo, self, divisor));
  ASSIGN_OR_RETURN(const bool same, Equal(rt, modulo, Value::Int(rest)));
  return Value::Bool(same);
}

template <int rest>
Result<Value> Parity(Runtime& rt, const Value& self, Args) {
  return HasRest(rt, self, Value::Int(2), rest);
}

Result<Value> DivisibleBy(Runtime& rt, const Value& self, Args args) {
  return HasRest(rt, self, *args[0], 0);
}

// Python's `is`. Strings and numbers have no identity of their own here.
Result<Value> SameAs(Runtime& rt, const Value& self, Args args) {
  const Value& other = *args[0];
  if (TypeName(self) != TypeName(other)) return Value::Bool(false);
  if (self.sequence()) return Value::Bool(self.sequence() == other.sequence());
  if (self.dict()) return Value::Bool(self.dict() == other.dict());
  ASSIGN_OR_RETURN(const bool same, Equal(rt, self, other));
  return Value::Bool(same);
}

template <const Builtin* (*find)(std::string_view)>
Result<Value> Exists(Runtime&, const Value& self, Args) {
  return Value::Bool(self.text() && find(self.text()->bytes()) != nullptr);
}

constexpr Builtin kTests[] = {
    {"!=", Compared<Op::kNotEqual>, {"other"}, 1},
    {"<", Compared<Op::kLess>, {"other"}, 1},
    {"<=", Compared<Op::kLessEqual>, {"other"}, 1},
    {"==", Compared<Op::kEqual>, {"other"}, 1},
    {">", Compared<Op::kGreater>, {"other"}, 1},
    {">=", Compared<Op::kGreaterEqual>, {"other"}, 1},
    {"boolean", Property<IsBoolean>},
    {"callable", Property<IsCallable>},
    {"defined", Property<IsDefined>},
    {"divisibleby", DivisibleBy, {"num"}, 1},
    {"eq", Compared<Op::kEqual>, {"other"}, 1},
    {"equalto", Compared<Op::kEqual>, {"other"}, 1},
    {"escaped", Property<IsEscaped>},
    {"even", Parity<0>},
    {"false", Property<IsFalse>},
    {"filter", Exists<FindFilter>},
    {"float", Property<IsFloat>},
    {"ge", Compared<Op::kGreaterEqual>, {"other"}, 1},
    {"greaterthan", Compared<Op::kGreater>, {"other"}, 1},
    {"gt", Compared<Op::kGreater>, {"other"}, 1},
    {"in", Compared<Op::kIn>, {"seq"}, 1},
    {"integer", Property<IsInteger>},
    {"iterable", Property<IsIterable>},
    {"le", Compared<Op::kLessEqual>, {"other"}, 1},
    {"lessthan", Compared<Op::kLess>, {"other"}, 1},
    {"lower", IsCased<false>},
    {"lt", Compared<Op::kLess>, {"other"}, 1},
    {"mapping", Property<IsMapping>},
    {"ne", Compared<Op::kNotEqual>, {"other"}, 1},
    {"none", Property<IsNone>},
    {"number", Property<IsNumber>},
    {"odd", Parity<1>},
    {"sameas", SameAs, {"other"}, 1},
    {"sequence", Property<IsSequence>},
    {"string", Property<IsString>},
    {"test", Exists<FindTest>},
    {"true", Property<IsTrue>},
    {"undefined", Property<IsUndefined>},
    {"upper", IsCased<true>},
};

}  // namespace

std::span<const Builtin> Tests() { return kTests; }

}  // namespace aio::jinja
