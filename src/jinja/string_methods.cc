// SPDX-License-Identifier: Apache-2.0
//
// The methods of str. FindMethod guarantees that self is a string.
#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/format.h"
#include "jinja/operators.h"
#include "jinja/strings.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

template <Case to>
Result<Value> ToCase(Runtime& rt, const Value& self, Args) {
  return ChangeCase(rt, *self.text(), to);
}

template <Side side>
Result<Value> StripSide(Runtime& rt, const Value& self, Args args) {
  std::optional<std::string_view> chars;
  if (args[0] && !args[0]->is_none()) {
    ASSIGN_OR_RETURN(const Text* const text, TextArgument(*args[0], "chars"));
    chars = text->bytes();
  }
  return Strip(rt, *self.text(), chars, side);
}

template <bool from_right>
Result<Value> SplitText(Runtime& rt, const Value& self, Args args) {
  Splitting how;
  how.from_right = from_right;
  if (args[0] && !args[0]->is_none()) {
    ASSIGN_OR_RETURN(const Text* const text, TextArgument(*args[0], "sep"));
    if (text->empty()) return Fail("split by an empty separator");
    how.separator = text->bytes();
  }
  ASSIGN_OR_RETURN(how.count, IntArgument(args[1], "maxsplit", -1));
  ASSIGN_OR_RETURN(const Pieces pieces, Split(rt, self.text()->bytes(), how));
  return ListOfPieces(rt, *self.text(), pieces);
}

Result<Value> DoSplitLines(Runtime& rt, const Value& self, Args args) {
  const bool keep_ends = BoolArgument(args[0], false);
  ASSIGN_OR_RETURN(const Pieces pieces,
                   SplitLines(rt, self.text()->bytes(), keep_ends));
  return ListOfPieces(rt, *self.text(), pieces);
}

template <bool from_right>
Result<Value> Partition(Runtime& rt, const Value& self, Args args) {
  const Text& text = *self.text();
  ASSIGN_OR_RETURN(const Text* const separator, TextArgument(*args[0], "sep"));
  if (separator->empty()) return Fail("partition by an empty separator");
  size_t at = from_right ? FindLastBytes(text.bytes(), separator->bytes())
                         : FindBytes(text.bytes(), separator->bytes(), 0);
  size_t end = at + separator->size();
  if (at == std::string_view::npos) {
    at = end = from_right ? 0 : text.size();
  }
  ASSIGN_OR_RETURN(Value before, rt.Substring(text, 0, at));
  ASSIGN_OR_RETURN(Value middle, rt.Substring(text, at, end));
  ASSIGN_OR_RETURN(Value after, rt.Substring(text, end, text.size()));
  ASSIGN_OR_RETURN(
      Sequence* const tuple,
      rt.NewSequence(Sequence::Kind::kTuple, {before, middle, after}));
  return Value::Of(tuple);
}

Result<Value> DoReplace(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const old_part, TextArgument(*args[0], "old"));
  ASSIGN_OR_RETURN(const Text* const new_part, TextArgument(*args[1], "new"));
  ASSIGN_OR_RETURN(const int64_t count, IntArgument(args[2], "count", -1));
  return Replace(rt, *self.text(), *old_part, *new_part, count);
}

// The part of self that the arguments `start` and `end` leave, in bytes.
struct Window {
  std::string_view bytes;
  size_t offset = 0;
  bool possible = true;  // false: start lies beyond the text's end
};

Result<Window> WindowOf(Runtime& rt, const Value& self, Args args) {
  const std::string_view bytes = self.text()->bytes();
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  Window window{bytes};
  if (!args[1] && !args[2]) return window;
  const auto length = static_cast<int64_t>(Characters(bytes));
  const auto bound = [&](size_t i, int64_t otherwise) -> Result<int64_t> {
    if (!args[i] || args[i]->is_none()) return otherwise;
    ASSIGN_OR_RETURN(const int64_t at, IntArgument(args[i], "start", 0));
    return at < 0 ? std::max<int64_t>(at + length, 0) : at;
  };
  ASSIGN_OR_RETURN(const int64_t start, bound(1, 0));
  ASSIGN_OR_RETURN(int64_t end, bound(2, length));
  end = std::min(end, length);
  window.possible = start <= end;
  if (!window.possible) return window;
  window.offset = CharacterOffset(bytes, static_cast<size_t>(start));
  const size_t stop = CharacterOffset(bytes, static_cast<size_t>(end));
  window.bytes = bytes.substr(window.offset, stop - window.offset);
  return window;
}

