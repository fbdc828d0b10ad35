// SPDX-License-Identifier: Apache-2.0
//
// The methods of list, tuple, dict and loop. Those that change a list or a dict
// work, as in llama.cpp's evaluator; Hugging Face's immutable sandbox refuses
// them. FindMethod guarantees the type of self.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

Result<Value> NotSupported(Runtime&, const Value&, Args) {
  return Unsupported("this method of a list or dict");
}

Result<Value> Append(Runtime& rt, const Value& self, Args args) {
  RETURN_IF_ERROR(rt.Append(self.sequence(), *args[0]));
  return Value();
}

Result<Value> Extend(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Sequence* const more, Iterate(rt, *args[0]));
  const size_t count = more->size();  // before it grows, if it is self
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(rt.Append(self.sequence(), more->at(i)));
  }
  return Value();
}

// Where list.insert and list.pop's index points, clamped to [0, size].
size_t Clamp(int64_t index, size_t size) {
  const auto length = static_cast<int64_t>(size);
  return static_cast<size_t>(
      std::clamp<int64_t>(index < 0 ? index + length : index, 0, length));
}

Result<Value> Insert(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t index, IntArgument(args[0], "index", 0));
  Sequence& list = *self.sequence();
  const size_t at = Clamp(index, list.size());
  if (!rt.Spend(list.size() - at)) return rt.OutOfSteps();
  RETURN_IF_ERROR(rt.Append(&list, *args[1]));
  std::rotate(list.items().begin() + static_cast<ptrdiff_t>(at),
              list.items().end() - 1, list.items().end());
  return Value();
}

Result<Value> Pop(Runtime& rt, const Value& self, Args args) {
  std::vector<Value>& items = self.sequence()->items();
  ASSIGN_OR_RETURN(int64_t index, IntArgument(args[0], "index", -1));
  const auto length = static_cast<int64_t>(items.size());
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Fail("pop index out of range");
  if (!rt.Spend(static_cast<size_t>(length - index))) return rt.OutOfSteps();
  Value item = items[static_cast<size_t>(index)];
  items.erase(items.begin() + static_cast<ptrdiff_t>(index));
  return item;
}

Result<Value> Count(Runtime& rt, const Value& self, Args args) {
  int64_t count = 0;
  for (size_t i = 0; i < self.sequence()->size(); ++i) {
    ASSIGN_OR_RETURN(const bool same,
                     Equal(rt, self.sequence()->at(i), *args[0]));
    count += same;
  }
  return Value::Int(count);
}

Result<Value> Index(Runtime& rt, const Value& self, Args args) {
  for (size_t i = 0; i < self.sequence()->size(); ++i) {
    ASSIGN_OR_RETURN(const bool same,
                     Equal(rt, self.sequence()->at(i), *args[0]));
    if (same) return Value::Int(static_cast<int64_t>(i));
  }
  return Fail("a value is not in the list");
}

Result<Value> CopyList(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(
      Sequence* const copy,
      rt.NewSequence(Sequence::Kind::kList, self.sequence()->items()));
  return Value::Of(copy);
}

Result<Value> Get(Runtime&, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::string code, KeyCode(*args[0]));
  const Value* found = self.dict()->Find(code);
  if (found != nullptr) return *found;
  return args[1] ? *args[1] : Value();
}

enum class Part : uint8_t { kKeys, kValues, kItems };

template <Part part>
Result<Value> View(Runtime& rt, const Value& self, Args) {
  std::vector<Value> items;
  for (const Dict::Entry& entry : self.dict()->entries()) {
    if (part == Part::kKeys) items.push_back(entry.key);
    if (part == Part::kValues) items.push_back(entry.value);
    if (part != Part::kItems) continue;
    ASSIGN_OR_RETURN(
        Sequence* const pair,
        rt.NewSequence(Sequence::Kind::kTuple, {entry.key, entry.value}));
    items.push_back(Value::Of(pair));
  }
  ASSIGN_OR_RETURN(Sequence* const view,
                   rt.NewSequence(Sequence::Kind::kView, std::move(items)));
  return Value::Of(view);
}

