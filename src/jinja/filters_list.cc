// SPDX-License-Identifier: Apache-2.0
//
// The filters over lists and dicts. Those that are generators in Jinja are run
// at once here and come out as a generator value: it can be walked once, and
// has no length, until `list` makes one of it.
#include <algorithm>
#include <set>

#include "jinja/access.h"
#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/strings.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;
using Kind = Sequence::Kind;

Result<Value> Make(Runtime& rt, Kind kind, std::vector<Value> items) {
  ASSIGN_OR_RETURN(Sequence* const sequence,
                   rt.NewSequence(kind, std::move(items)));
  return Value::Of(sequence);
}

Result<std::vector<Value>> Items(Runtime& rt, const Value& value) {
  ASSIGN_OR_RETURN(const Sequence* const sequence, Iterate(rt, value));
  if (!rt.Spend(1 + sequence->size())) return rt.OutOfSteps();
  std::vector<Value> items;
  for (size_t i = 0; i < sequence->size(); ++i)
    items.push_back(sequence->at(i));
  return items;
}

Result<Value> List(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(rt, self));
  return Make(rt, Kind::kList, std::move(items));
}

Result<Value> DoLength(Runtime&, const Value& self, Args) {
  ASSIGN_OR_RETURN(const size_t length, Length(self));
  return Value::Int(static_cast<int64_t>(length));
}

Result<Value> First(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt, self));
  if (items->size() > 0) return items->at(0);
  return Value::Missing("No first item, sequence was empty.");
}

Result<Value> Last(Runtime& rt, const Value& self, Args) {
  if (self.sequence() && !self.sequence()->sized()) {
    return Fail("a generator has no last item; use 'list' first");
  }
  ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt, self));
  if (items->size() > 0) return items->at(items->size() - 1);
  return Value::Missing("No last item, sequence was empty.");
}

Result<Value> Reverse(Runtime& rt, const Value& self, Args) {
  if (self.text()) {
    return GetSlice(rt, self, {Value(), Value(), Value::Int(-1)});
  }
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(rt, self));
  std::reverse(items.begin(), items.end());
  return Make(rt, Kind::kGenerator, std::move(items));
}

Result<Value> DoItems(Runtime& rt, const Value& self, Args) {
  if (self.is_undefined()) return Make(rt, Kind::kGenerator, {});
  if (!self.dict()) return Fail("Can only get item pairs from a mapping.");
  ASSIGN_OR_RETURN(const Value view,
                   Apply(rt, "method", *FindMethod(self, "items"), self, {}));
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(rt, view));
  return Make(rt, Kind::kGenerator, std::move(items));
}

Result<Value> Default(Runtime&, const Value& self, Args args) {
  const bool falsy = BoolArgument(args[1], false) && !Truth(self);
  if (!self.is_undefined() && !falsy) return self;
  return args[0] ? *args[0] : Value::Str(std::make_shared<Text>());
}

Result<Value> Attribute(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const name, TextArgument(*args[0], "name"));
  return GetMember(rt, self, name->bytes());
}

// Keys to sort or compare by: strings in lower case unless asked otherwise.
Result<Value> SortKey(Runtime& rt, const Value& value, bool case_sensitive) {
  if (!value.text() || case_sensitive) return value;
  return ChangeCase(rt, *value.text(), Case::kLower);
}

// The parts of "a,b": each is a path.
Result<std::vector<Value>> Paths(Runtime& rt, const Value* attribute) {
  if (attribute == nullptr || attribute->is_none()) {
    return std::vector<Value>();
  }
  if (!attribute->text()) return std::vector<Value>{*attribute};
  Splitting how;
  how.separator = ",";
  const Text& text = *attribute->text();
  ASSIGN_OR_RETURN(const Pieces pieces, Split(rt, text.bytes(), how));
  ASSIGN_OR_RETURN(const Value list, ListOfPieces(rt, text, pieces));
  return Items(rt, list);
}