// The index of a part, in characters; -1 if it is not there.
template <bool last>
Result<int64_t> IndexOf(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const part, TextArgument(*args[0], "sub"));
  ASSIGN_OR_RETURN(const Window window, WindowOf(rt, self, args));
  if (!window.possible) return int64_t{-1};
  const size_t at = last ? FindLastBytes(window.bytes, part->bytes())
                         : FindBytes(window.bytes, part->bytes(), 0);
  if (at == std::string_view::npos) return int64_t{-1};
  return static_cast<int64_t>(
      Characters(self.text()->bytes().substr(0, window.offset + at)));
}

template <bool last>
Result<Value> Find(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t at, IndexOf<last>(rt, self, args));
  return Value::Int(at);
}

template <bool last>
Result<Value> Index(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const int64_t at, IndexOf<last>(rt, self, args));
  if (at < 0) return Fail("substring not found");
  return Value::Int(at);
}

Result<Value> Count(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const part, TextArgument(*args[0], "sub"));
  ASSIGN_OR_RETURN(const Window window, WindowOf(rt, self, args));
  if (!window.possible) return Value::Int(0);
  if (part->empty()) {
    return Value::Int(static_cast<int64_t>(Characters(window.bytes)) + 1);
  }
  ASSIGN_OR_RETURN(const int64_t count,
                   CountOf(rt, window.bytes, part->bytes()));
  return Value::Int(count);
}

bool HasAffix(std::string_view bytes, std::string_view affix, bool at_end) {
  if (affix.size() > bytes.size()) return false;
  return (at_end ? bytes.substr(bytes.size() - affix.size())
                 : bytes.substr(0, affix.size())) == affix;
}

// startswith and endswith: one string or a tuple of them.
template <bool at_end>
Result<Value> HasAffixOf(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Window window, WindowOf(rt, self, args));
  const Sequence* tuple = args[0]->sequence();
  if (tuple && tuple->kind() == Sequence::Kind::kTuple) {
    bool found = false;
    for (size_t i = 0; i < tuple->size() && !found; ++i) {
      const Value item = tuple->at(i);
      ASSIGN_OR_RETURN(const Text* const text, TextArgument(item, "prefix"));
      found = window.possible && HasAffix(window.bytes, text->bytes(), at_end);
    }
    return Value::Bool(found);
  }
  ASSIGN_OR_RETURN(const Text* const affix, TextArgument(*args[0], "prefix"));
  return Value::Bool(window.possible &&
                     HasAffix(window.bytes, affix->bytes(), at_end));
}

template <bool at_end>
Result<Value> RemoveAffix(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const affix, TextArgument(*args[0], "prefix"));
  const Text& text = *self.text();
  if (!HasAffix(text.bytes(), affix->bytes(), at_end)) return self;
  const size_t size = affix->size();
  return at_end ? rt.Substring(text, 0, text.size() - size)
                : rt.Substring(text, size, text.size());
}

Result<Value> Join(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt, *args[0]));
  TextBuilder out(rt);
  for (size_t i = 0; i < items->size() && !out.full(); ++i) {
    const Value item = items->at(i);
    if (!item.text()) return Fail("join: an item is not a string");
    if (i > 0) out.Append(*self.text());
    out.Append(*item.text());
  }
  return out.Finish();
}

// ljust, rjust, center: '<', '>', '^'
template <char align>
Result<Value> Justify(Runtime& rt, const Value& self, Args args) {
  const Text& text = *self.text();
  ASSIGN_OR_RETURN(const int64_t width, IntArgument(args[0], "width", 0));
  Text fill(" ", true);
  if (args[1]) {
    ASSIGN_OR_RETURN(const Text* const given, TextArgument(*args[1], "fill"));
    if (Characters(given->bytes()) != 1) return Fail("fill: one character");
    fill = *given;
  }
  const auto size = static_cast<int64_t>(Characters(text.bytes()));
  const int64_t space = std::max<int64_t>(width - size, 0);
  // Python's center puts the odd space left if both counts are odd.
  const int64_t left = align == '>'   ? space
                       : align == '^' ? space / 2 + (space & width & 1)
                                      : 0;
  TextBuilder out(rt);
  for (int64_t i = 0; i < left && !out.full(); ++i) out.Append(fill);
  out.Append(text);
  for (int64_t i = left; i < space && !out.full(); ++i) out.Append(fill);
  return out.Finish();
}

Result<Value> ZeroFill(Runtime& rt, const Value& self, Args args) {
  const Text& text = *self.text();
  ASSIGN_OR_RETURN(const int64_t width, IntArgument(args[0], "width", 0));
  const bool sign =
      !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  const auto size = static_cast<int64_t>(Characters(text.bytes()));
  TextBuilder out(rt);
  out.Append(text, 0, sign ? 1 : 0);
  for (int64_t i = size; i < width && !out.full(); ++i) out.Append("0", true);
  out.Append(text, sign ? 1 : 0, text.size());
  return out.Finish();
}

