// SPDX-License-Identifier: Apache-2.0
#include "jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "base/utf8.h"
#include "jinja/format.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

Error BadOperands(std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) return Fail(a.Why());
  if (b.is_undefined()) return Fail(b.Why());
  return Fail("unsupported operand types for " + std::string(op) + ": '" +
              std::string(TypeName(a)) + "' and '" + std::string(TypeName(b)) +
              "'");
}

Error Overflow() { return Fail("an integer does not fit 64 bits"); }

int Sign(double difference) { return (difference > 0) - (difference < 0); }

// Exact, also where an int64 does not fit a double.
int OrderNumbers(const Value& a, const Value& b) {
  if (a.AsInt() && b.AsInt()) {
    return (*a.AsInt() > *b.AsInt()) - (*a.AsInt() < *b.AsInt());
  }
  const auto wide = [](const Value& v) {
    return v.AsInt() ? static_cast<long double>(*v.AsInt())
                     : static_cast<long double>(*v.number());
  };
  const long double x = wide(a), y = wide(b);
  if (std::isnan(x) || std::isnan(y)) return 2;
  return (x > y) - (x < y);
}

bool SameKind(const Sequence& a, const Sequence& b) {
  return a.kind() == b.kind() && a.kind() != Sequence::Kind::kView &&
         a.kind() != Sequence::Kind::kGenerator;
}

Result<bool> EqualSequences(Runtime& rt, Sequence& a, Sequence& b, int depth) {
  if (&a == &b) return true;
  if (!SameKind(a, b) || a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSIGN_OR_RETURN(const bool same, Equal(rt, a.at(i), b.at(i), depth + 1));
    if (!same) return false;
  }
  return true;
}

Result<bool> EqualDicts(Runtime& rt, const Dict& a, const Dict& b, int depth) {
  if (&a == &b) return true;
  if (a.size() != b.size()) return false;
  for (const Dict::Entry& entry : a.entries()) {
    const Value* other = b.Find(entry.code);
    if (other == nullptr) return false;
    ASSIGN_OR_RETURN(const bool same,
                     Equal(rt, entry.value, *other, depth + 1));
    if (!same) return false;
  }
  return true;
}

Result<int> OrderSequences(Runtime& rt, Sequence& a, Sequence& b, int depth) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    ASSIGN_OR_RETURN(const bool same, Equal(rt, a.at(i), b.at(i), depth + 1));
    if (!same) return Order(rt, a.at(i), b.at(i), depth + 1);
  }
  return (a.size() > b.size()) - (a.size() < b.size());
}

Result<bool> Contains(Runtime& rt, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (!item.text()) return BadOperands("in", item, container);
    if (!rt.Spend(Runtime::StepsFor(text->size()))) return rt.OutOfSteps();
    return FindBytes(text->bytes(), item.text()->bytes(), 0) !=
           std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    ASSIGN_OR_RETURN(const std::string code, KeyCode(item));
    return dict->Find(code) != nullptr;
  }
  if (container.is_undefined()) return false;
  Sequence* const sequence = container.sequence();
  if (!sequence) return BadOperands("in", item, container);
  for (size_t i = 0; i < sequence->size(); ++i) {
    ASSIGN_OR_RETURN(const bool same, Equal(rt, sequence->at(i), item));
    if (same) return true;
  }
  return false;
}

Result<Value> AddText(Runtime& rt, const Value& a, const Value& b) {
  const bool markup = a.is_markup() || b.is_markup();
  Value left = a, right = b;
  if (markup && !a.is_markup()) {
    ASSIGN_OR_RETURN(left, EscapeHtml(rt, *a.text()));
  }
  if (markup && !b.is_markup()) {
    ASSIGN_OR_RETURN(right, EscapeHtml(rt, *b.text()));
  }
  TextBuilder out(rt);
  out.Append(*left.text());
  out.Append(*right.text());
  ASSIGN_OR_RETURN(Text sum, out.Take());
  return rt.NewString(std::move(sum), markup);
}