Result<std::vector<Value>> Keys(Runtime& rt, const std::vector<Value>& items,
                                const Value* attribute, bool case_sensitive) {
  ASSIGN_OR_RETURN(const std::vector<Value> paths, Paths(rt, attribute));
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    if (paths.empty()) parts.push_back(item);
    for (const Value& path : paths) {
      ASSIGN_OR_RETURN(Value part, GetPath(rt, item, path));
      parts.push_back(std::move(part));
    }
    for (Value& part : parts) {
      ASSIGN_OR_RETURN(part, SortKey(rt, part, case_sensitive));
    }
    if (parts.size() == 1) {
      keys.push_back(std::move(parts[0]));
    } else {
      ASSIGN_OR_RETURN(Value key, Make(rt, Kind::kTuple, std::move(parts)));
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

Result<Value> Sorted(Runtime& rt, const std::vector<Value>& items,
                     const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order;
  RETURN_IF_ERROR(SortByKey(rt, keys, reverse, &order));
  std::vector<Value> sorted;
  for (const size_t i : order) sorted.push_back(items[i]);
  return Make(rt, Kind::kList, std::move(sorted));
}

Result<Value> Sort(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  ASSIGN_OR_RETURN(std::vector<Value> keys,
                   Keys(rt, items, args[2], BoolArgument(args[1], false)));
  // In Jinja the keys are lists, so that equal ones are not asked for their
  // order, which undefined ones do not have.
  for (Value& key : keys) {
    ASSIGN_OR_RETURN(key, Make(rt, Kind::kTuple, {key}));
  }
  return Sorted(rt, items, keys, BoolArgument(args[0], false));
}

Result<Value> DictSort(Runtime& rt, const Value& self, Args args) {
  if (self.is_undefined()) return Fail(self.Why());
  if (!self.dict()) return Fail("dictsort of something but a dict");
  const bool by_value =
      args[1] && args[1]->text() && args[1]->text()->bytes() == "value";
  ASSIGN_OR_RETURN(const Value view,
                   Apply(rt, "method", *FindMethod(self, "items"), self, {}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, view));
  const Value position = Value::Int(by_value ? 1 : 0);
  ASSIGN_OR_RETURN(const std::vector<Value> keys,
                   Keys(rt, items, &position, BoolArgument(args[0], false)));
  return Sorted(rt, items, keys, BoolArgument(args[2], false));
}

Result<Value> Unique(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  ASSIGN_OR_RETURN(const std::vector<Value> keys,
                   Keys(rt, items, args[1], BoolArgument(args[0], false)));
  std::set<std::string> seen;
  std::vector<Value> unique;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(std::string code, KeyCode(keys[i]));
    if (!rt.Spend(Runtime::StepsFor(code.size()))) return rt.OutOfSteps();
    if (seen.insert(std::move(code)).second) unique.push_back(items[i]);
  }
  return Make(rt, Kind::kGenerator, std::move(unique));
}

template <int wanted>  // the sign of the order: -1 for min, 1 for max
Result<Value> Extreme(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  ASSIGN_OR_RETURN(const std::vector<Value> keys,
                   Keys(rt, items, args[1], BoolArgument(args[0], false)));
  if (items.empty()) {
    return Value::Missing("No aggregated item, sequence was empty.");
  }
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    ASSIGN_OR_RETURN(const int order, Order(rt, keys[i], keys[best]));
    if (order == wanted) best = i;
  }
  return items[best];
}

Result<Value> Sum(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  Value sum = args[1] ? *args[1] : Value::Int(0);
  for (const Value& item : items) {
    Value term = item;
    if (args[0] && !args[0]->is_none()) {
      ASSIGN_OR_RETURN(term, GetPath(rt, item, *args[0]));
    }
    ASSIGN_OR_RETURN(sum, Arithmetic(rt, Op::kAdd, sum, term));
  }
  return sum;
}

// map(attribute='x', default=y)
Result<Value> MapAttribute(Runtime& rt, const std::vector<Value>& items,
                           Args args) {
  const Value *path = nullptr, *otherwise = nullptr;
  for (const auto& [name, value] : args.named) {
    if (name == "attribute") path = &value;
    if (name == "default" && !value.is_none()) otherwise = &value;
  }
  if (path == nullptr) return Fail("map requires a filter argument");
  std::vector<Value> mapped;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value value, GetPath(rt, item, *path));
    const bool missing = value.is_undefined() && otherwise != nullptr;
    mapped.push_back(missing ? *otherwise : std::move(value));
  }
  return Make(rt, Kind::kGenerator, std::move(mapped));
}

Result<Value> Map(Runtime& rt, const Value& self, Args args) {
  if (!Truth(self)) return Make(rt, Kind::kGenerator, {});
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  if (args.positional.empty()) return MapAttribute(rt, items, args);
  ASSIGN_OR_RETURN(const Text* const name,
                   TextArgument(args.positional[0], "name"));
  const Builtin* filter = FindFilter(name->bytes());
  if (filter == nullptr) return Unsupported("map by an unknown filter");
  std::vector<Value> mapped;
  for (const Value& item : items) {
    Arguments rest;
    rest.positional.assign(args.positional.begin() + 1, args.positional.end());
    rest.named = args.named;
    ASSIGN_OR_RETURN(Value value,
                     Apply(rt, "filter", *filter, item, std::move(rest)));
    mapped.push_back(std::move(value));
  }
  return Make(rt, Kind::kGenerator, std::move(mapped));
}

// The test of select and its relatives: by name, or the truth of the value.
class Chooser {
 public:
  static Result<Chooser> From(Args args, size_t skip) {
    Chooser chooser(args, skip);
    if (args.positional.size() > skip) {
      ASSIGN_OR_RETURN(const Text* const name,
                       TextArgument(args.positional[skip], "test"));
      chooser.test_ = FindTest(name->bytes());
      if (!chooser.test_) return Unsupported("select by an unknown test");
    }
    return chooser;
  }