Result<void> Merge(Runtime& rt, const Dict& from, Dict* into) {
  // A copy, because `into` may be `from`.
  const std::vector<Dict::Entry> entries = from.entries();
  for (const Dict::Entry& entry : entries) {
    RETURN_IF_ERROR(rt.Set(into, entry.key, entry.value));
  }
  return {};
}

Result<Value> Update(Runtime& rt, const Value& self, Args args) {
  for (const Value& from : args.positional) {
    if (!from.dict()) return Unsupported("update by something but a dict");
    RETURN_IF_ERROR(Merge(rt, *from.dict(), self.dict()));
  }
  for (const auto& [name, value] : args.named) {
    RETURN_IF_ERROR(rt.Set(self.dict(), name, value));
  }
  return Value();
}

Result<Value> CopyDict(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(Dict* const copy, rt.NewDict());
  RETURN_IF_ERROR(Merge(rt, *self.dict(), copy));
  return Value::Of(copy);
}

Result<Value> PopKey(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::string code, KeyCode(*args[0]));
  const Value* found = self.dict()->Find(code);
  if (found == nullptr && args[1]) return *args[1];
  if (found == nullptr) return Fail("pop: no such key");
  if (!rt.Spend(self.dict()->size())) return rt.OutOfSteps();
  Value value = *found;
  self.dict()->Erase(code);
  return value;
}

Result<Value> SetDefault(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::string code, KeyCode(*args[0]));
  if (const Value* found = self.dict()->Find(code)) return *found;
  Value value = args[1] ? *args[1] : Value();
  RETURN_IF_ERROR(rt.Set(self.dict(), *args[0], value));
  return value;
}

Result<Value> Cycle(Runtime&, const Value& self, Args args) {
  if (args.positional.empty()) return Fail("no items for cycling given");
  return args.positional[self.loop()->index0 % args.positional.size()];
}

Result<Value> Changed(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(Sequence* const now,
                   rt.NewSequence(Sequence::Kind::kTuple, args.positional));
  Loop& loop = *self.loop();
  if (loop.changed) {
    ASSIGN_OR_RETURN(const bool same, Equal(rt, *loop.changed, Value::Of(now)));
    if (same) return Value::Bool(false);
  }
  loop.changed = Value::Of(now);
  return Value::Bool(true);
}

constexpr Builtin kListMethods[] = {
    {"append", Append, {"object"}, 1},
    {"clear", NotSupported},
    {"copy", CopyList},
    {"count", Count, {"value"}, 1},
    {"extend", Extend, {"iterable"}, 1},
    {"index", Index, {"value"}, 1},
    {"insert", Insert, {"index", "object"}, 2},
    {"pop", Pop, {"index"}},
    {"remove", NotSupported, {"value"}, 1},
    {"reverse", NotSupported},
    {"sort", NotSupported, {}, 0, true},
};

constexpr Builtin kTupleMethods[] = {
    {"count", Count, {"value"}, 1},
    {"index", Index, {"value"}, 1},
};

constexpr Builtin kDictMethods[] = {
    {"clear", NotSupported},
    {"copy", CopyDict},
    {"fromkeys", NotSupported, {}, 0, true},
    {"get", Get, {"key", "default"}, 1},
    {"items", View<Part::kItems>},
    {"keys", View<Part::kKeys>},
    {"pop", PopKey, {"key", "default"}, 1},
    {"popitem", NotSupported},
    {"setdefault", SetDefault, {"key", "default"}, 1},
    {"update", Update, {}, 0, true},
    {"values", View<Part::kValues>},
};

constexpr Builtin kLoopMethods[] = {
    {"changed", Changed, {}, 0, true},
    {"cycle", Cycle, {}, 0, true},
};

}  // namespace

std::span<const Builtin> ListMethods() { return kListMethods; }
std::span<const Builtin> TupleMethods() { return kTupleMethods; }
std::span<const Builtin> DictMethods() { return kDictMethods; }
std::span<const Builtin> LoopMethods() { return kLoopMethods; }

}  // namespace aio::jinja