bool IsAlphaNumeric(char32_t c) { return IsAlpha(c) || IsDigit(c); }

// isalpha and the like: at least one character, and all are such.
template <bool (*property)(char32_t)>
Result<Value> All(Runtime& rt, const Value& self, Args) {
  const std::string_view bytes = self.text()->bytes();
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  bool all = !bytes.empty();
  for (size_t i = 0; i < bytes.size() && all;) {
    const CodePoint c = DecodeUtf8(bytes, i);
    all = property(c.value);
    i += c.size;
  }
  return Value::Bool(all);
}

Result<Value> Format(Runtime& rt, const Value& self, Args args) {
  return BraceFormat(rt, *self.text(), args);
}

Result<Value> NotSupported(Runtime&, const Value&, Args) {
  return Unsupported("this method of a string");
}

// isupper, islower: some letter is, and none is of the other case.
template <bool upper>
Result<Value> IsCase(Runtime& rt, const Value& self, Args) {
  const std::string_view bytes = self.text()->bytes();
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  bool some = false, other = false;
  for (size_t i = 0; i < bytes.size() && !other;) {
    const CodePoint c = DecodeUtf8(bytes, i);
    some = some || (upper ? IsUpper(c.value) : IsLower(c.value));
    other = upper ? IsLower(c.value) : IsUpper(c.value);
    i += c.size;
  }
  return Value::Bool(some && !other);
}

constexpr Builtin kMethods[] = {
    {"capitalize", ToCase<Case::kCapitalize>},
    {"casefold", ToCase<Case::kLower>},
    {"center", Justify<'^'>, {"width", "fillchar"}, 1},
    {"count", Count, {"sub", "start", "end"}, 1},
    {"encode", NotSupported, {}, 0, true},
    {"endswith", HasAffixOf<true>, {"suffix", "start", "end"}, 1},
    {"expandtabs", NotSupported, {}, 0, true},
    {"find", Find<false>, {"sub", "start", "end"}, 1},
    {"format", Format, {}, 0, true},
    {"format_map", NotSupported, {}, 0, true},
    {"index", Index<false>, {"sub", "start", "end"}, 1},
    {"isalnum", All<IsAlphaNumeric>},
    {"isalpha", All<IsAlpha>},
    {"isascii", NotSupported},
    {"isdecimal", All<IsDigit>},
    {"isdigit", All<IsDigit>},
    {"isidentifier", NotSupported},
    {"islower", IsCase<false>},
    {"isnumeric", All<IsDigit>},
    {"isprintable", NotSupported},
    {"isspace", All<IsSpace>},
    {"istitle", NotSupported},
    {"isupper", IsCase<true>},
    {"join", Join, {"iterable"}, 1},
    {"ljust", Justify<'<'>, {"width", "fillchar"}, 1},
    {"lower", ToCase<Case::kLower>},
    {"lstrip", StripSide<Side::kLeft>, {"chars"}},
    {"maketrans", NotSupported, {}, 0, true},
    {"partition", Partition<false>, {"sep"}, 1},
    {"removeprefix", RemoveAffix<false>, {"prefix"}, 1},
    {"removesuffix", RemoveAffix<true>, {"suffix"}, 1},
    {"replace", DoReplace, {"old", "new", "count"}, 2},
    {"rfind", Find<true>, {"sub", "start", "end"}, 1},
    {"rindex", Index<true>, {"sub", "start", "end"}, 1},
    {"rjust", Justify<'>'>, {"width", "fillchar"}, 1},
    {"rpartition", Partition<true>, {"sep"}, 1},
    {"rsplit", SplitText<true>, {"sep", "maxsplit"}},
    {"rstrip", StripSide<Side::kRight>, {"chars"}},
    {"split", SplitText<false>, {"sep", "maxsplit"}},
    {"splitlines", DoSplitLines, {"keepends"}},
    {"startswith", HasAffixOf<false>, {"prefix", "start", "end"}, 1},
    {"strip", StripSide<Side::kBoth>, {"chars"}},
    {"swapcase", ToCase<Case::kSwap>},
    {"title", ToCase<Case::kTitle>},
    {"translate", NotSupported, {}, 0, true},
    {"upper", ToCase<Case::kUpper>},
    {"zfill", ZeroFill, {"width"}, 1},
};

}  // namespace

std::span<const Builtin> StringMethods() { return kMethods; }

}  // namespace aio::jinja