  Result<bool> Holds(Runtime& rt, const Value& value) const {
    if (test_ == nullptr) return Truth(value);
    Arguments rest;
    rest.positional.assign(
        args_->positional.begin() + static_cast<ptrdiff_t>(skip_) + 1,
        args_->positional.end());
    rest.named = args_->named;
    ASSIGN_OR_RETURN(const Value result,
                     Apply(rt, "test", *test_, value, std::move(rest)));
    return Truth(result);
  }

 private:
  Chooser(Args args, size_t skip) : args_(&args), skip_(skip) {}
  const Arguments* args_;
  size_t skip_;
  const Builtin* test_ = nullptr;
};

template <bool wanted, bool by_attribute>
Result<Value> Select(Runtime& rt, const Value& self, Args args) {
  if (!Truth(self)) return Make(rt, Kind::kGenerator, {});
  if (by_attribute && args.positional.empty()) {
    return Fail("selectattr needs the name of an attribute");
  }
  ASSIGN_OR_RETURN(const Chooser chooser,
                   Chooser::From(args, by_attribute ? 1 : 0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  std::vector<Value> chosen;
  for (const Value& item : items) {
    Value looked_at = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(looked_at, GetPath(rt, item, args.positional[0]));
    }
    ASSIGN_OR_RETURN(const bool holds, chooser.Holds(rt, looked_at));
    if (holds == wanted) chosen.push_back(item);
  }
  return Make(rt, Kind::kGenerator, std::move(chosen));
}

Result<Value> Batch(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t size, IntArgument(args[0], "linecount", 1));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  if (size < 1 || size > rt.limits().range_max) {
    return Unsupported("batches of this size");
  }
  const auto step = static_cast<size_t>(size);
  std::vector<Value> batches;
  for (size_t i = 0; i < items.size(); i += step) {
    const size_t end = std::min(items.size(), i + step);
    std::vector<Value> batch(items.begin() + static_cast<ptrdiff_t>(i),
                             items.begin() + static_cast<ptrdiff_t>(end));
    if (args[1] && !args[1]->is_none()) batch.resize(step, *args[1]);
    ASSIGN_OR_RETURN(Value list, Make(rt, Kind::kList, std::move(batch)));
    batches.push_back(std::move(list));
  }
  return Make(rt, Kind::kGenerator, std::move(batches));
}

Result<Value> GroupBy(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(rt, self));
  ASSIGN_OR_RETURN(const std::vector<Value> keys,
                   Keys(rt, items, args[0], BoolArgument(args[1], false)));
  std::vector<size_t> order;
  RETURN_IF_ERROR(SortByKey(rt, keys, false, &order));
  std::vector<Value> groups;
  for (size_t i = 0; i < order.size();) {
    const size_t first = i;
    std::vector<Value> members;
    for (bool same = true; same;) {
      members.push_back(items[order[i++]]);
      if (i == order.size()) break;
      ASSIGN_OR_RETURN(same, Equal(rt, keys[order[i]], keys[order[first]]));
    }
    ASSIGN_OR_RETURN(Value name, GetPath(rt, items[order[first]], *args[0]));
    ASSIGN_OR_RETURN(Value list, Make(rt, Kind::kList, std::move(members)));
    ASSIGN_OR_RETURN(Value group, Make(rt, Kind::kTuple, {name, list}));
    groups.push_back(std::move(group));
  }
  return Make(rt, Kind::kList, std::move(groups));
}

constexpr Builtin kFilters[] = {
    {"attr", Attribute, {"name"}, 1},
    {"batch", Batch, {"linecount", "fill_with"}, 1},
    {"count", DoLength},
    {"d", Default, {"default_value", "boolean"}},
    {"default", Default, {"default_value", "boolean"}},
    {"dictsort", DictSort, {"case_sensitive", "by", "reverse"}},
    {"first", First},
    {"groupby", GroupBy, {"attribute", "case_sensitive"}, 1},
    {"items", DoItems},
    {"last", Last},
    {"length", DoLength},
    {"list", List},
    {"map", Map, {}, 0, true},
    {"max", Extreme<1>, {"case_sensitive", "attribute"}},
    {"min", Extreme<-1>, {"case_sensitive", "attribute"}},
    {"reject", Select<false, false>, {}, 0, true},
    {"rejectattr", Select<false, true>, {}, 0, true},
    {"reverse", Reverse},
    {"select", Select<true, false>, {}, 0, true},
    {"selectattr", Select<true, true>, {}, 0, true},
    {"sort", Sort, {"reverse", "case_sensitive", "attribute"}},
    {"sum", Sum, {"attribute", "start"}},
    {"unique", Unique, {"case_sensitive", "attribute"}},
};

}  // namespace

std::span<const Builtin> ListFilters() { return kFilters; }

}  // namespace aio::jinja