Result<Value> AddSequences(Runtime& rt, const Sequence& a, const Sequence& b) {
  if (!rt.Spend(a.size() + b.size())) return rt.OutOfSteps();
  std::vector<Value> items;
  for (const Sequence* part : {&a, &b}) {
    for (size_t i = 0; i < part->size(); ++i) items.push_back(part->at(i));
  }
  ASSIGN_OR_RETURN(Sequence* const sum,
                   rt.NewSequence(a.kind(), std::move(items)));
  return Value::Of(sum);
}

bool Repeatable(const Value& value) {
  const Sequence* s = value.sequence();
  return value.text() || (s && (s->kind() == Sequence::Kind::kList ||
                                s->kind() == Sequence::Kind::kTuple));
}

Result<Value> Repeat(Runtime& rt, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (const Text* text = value.text()) {
    TextBuilder out(rt);
    for (; times > 0 && !text->empty() && !out.full(); --times) {
      out.Append(*text);
    }
    return out.Finish();
  }
  const Sequence& source = *value.sequence();
  std::vector<Value> items;
  for (; times > 0 && source.size() > 0; --times) {
    if (!rt.Spend(source.size())) return rt.OutOfSteps();
    if ((items.size() + source.size()) * sizeof(Value) >
        rt.limits().memory_bytes_max / 2) {
      return rt.OutOfMemory();
    }
    for (size_t i = 0; i < source.size(); ++i) items.push_back(source.at(i));
  }
  ASSIGN_OR_RETURN(Sequence* const list,
                   rt.NewSequence(source.kind(), std::move(items)));
  return Value::Of(list);
}

Result<Value> IntegerPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) {
      return Overflow();
    }
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) {
      return Overflow();
    }
  }
  return Value::Int(result);
}

// Rounds down, as Python's // and %.
Result<Value> IntegerDivision(Op op, int64_t a, int64_t b) {
  if (b == 0) return Fail("division by zero");
  if (b == -1) {
    if (op == Op::kModulo) return Value::Int(0);
    if (a == std::numeric_limits<int64_t>::min()) return Overflow();
  }
  int64_t quotient = a / b, rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    --quotient;
  }
  return Value::Int(op == Op::kModulo ? rest : quotient);
}

Result<Value> IntegerArithmetic(Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) return Overflow();
      return Value::Int(out);
    case Op::kSubtract:
      if (__builtin_sub_overflow(a, b, &out)) return Overflow();
      return Value::Int(out);
    case Op::kMultiply:
      if (__builtin_mul_overflow(a, b, &out)) return Overflow();
      return Value::Int(out);
    case Op::kPower:
      return IntegerPower(a, b);
    default:
      return IntegerDivision(op, a, b);
  }
}

Result<Value> FloatDivision(Op op, double a, double b) {
  if (b == 0) return Fail("division by zero");
  if (op == Op::kDivide) return Value::Float(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest == 0) {
    rest = std::copysign(0.0, b);
  } else if ((b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == Op::kModulo) return Value::Float(rest);
  if (quotient == 0) return Value::Float(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value::Float(quotient - floor > 0.5 ? floor + 1 : floor);
}

Result<Value> FloatArithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::Float(a + b);
    case Op::kSubtract:
      return Value::Float(a - b);
    case Op::kMultiply:
      return Value::Float(a * b);
    case Op::kPower: {
      if (a == 0 && b < 0) return Fail("0 to a negative power");
      const double power = std::pow(a, b);
      if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
        return Unsupported("complex numbers");
      }
      if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) {
        return Fail("a power is too large");
      }
      return Value::Float(power);
    }
    default:
      return FloatDivision(op, a, b);
  }
}

