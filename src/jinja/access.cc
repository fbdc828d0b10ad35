// SPDX-License-Identifier: Apache-2.0
#include "jinja/access.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

Value NoAttribute(const Value& object, std::string_view name) {
  return Value::Missing(std::string(TypeName(object)) +
                        " object has no attribute " + Quoted(name));
}

// The item next to the current one; undefined outside the loop's items.
Value Neighbour(const Loop& loop, size_t index, std::string_view which) {
  if (index < loop.items->size()) return loop.items->at(index);
  return Value::Missing("there is no " + std::string(which) + " item");
}

std::optional<Value> LoopAttribute(const Loop& loop, std::string_view name) {
  const auto index0 = static_cast<int64_t>(loop.index0);
  const auto length = static_cast<int64_t>(loop.items->size());
  if (name == "index") return Value::Int(index0 + 1);
  if (name == "index0") return Value::Int(index0);
  if (name == "revindex") return Value::Int(length - index0);
  if (name == "revindex0") return Value::Int(length - index0 - 1);
  if (name == "first") return Value::Bool(index0 == 0);
  if (name == "last") return Value::Bool(index0 + 1 >= length);
  if (name == "length") return Value::Int(length);
  if (name == "depth") return Value::Int(loop.depth0 + 1);
  if (name == "depth0") return Value::Int(loop.depth0);
  if (name == "previtem") return Neighbour(loop, loop.index0 - 1, "previous");
  if (name == "nextitem") return Neighbour(loop, loop.index0 + 1, "next");
  return std::nullopt;
}

// What Python's getattr would find: methods and the attributes of our objects.
Result<std::optional<Value>> Member(Runtime& rt, const Value& object,
                                    std::string_view name) {
  if (const Builtin* method = FindMethod(object, name)) {
    ASSIGN_OR_RETURN(Callable* const bound, rt.NewCallable());
    bound->name = name;
    bound->builtin = method;
    bound->self = object;
    return std::optional(Value::Of(bound));
  }
  if (object.loop()) return LoopAttribute(*object.loop(), name);
  if (const Namespace* space = object.name_space()) {
    const Value* found = space->attributes.FindString(name);
    if (found != nullptr) return std::optional(*found);
  }
  if (object.callable() && object.callable()->macro && name == "name") {
    ASSIGN_OR_RETURN(Value text, rt.NewString(object.callable()->name, true));
    return std::optional(std::move(text));
  }
  return std::optional<Value>();
}

// `index` from either end, as an offset; nothing if out of range.
std::optional<size_t> Position(int64_t index, size_t size) {
  const auto length = static_cast<int64_t>(size);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return static_cast<size_t>(index);
}

Result<std::optional<Value>> IndexText(Runtime& rt, const Text& text,
                                       int64_t index) {
  if (!rt.Spend(Runtime::StepsFor(text.size()))) return rt.OutOfSteps();
  const auto at = Position(index, Characters(text.bytes()));
  if (!at) return std::optional<Value>();
  const size_t begin = CharacterOffset(text.bytes(), *at);
  const size_t size = DecodeUtf8(text.bytes(), begin).size;
  ASSIGN_OR_RETURN(Value character, rt.Substring(text, begin, begin + size));
  return std::optional(std::move(character));
}

// What Python's [] would find.
Result<std::optional<Value>> Element(Runtime& rt, const Value& object,
                                     const Value& key) {
  if (const Dict* dict = object.dict()) {
    const Result<std::string> code = KeyCode(key);
    const Value* found = code ? dict->Find(*code) : nullptr;
    if (found != nullptr) return std::optional(*found);
    return std::optional<Value>();
  }
  const auto index = key.AsInt();
  if (index && object.text()) return IndexText(rt, *object.text(), *index);
  const Sequence* sequence = object.sequence();
  if (index && sequence && sequence->indexed()) {
    const auto at = Position(*index, sequence->size());
    if (at) return std::optional(sequence->at(*at));
  }
  return std::optional<Value>();
}

// The indices a slice takes: start, start + step, …, count of them.
struct Indices {
  int64_t start, step;
  size_t count;
};

Result<int64_t> Bound(const Value& bound, int64_t otherwise) {
  if (bound.is_none()) return otherwise;
  if (const auto i = bound.AsInt()) return *i;
  if (bound.is_undefined()) return Fail(bound.Why());
  return Fail("slice indices must be integers or None");
}

// As Python's slice.indices.
Result<Indices> Resolve(const SliceBounds& bounds, size_t size) {
  const auto length = static_cast<int64_t>(size);
  ASSIGN_OR_RETURN(const int64_t given_step, Bound(bounds.step, 1));
  if (given_step == 0) return Fail("slice step cannot be zero");
  // Longer steps reach no second item either.
  const int64_t step = std::clamp(given_step, -length - 1, length + 1);
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
  const auto clamp = [&](int64_t i) {
    return std::clamp(i < 0 ? i + length : i, low, high);
  };
  ASSIGN_OR_RETURN(int64_t start, Bound(bounds.start, step < 0 ? high : low));
  ASSIGN_OR_RETURN(int64_t stop, Bound(bounds.stop, 0));
  start = bounds.start.is_none() ? start : clamp(start);
  if (bounds.stop.is_none()) {
    stop = step < 0 ? low : high;
  } else {
    stop = clamp(stop);
  }
  const int64_t distance = step < 0 ? start - stop : stop - start;
  const int64_t stride = step < 0 ? -step : step;
  const int64_t count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return Indices{start, step, static_cast<size_t>(count)};
}

