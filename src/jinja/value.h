// SPDX-License-Identifier: Apache-2.0
//
// The values of the template language, with Python's types and meaning:
// undefined, None, bool, int (64 bits; more is an error), float, str, list (and
// tuple, range, dict view, generator), dict, namespace, loop and callables.
//
// Strings are shared and immutable. Everything else with parts is owned by the
// Runtime and lives until the rendering ends: a list that contains itself then
// needs no care, and no chain of destructors can exhaust the stack.
//
// Thread safety: none; values belong to one rendering.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "jinja/text.h"

namespace aio::jinja {

class Dict;
class Runtime;
class Sequence;
struct Callable;
struct Loop;
struct Macro;
struct Namespace;
struct Scope;

class Value {
 public:
  // `markup`: the value of `safe` and `escape`: adding another string to it
  // HTML-escapes that one, as MarkupSafe does.
  struct String {
    TextPtr text;
    bool markup = false;
  };
  // Why there is no value; the message of the error if one is needed after all.
  struct Undefined {
    TextPtr why;
  };
  struct None {};

  Value() : rep_(None{}) {}
  static Value Bool(bool b) { return Value(Rep(b)); }
  static Value Int(int64_t i) { return Value(Rep(i)); }
  static Value Float(double d) { return Value(Rep(d)); }
  static Value Str(TextPtr text, bool markup = false) {
    return Value(Rep(String{std::move(text), markup}));
  }
  static Value Missing(std::string_view why) {
    return Value(Rep(Undefined{std::make_shared<Text>(why, false)}));
  }
  // REQUIRES: not null; the object outlives the value.
  static Value Of(Sequence* s) { return Value(Rep(s)); }
  static Value Of(Dict* d) { return Value(Rep(d)); }
  static Value Of(Namespace* n) { return Value(Rep(n)); }
  static Value Of(Loop* l) { return Value(Rep(l)); }
  static Value Of(Callable* c) { return Value(Rep(c)); }

  bool is_none() const { return As<None>() != nullptr; }
  bool is_undefined() const { return As<Undefined>() != nullptr; }
  bool is_markup() const { return As<String>() && As<String>()->markup; }
  // Null unless the value is of that type.
  const bool* boolean() const { return As<bool>(); }
  const int64_t* integer() const { return As<int64_t>(); }
  const double* number() const { return As<double>(); }
  const Text* text() const {
    return As<String>() ? As<String>()->text.get() : nullptr;
  }
  Sequence* sequence() const { return Object<Sequence>(); }
  Dict* dict() const { return Object<Dict>(); }
  Namespace* name_space() const { return Object<Namespace>(); }
  Loop* loop() const { return Object<Loop>(); }
  Callable* callable() const { return Object<Callable>(); }

  // An int or a bool, as Python's indices accept.
  std::optional<int64_t> AsInt() const;
  // An int, a bool or a float.
  std::optional<double> AsDouble() const;
  // The message of an undefined value.
  std::string Why() const;

 private:
  using Rep = std::variant<None, Undefined, bool, int64_t, double, String,
                           Sequence*, Dict*, Namespace*, Loop*, Callable*>;
  explicit Value(Rep rep) : rep_(std::move(rep)) {}
  template <typename T>
  const T* As() const {
    return std::get_if<T>(&rep_);
  }
  template <typename T>
  T* Object() const {
    T* const* object = std::get_if<T*>(&rep_);
    return object == nullptr ? nullptr : *object;
  }

  Rep rep_;
};

// What the Runtime owns.
struct HeapObject {
  virtual ~HeapObject() = default;
};

// A list and its relatives. A range is not stored but computed.
class Sequence : public HeapObject {
 public:
  enum class Kind : uint8_t { kList, kTuple, kRange, kView, kGenerator };

  Sequence(Kind kind, std::vector<Value> items)
      : kind_(kind), items_(std::move(items)) {}
  // range(start, start + count * step, step)
  Sequence(int64_t start, int64_t step, size_t count)
      : kind_(Kind::kRange), start_(start), step_(step), count_(count) {}

  Kind kind() const { return kind_; }
  size_t size() const { return kind_ == Kind::kRange ? count_ : items_.size(); }
  // REQUIRES: i < size().
  Value at(size_t i) const {
    return kind_ == Kind::kRange
               ? Value::Int(start_ + static_cast<int64_t>(i) * step_)
               : items_[i];
  }
  // REQUIRES: kind() is kRange.
  int64_t step() const { return step_; }
  // Whether len() and [] work.
  bool sized() const { return kind_ != Kind::kGenerator; }
  bool indexed() const { return sized() && kind_ != Kind::kView; }
  // REQUIRES: kind() is not kRange. Growth is paid for by the caller.
  std::vector<Value>& items() { return items_; }

 private:
  Kind kind_;
  std::vector<Value> items_;
  int64_t start_ = 0, step_ = 1;
  size_t count_ = 0;
};

// Keys keep the order they were first set in. A key is looked up by a code of
// its value, equal for equal keys (1, 1.0 and true are one key, as in Python).
// Cost: O(log n) beyond a few entries; Erase is O(n).
class Dict : public HeapObject {
 public:
  struct Entry {
    std::string code;
    Value key;
    Value value;
  };
  // Null if there is none.
  const Value* Find(std::string_view code) const;
  const Value* FindString(std::string_view key) const;
  // Growth is paid for by the caller: kEntryBytes and the code.
  void Set(std::string code, Value key, Value value);
  bool Erase(std::string_view code);
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

  static constexpr size_t kEntryBytes = 160;

 private:
  size_t IndexOf(std::string_view code) const;

  std::vector<Entry> entries_;
  // Only when there are many: a short list is searched as fast.
  std::map<std::string, size_t, std::less<>> index_;
};

// The code under which Dict knows a key; an error for one that has none (a
// list, say: "unhashable").
Result<std::string> KeyCode(const Value& key, int depth = 0);
std::string StringKeyCode(std::string_view key);

// namespace(a=1): the one object whose attributes a template may set.
struct Namespace : HeapObject {
  Dict attributes;
};

// `loop` inside a for.
struct Loop : HeapObject {
  Sequence* items = nullptr;
  size_t index0 = 0;
  int64_t depth0 = 0;
  std::optional<Value> changed;  // loop.changed()'s last arguments, a tuple
};

// The arguments of a call. After binding to a builtin's parameters, positional
// holds what stands in no parameter ("*").
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  // By parameter; empty where the call did not give it.
  std::array<std::optional<Value>, 5> bound;

  // Null if the call did not give parameter i.
  const Value* operator[](size_t i) const {
    return bound[i] ? &*bound[i] : nullptr;
  }
};

// A filter, test, method or global function. `self` is the filtered or tested
// value or the object of the method; None for a function.
struct Builtin {
  std::string_view name;
  Result<Value> (*run)(Runtime&, const Value& self, const Arguments&);
  std::array<std::string_view, 5> parameters = {};
  int required = 0;       // how many of them must be given
  bool variadic = false;  // takes more, positional or named
};

struct Callable : HeapObject {
  std::string name;
  // One of the two.
  const Builtin* builtin = nullptr;
  const Macro* macro = nullptr;
  Value self;                      // builtin: the object of a method
  std::shared_ptr<Scope> closure;  // macro: where it was defined
};

}  // namespace aio::jinja
