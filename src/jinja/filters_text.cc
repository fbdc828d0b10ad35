// SPDX-License-Identifier: Apache-2.0
//
// The filters that make text.
#include "jinja/access.h"
#include "jinja/builtins.h"
#include "jinja/format.h"
#include "jinja/json.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/strings.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

template <Case to>
Result<Value> ToCase(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  return ChangeCase(rt, *text.text(), to);
}

Result<Value> Title(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  return JinjaTitle(rt, *text.text());
}

Result<Value> Trim(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  std::optional<std::string_view> chars;
  if (args[0] && !args[0]->is_none()) {
    ASSIGN_OR_RETURN(const Text* const set, TextArgument(*args[0], "chars"));
    chars = set->bytes();
  }
  return Strip(rt, *text.text(), chars, Side::kBoth);
}

Result<Value> DoReplace(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  ASSIGN_OR_RETURN(const Value old_part, Str(rt, *args[0]));
  ASSIGN_OR_RETURN(const Value new_part, Str(rt, *args[1]));
  const bool all = args[2] == nullptr || args[2]->is_none();
  ASSIGN_OR_RETURN(const int64_t count,
                   IntArgument(all ? nullptr : args[2], "count", -1));
  return Replace(rt, *text.text(), *old_part.text(), *new_part.text(), count);
}

Result<Value> DoIndent(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Text* const text, TextArgument(self, "value"));
  Indentation how;
  if (args[0] && args[0]->text()) {
    how.indent = *args[0]->text();
  } else {
    ASSIGN_OR_RETURN(const int64_t width, IntArgument(args[0], "width", 4));
    if (width > 10'000) return Fail("indent is too wide");
    how.indent = Text(std::string(width > 0 ? width : 0, ' '), true);
  }
  how.first = BoolArgument(args[1], false);
  how.blank = BoolArgument(args[2], false);
  return Indent(rt, *text, how);
}

Result<Value> Join(Runtime& rt, const Value& self, Args args) {
  Value separator = Value::Str(std::make_shared<Text>());
  if (args[0] != nullptr) {
    ASSIGN_OR_RETURN(separator, Str(rt, *args[0]));
  }
  ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt, self));
  TextBuilder out(rt);
  for (size_t i = 0; i < items->size() && !out.full(); ++i) {
    if (i > 0) out.Append(*separator.text());
    Value item = items->at(i);
    if (args[1] && !args[1]->is_none()) {
      ASSIGN_OR_RETURN(item, GetPath(rt, item, *args[1]));
    }
    RETURN_IF_ERROR(AppendStr(item, &out));
  }
  return out.Finish();
}

Result<Value> ToString(Runtime& rt, const Value& self, Args) {
  if (self.text()) return self;  // and keeps its markup
  return Str(rt, self);
}

Result<Value> Safe(Runtime& rt, const Value& self, Args) {
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  return rt.NewString(*text.text(), true);
}

template <bool always>
Result<Value> Escape(Runtime& rt, const Value& self, Args) {
  if (self.is_markup() && !always) return self;
  ASSIGN_OR_RETURN(const Value text, Str(rt, self));
  return EscapeHtml(rt, *text.text());
}

Result<Value> Format(Runtime& rt, const Value& self, Args args) {
  ASSIGN_OR_RETURN(const Value format, Str(rt, self));
  if (!args.named.empty()) return Unsupported("format with named arguments");
  ASSIGN_OR_RETURN(Sequence* const tuple,
                   rt.NewSequence(Sequence::Kind::kTuple, args.positional));
  return PercentFormat(rt, *format.text(), Value::Of(tuple));
}

// separators=(item, key)
Result<void> ReadSeparators(const Value& value, JsonStyle* style) {
  const Sequence* pair = value.sequence();
  if (pair == nullptr || pair->size() != 2) {
    return Fail("tojson: separators must be a pair of strings");
  }
  const Value item = pair->at(0), key = pair->at(1);
  ASSIGN_OR_RETURN(const Text* const item_text, TextArgument(item, "item"));
  ASSIGN_OR_RETURN(const Text* const key_text, TextArgument(key, "key"));
  style->item_separator = item_text->bytes();
  style->key_separator = key_text->bytes();
  return {};
}

Result<Value> DoToJson(Runtime& rt, const Value& self, Args args) {
  JsonStyle style;
  style.ensure_ascii = BoolArgument(args[0], false);
  if (args[1] && !args[1]->is_none()) {
    style.pretty = true;
    style.item_separator.assign(1, ',');
    if (args[1]->text()) {
      style.indent = args[1]->text()->bytes();
    } else {
      ASSIGN_OR_RETURN(const int64_t width, IntArgument(args[1], "indent", 0));
      if (width > 1000) return Fail("tojson: indent is too wide");
      style.indent.assign(width > 0 ? static_cast<size_t>(width) : 0, ' ');
    }
  }
  if (args[2] && !args[2]->is_none()) {
    RETURN_IF_ERROR(ReadSeparators(*args[2], &style));
  }
  style.sort_keys = BoolArgument(args[3], false);
  return ToJson(rt, self, style);
}

constexpr Builtin kFilters[] = {
    {"capitalize", ToCase<Case::kCapitalize>},
    {"e", Escape<false>},
    {"escape", Escape<false>},
    {"forceescape", Escape<true>},
    {"format", Format, {}, 0, true},
    {"indent", DoIndent, {"width", "first", "blank"}},
    {"join", Join, {"d", "attribute"}},
    {"lower", ToCase<Case::kLower>},
    {"replace", DoReplace, {"old", "new", "count"}, 2},
    {"safe", Safe},
    {"string", ToString},
    {"title", Title},
    {"tojson", DoToJson, {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {"trim", Trim, {"chars"}},
    {"upper", ToCase<Case::kUpper>},
};

}  // namespace

std::span<const Builtin> TextFilters() { return kFilters; }

}  // namespace aio::jinja