std::string_view Symbol(Op op) {
  static constexpr std::string_view kSymbols[] = {
      "+",  "-", "*",  "/", "//", "%",  "**",    "==",
      "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<size_t>(op)];
}

// Merges the sorted halves of order[begin, end) through `scratch`.
Result<void> Merge(Runtime& rt, const std::vector<Value>& keys, size_t begin,
                   size_t end, std::vector<size_t>* order) {
  const size_t middle = begin + (end - begin) / 2;
  std::vector<size_t> merged;
  size_t left = begin, right = middle;
  while (left < middle && right < end) {
    ASSIGN_OR_RETURN(const int sign,
                     Order(rt, keys[(*order)[right]], keys[(*order)[left]]));
    merged.push_back((*order)[sign == -1 ? right++ : left++]);
  }
  while (left < middle) merged.push_back((*order)[left++]);
  while (right < end) merged.push_back((*order)[right++]);
  std::copy(merged.begin(), merged.end(),
            order->begin() + static_cast<ptrdiff_t>(begin));
  return {};
}

// Not std::stable_sort: the comparison may fail, and a NaN has no order.
Result<void> MergeSort(Runtime& rt, const std::vector<Value>& keys,
                       size_t begin, size_t end, std::vector<size_t>* order) {
  if (end - begin < 2) return {};
  const size_t middle = begin + (end - begin) / 2;
  RETURN_IF_ERROR(MergeSort(rt, keys, begin, middle, order));
  RETURN_IF_ERROR(MergeSort(rt, keys, middle, end, order));
  return Merge(rt, keys, begin, end, order);
}

}  // namespace

bool Truth(const Value& value) {
  if (value.boolean()) return *value.boolean();
  if (value.integer()) return *value.integer() != 0;
  if (value.number()) return *value.number() != 0;
  if (value.text()) return !value.text()->empty();
  if (value.dict()) return value.dict()->size() > 0;
  if (value.sequence()) {
    return !value.sequence()->sized() || value.sequence()->size() > 0;
  }
  return !value.is_none() && !value.is_undefined();
}

Result<size_t> Length(const Value& value) {
  if (value.is_undefined()) return size_t{0};
  if (value.text()) return Characters(value.text()->bytes());
  if (value.dict()) return value.dict()->size();
  if (value.loop()) return value.loop()->items->size();
  if (value.sequence() && value.sequence()->sized()) {
    return value.sequence()->size();
  }
  return Fail("a value of type '" + std::string(TypeName(value)) +
              "' has no length");
}

Result<Sequence*> Iterate(Runtime& rt, const Value& value) {
  using Kind = Sequence::Kind;
  Sequence* const sequence = value.sequence();
  if (sequence && sequence->kind() != Kind::kGenerator) return sequence;
  std::vector<Value> items;
  if (sequence) {
    items = std::exchange(sequence->items(), {});
  } else if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->entries()) items.push_back(entry.key);
  } else if (const Text* text = value.text()) {
    for (size_t i = 0, size = 0; i < text->size(); i += size) {
      size = DecodeUtf8(text->bytes(), i).size;
      ASSIGN_OR_RETURN(Value character, rt.Substring(*text, i, i + size));
      items.push_back(std::move(character));
    }
  } else if (!value.is_undefined()) {
    return Fail("a value of type '" + std::string(TypeName(value)) +
                "' is not iterable");
  }
  return rt.NewSequence(Kind::kList, std::move(items));
}

Result<bool> Equal(Runtime& rt, const Value& a, const Value& b, int depth) {
  if (depth > kContainerDepthMax) return TooDeep();
  if (!rt.Spend()) return rt.OutOfSteps();
  if (a.text() && b.text()) {
    if (a.text()->size() != b.text()->size()) return false;
    if (!rt.Spend(Runtime::StepsFor(a.text()->size()))) return rt.OutOfSteps();
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.AsDouble() && b.AsDouble()) return OrderNumbers(a, b) == 0;
  if (a.sequence() && b.sequence()) {
    return EqualSequences(rt, *a.sequence(), *b.sequence(), depth);
  }
  if (a.dict() && b.dict()) return EqualDicts(rt, *a.dict(), *b.dict(), depth);
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) {
    return a.is_undefined() && b.is_undefined();
  }
  if (a.callable()) return a.callable() == b.callable();
  if (a.loop()) return a.loop() == b.loop();
  return a.name_space() && a.name_space() == b.name_space();
}

