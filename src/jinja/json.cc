// SPDX-License-Identifier: Apache-2.0
#include "jinja/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/utf8.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

std::string UnicodeEscape(char32_t c) {
  char out[16];
  if (c < 0x10000) {
    std::snprintf(out, sizeof(out), "\\u%04x", static_cast<unsigned>(c));
  } else {
    const auto high = static_cast<unsigned>(0xD800 + ((c - 0x10000) >> 10));
    const auto low = static_cast<unsigned>(0xDC00 + ((c - 0x10000) & 0x3FF));
    std::snprintf(out, sizeof(out), "\\u%04x\\u%04x", high, low);
  }
  return out;
}

// How JSON writes the character; empty if as it is.
std::string JsonEscape(char32_t c, bool ensure_ascii) {
  static constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
  static constexpr std::string_view kLetter = "\"\\nrtfb";
  if (c < 0x80) {
    const size_t i = kSpecial.find(static_cast<char>(c));
    if (i != std::string_view::npos) return std::string("\\") + kLetter[i];
  }
  if (c < 0x20 || (ensure_ascii && c > 0x7E)) return UnicodeEscape(c);
  return "";
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, TextBuilder* out)
      : style_(style), out_(*out) {}

  Result<void> Write(const Value& value, int depth) {
    if (depth > kContainerDepthMax) return TooDeep();
    if (!out_.runtime().Spend()) return out_.runtime().OutOfSteps();
    if (value.text()) {
      WriteString(*value.text());
      return {};
    }
    if (value.dict()) return WriteDict(*value.dict(), depth);
    const Sequence* sequence = value.sequence();
    if (sequence && (sequence->kind() == Sequence::Kind::kList ||
                     sequence->kind() == Sequence::Kind::kTuple)) {
      return WriteList(*sequence, depth);
    }
    ASSIGN_OR_RETURN(const std::string scalar, Scalar(value));
    Put(scalar);
    return {};
  }

 private:
  void Put(std::string_view text) { out_.Append(text, false); }

  static Result<std::string> Scalar(const Value& value) {
    if (value.is_none()) return std::string("null");
    if (value.boolean()) {
      return std::string(*value.boolean() ? "true" : "false");
    }
    if (value.integer()) return std::to_string(*value.integer());
    if (!value.number()) {
      return Fail("tojson: a value of type " + std::string(TypeName(value)) +
                  " is not JSON serializable");
    }
    const double d = *value.number();
    if (std::isnan(d)) return std::string("NaN");
    if (std::isinf(d)) return std::string(d < 0 ? "-Infinity" : "Infinity");
    return FloatRepr(d);
  }

  void WriteString(const Text& text) {
    const std::string_view bytes = text.bytes();
    Put("\"");
    size_t plain = 0;
    for (size_t i = 0; i < bytes.size() && !out_.full();) {
      const CodePoint c = DecodeUtf8(bytes, i);
      const std::string escape = JsonEscape(c.value, style_.ensure_ascii);
      if (!escape.empty()) {
        out_.Append(text, plain, i);
        out_.Append(escape, text.TrustedAt(i));
        plain = i + c.size;
      }
      i += c.size;
    }
    out_.Append(text, plain, bytes.size());
    Put("\"");
  }

  Result<void> WriteKey(const Value& key) {
    if (key.text()) {
      WriteString(*key.text());
      return {};
    }
    ASSIGN_OR_RETURN(const std::string scalar, Scalar(key));
    Put("\"" + scalar + "\"");
    return {};
  }

  void NewLine(int depth) {
    if (!style_.pretty) return;
    Put("\n");
    for (int i = 0; i < depth && !style_.indent.empty(); ++i) {
      Put(style_.indent);
    }
  }

  Result<void> WriteList(const Sequence& list, int depth) {
    Put("[");
    for (size_t i = 0; i < list.size() && !out_.full(); ++i) {
      if (i > 0) Put(style_.item_separator);
      NewLine(depth + 1);
      RETURN_IF_ERROR(Write(list.at(i), depth + 1));
    }
    if (list.size() > 0) NewLine(depth);
    Put("]");
    return {};
  }

  Result<void> WriteDict(const Dict& dict, int depth) {
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      // The codes of strings order like the strings; mixed keys, which Python
      // refuses to sort, come out in some fixed order.
      std::sort(entries.begin(), entries.end(),
                [](const Dict::Entry* a, const Dict::Entry* b) {
                  return a->code < b->code;
                });
    }
    Put("{");
    for (size_t i = 0; i < entries.size() && !out_.full(); ++i) {
      if (i > 0) Put(style_.item_separator);
      NewLine(depth + 1);
      RETURN_IF_ERROR(WriteKey(entries[i]->key));
      Put(style_.key_separator);
      RETURN_IF_ERROR(Write(entries[i]->value, depth + 1));
    }
    if (!entries.empty()) NewLine(depth);
    Put("}");
    return {};
  }

  const JsonStyle& style_;
  TextBuilder& out_;
};

Result<Value> ArrayFromJson(Runtime& rt, const boost::json::array& array,
                            int depth) {
  std::vector<Value> items;
  for (const boost::json::value& item : array) {
    ASSIGN_OR_RETURN(Value value, FromJson(rt, item, depth + 1));
    items.push_back(std::move(value));
  }
  ASSIGN_OR_RETURN(Sequence* const list,
                   rt.NewSequence(Sequence::Kind::kList, std::move(items)));
  return Value::Of(list);
}

Result<Value> ObjectFromJson(Runtime& rt, const boost::json::object& object,
                             int depth) {
  ASSIGN_OR_RETURN(Dict* const dict, rt.NewDict());
  for (const auto& [key, item] : object) {
    ASSIGN_OR_RETURN(Value value, FromJson(rt, item, depth + 1));
    RETURN_IF_ERROR(rt.Set(dict, std::string_view(key), std::move(value)));
  }
  return Value::Of(dict);
}

}  // namespace

Result<Value> FromJson(Runtime& rt, const boost::json::value& json, int depth) {
  if (depth > kContainerDepthMax) return TooDeep();
  if (!rt.Spend()) return rt.OutOfSteps();
  switch (json.kind()) {
    case boost::json::kind::null:
      return Value();
    case boost::json::kind::bool_:
      return Value::Bool(json.get_bool());
    case boost::json::kind::int64:
      return Value::Int(json.get_int64());
    case boost::json::kind::uint64:
      if (json.get_uint64() > std::numeric_limits<int64_t>::max()) {
        return Fail("an integer in the request does not fit 64 bits");
      }
      return Value::Int(static_cast<int64_t>(json.get_uint64()));
    case boost::json::kind::double_:
      return Value::Float(json.get_double());
    case boost::json::kind::string:
      return rt.NewString(std::string_view(json.get_string()), false);
    case boost::json::kind::array:
      return ArrayFromJson(rt, json.get_array(), depth);
    case boost::json::kind::object:
      return ObjectFromJson(rt, json.get_object(), depth);
  }
  return Unsupported("unknown kind of JSON value");
}

Result<Value> ToJson(Runtime& rt, const Value& value, const JsonStyle& style) {
  TextBuilder out(rt);
  RETURN_IF_ERROR(JsonWriter(style, &out).Write(value, 0));
  return out.Finish();
}

}  // namespace aio::jinja