// Walks the characters of a text in either direction.
class Walker {
 public:
  explicit Walker(std::string_view bytes) : bytes_(bytes) {}
  // REQUIRES: index is that of a character. Returns where it begins.
  size_t MoveTo(int64_t index) {
    for (; at_ < index; ++at_) offset_ += DecodeUtf8(bytes_, offset_).size;
    for (; at_ > index; --at_) offset_ = CharacterBefore(bytes_, offset_);
    return offset_;
  }

 private:
  std::string_view bytes_;
  int64_t at_ = 0;
  size_t offset_ = 0;
};

Result<Value> SliceText(Runtime& rt, const Text& text,
                        const SliceBounds& bounds) {
  const std::string_view bytes = text.bytes();
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  ASSIGN_OR_RETURN(const Indices indices, Resolve(bounds, Characters(bytes)));
  Walker walker(bytes);
  TextBuilder out(rt);
  if (indices.step == 1 && indices.count > 0) {
    const size_t begin = walker.MoveTo(indices.start);
    const size_t end =
        walker.MoveTo(indices.start + static_cast<int64_t>(indices.count));
    out.Append(text, begin, end);
    return out.Finish();
  }
  int64_t index = indices.start;
  for (size_t i = 0; i < indices.count && !out.full(); ++i) {
    const size_t begin = walker.MoveTo(index);
    out.Append(text, begin, begin + DecodeUtf8(bytes, begin).size);
    index += indices.step;
  }
  return out.Finish();
}

// A range again, so that it still compares and tests as one.
Result<Value> SliceRange(Runtime& rt, const Sequence& range,
                         const Indices& indices) {
  if (indices.count == 0) {
    ASSIGN_OR_RETURN(Sequence* const empty, rt.NewRange(0, 1, 0));
    return Value::Of(empty);
  }
  const Value first = range.at(static_cast<size_t>(indices.start));
  // With a single number the step may be anything, and must not overflow.
  const int64_t step = indices.count > 1 ? range.step() * indices.step : 1;
  ASSIGN_OR_RETURN(Sequence* const slice,
                   rt.NewRange(*first.integer(), step, indices.count));
  return Value::Of(slice);
}

// A part of a path: a number is an index.
Result<Value> PathPart(Runtime& rt, std::string_view part) {
  int64_t index = 0;
  const auto end = part.data() + part.size();
  const auto parsed = std::from_chars(part.data(), end, index);
  const bool number = !part.empty() && part[0] != '-' && parsed.ptr == end &&
                      parsed.ec == std::errc();
  if (number) return Value::Int(index);
  return rt.NewString(part, true);
}

}  // namespace

Result<Value> GetAttribute(Runtime& rt, const Value& object,
                           std::string_view name) {
  if (object.is_undefined()) return Fail(object.Why());
  ASSIGN_OR_RETURN(std::optional<Value> found, Member(rt, object, name));
  if (found) return *std::move(found);
  if (const Dict* dict = object.dict()) {
    if (const Value* item = dict->FindString(name)) return *item;
  }
  return NoAttribute(object, name);
}

Result<Value> GetMember(Runtime& rt, const Value& object,
                        std::string_view name) {
  if (object.is_undefined()) return Fail(object.Why());
  ASSIGN_OR_RETURN(std::optional<Value> found, Member(rt, object, name));
  return found ? *std::move(found) : NoAttribute(object, name);
}

Result<Value> GetItem(Runtime& rt, const Value& object, const Value& key) {
  if (object.is_undefined()) return Fail(object.Why());
  ASSIGN_OR_RETURN(std::optional<Value> found, Element(rt, object, key));
  if (found) return *std::move(found);
  if (key.text()) {
    const std::string_view name = key.text()->bytes();
    ASSIGN_OR_RETURN(found, Member(rt, object, name));
    if (found) return *std::move(found);
    return NoAttribute(object, name);
  }
  return Value::Missing(std::string(TypeName(object)) +
                        " object has no such element");
}

Result<Value> GetSlice(Runtime& rt, const Value& object,
                       const SliceBounds& bounds) {
  if (object.text()) return SliceText(rt, *object.text(), bounds);
  if (object.is_undefined()) return Fail(object.Why());
  const Sequence* sequence = object.sequence();
  if (sequence == nullptr || !sequence->indexed()) {
    return Fail("a value of type '" + std::string(TypeName(object)) +
                "' cannot be sliced");
  }
  ASSIGN_OR_RETURN(const Indices indices, Resolve(bounds, sequence->size()));
  if (!rt.Spend(1 + indices.count)) return rt.OutOfSteps();
  if (sequence->kind() == Sequence::Kind::kRange) {
    return SliceRange(rt, *sequence, indices);
  }
  std::vector<Value> items;
  for (size_t i = 0; i < indices.count; ++i) {
    const int64_t at = indices.start + static_cast<int64_t>(i) * indices.step;
    items.push_back(sequence->at(static_cast<size_t>(at)));
  }
  const auto kind = sequence->kind() == Sequence::Kind::kTuple
                        ? Sequence::Kind::kTuple
                        : Sequence::Kind::kList;
  ASSIGN_OR_RETURN(Sequence* const slice,
                   rt.NewSequence(kind, std::move(items)));
  return Value::Of(slice);
}

Result<Value> GetPath(Runtime& rt, Value object, const Value& path) {
  if (!path.text()) return GetItem(rt, object, path);
  std::string_view rest = path.text()->bytes();
  while (true) {
    const size_t dot = rest.find('.');
    ASSIGN_OR_RETURN(const Value part, PathPart(rt, rest.substr(0, dot)));
    ASSIGN_OR_RETURN(object, GetItem(rt, object, part));
    if (dot == std::string_view::npos) return object;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace aio::jinja