Result<int> Order(Runtime& rt, const Value& a, const Value& b, int depth) {
  if (depth > kContainerDepthMax) return TooDeep();
  if (!rt.Spend()) return rt.OutOfSteps();
  if (a.AsDouble() && b.AsDouble()) return OrderNumbers(a, b);
  if (a.text() && b.text()) {
    const std::string_view x = a.text()->bytes(), y = b.text()->bytes();
    if (!rt.Spend(Runtime::StepsFor(std::min(x.size(), y.size())))) {
      return rt.OutOfSteps();
    }
    return Sign(x.compare(y));  // the order of UTF-8 is that of code points
  }
  Sequence *x = a.sequence(), *y = b.sequence();
  if (x && y && SameKind(*x, *y) && x->kind() != Sequence::Kind::kRange) {
    return OrderSequences(rt, *x, *y, depth);
  }
  return BadOperands("<", a, b);
}

Result<bool> Compare(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (op == Op::kEqual || op == Op::kNotEqual) {
    ASSIGN_OR_RETURN(const bool equal, Equal(rt, a, b));
    return equal == (op == Op::kEqual);
  }
  if (op == Op::kIn || op == Op::kNotIn) {
    ASSIGN_OR_RETURN(const bool found, Contains(rt, b, a));
    return found == (op == Op::kIn);
  }
  ASSIGN_OR_RETURN(const int order, Order(rt, a, b));
  switch (op) {
    case Op::kLess:
      return order == -1;
    case Op::kLessEqual:
      return order <= 0;
    case Op::kGreater:
      return order == 1;
    default:
      return order == 0 || order == 1;
  }
}

Result<Value> Arithmetic(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (op == Op::kModulo && a.text()) return PercentFormat(rt, *a.text(), b);
  const auto x = a.AsInt(), y = b.AsInt();
  const bool negative_power = op == Op::kPower && y && *y < 0;
  if (x && y && op != Op::kDivide && !negative_power) {
    return IntegerArithmetic(op, *x, *y);
  }
  if (a.AsDouble() && b.AsDouble()) {
    return FloatArithmetic(op, *a.AsDouble(), *b.AsDouble());
  }
  if (op == Op::kAdd && a.text() && b.text()) return AddText(rt, a, b);
  if (op == Op::kAdd && Repeatable(a) && Repeatable(b) && !a.text() &&
      !b.text() && SameKind(*a.sequence(), *b.sequence())) {
    return AddSequences(rt, *a.sequence(), *b.sequence());
  }
  if (op == Op::kMultiply && Repeatable(a) && y) return Repeat(rt, a, *y);
  if (op == Op::kMultiply && Repeatable(b) && x) return Repeat(rt, b, *x);
  return BadOperands(Symbol(op), a, b);
}

Result<Value> Negate(const Value& value) {
  if (const auto i = value.AsInt()) {
    if (*i == std::numeric_limits<int64_t>::min()) return Overflow();
    return Value::Int(-*i);
  }
  if (value.number()) return Value::Float(-*value.number());
  return BadOperands("-", value, value);
}

Result<void> SortByKey(Runtime& rt, const std::vector<Value>& keys,
                       bool reverse, std::vector<size_t>* order) {
  order->resize(keys.size());
  std::iota(order->begin(), order->end(), size_t{0});
  // Python keeps equal items in their order also when it sorts in reverse.
  if (reverse) std::reverse(order->begin(), order->end());
  RETURN_IF_ERROR(MergeSort(rt, keys, 0, keys.size(), order));
  if (reverse) std::reverse(order->begin(), order->end());
  return {};
}

}  // namespace aio::jinja
