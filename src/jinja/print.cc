// SPDX-License-Identifier: Apache-2.0
#include "jinja/print.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"

namespace aio::jinja {
namespace {

// "d.ddde±xx" of to_chars taken apart.
struct Decimal {
  std::string sign, digits;
  int exponent;
};

Decimal Shortest(double value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                 std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  Decimal d;
  const size_t e = text.find('e');
  for (const char c : text.substr(0, e)) {
    if (c == '-') d.sign += c;
    if (c != '-' && c != '.') d.digits += c;
  }
  d.exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  return d;
}

// The character `c` as repr() escapes it; empty if it stays as it is.
std::string ReprEscape(char32_t c, bool valid, uint8_t byte, char quote) {
  char out[16] = "";
  if (c == '\\' || c == static_cast<char32_t>(quote)) {
    std::snprintf(out, sizeof(out), "\\%c", static_cast<char>(c));
  } else if (c == '\n' || c == '\r' || c == '\t') {
    std::snprintf(out, sizeof(out), "\\%c",
                  c == '\n' ? 'n' : (c == '\r' ? 'r' : 't'));
  } else if (!valid) {
    std::snprintf(out, sizeof(out), "\\x%02x", byte);
  } else if (!IsPrintable(c)) {
    const char* format =
        c < 0x100 ? "\\x%02x" : (c < 0x10000 ? "\\u%04x" : "\\U%08x");
    std::snprintf(out, sizeof(out), format, static_cast<unsigned>(c));
  }
  return out;
}

void AppendStringRepr(const Text& text, TextBuilder* out) {
  const std::string_view bytes = text.bytes();
  const bool single = bytes.find('\'') == std::string_view::npos ||
                      bytes.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  out->Append(std::string_view(&quote, 1), false);
  size_t plain = 0;  // where the part that needs no escape begins
  for (size_t i = 0; i < bytes.size() && !out->full();) {
    const CodePoint c = DecodeUtf8(bytes, i);
    const std::string escape =
        ReprEscape(c.value, c.valid, static_cast<uint8_t>(bytes[i]), quote);
    if (!escape.empty()) {
      out->Append(text, plain, i);
      out->Append(escape, text.TrustedAt(i));
      plain = i + c.size;
    }
    i += c.size;
  }
  out->Append(text, plain, bytes.size());
  out->Append(std::string_view(&quote, 1), false);
}

Result<void> AppendSequenceRepr(const Sequence& sequence, TextBuilder* out,
                                int depth) {
  using Kind = Sequence::Kind;
  if (sequence.kind() != Kind::kList && sequence.kind() != Kind::kTuple) {
    return Unsupported("a range, view or generator cannot be printed");
  }
  const bool tuple = sequence.kind() == Kind::kTuple;
  out->Append(tuple ? "(" : "[", false);
  for (size_t i = 0; i < sequence.size() && !out->full(); ++i) {
    if (i > 0) out->Append(", ", false);
    RETURN_IF_ERROR(AppendRepr(sequence.at(i), out, depth + 1));
  }
  if (tuple && sequence.size() == 1) out->Append(",", false);
  out->Append(tuple ? ")" : "]", false);
  return {};
}

Result<void> AppendDictRepr(const Dict& dict, TextBuilder* out, int depth) {
  out->Append("{", false);
  bool first = true;
  for (const Dict::Entry& entry : dict.entries()) {
    if (out->full()) break;
    if (!first) out->Append(", ", false);
    first = false;
    RETURN_IF_ERROR(AppendRepr(entry.key, out, depth + 1));
    out->Append(": ", false);
    RETURN_IF_ERROR(AppendRepr(entry.value, out, depth + 1));
  }
  out->Append("}", false);
  return {};
}

}  // namespace

Error TooDeep() {
  return Fail("a value is nested more than " +
              std::to_string(kContainerDepthMax) + " levels deep");
}

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const Decimal d = Shortest(value);
  const int point = d.exponent + 1;  // digits before the decimal point
  const int count = static_cast<int>(d.digits.size());
  if (point < -3 || point > 16) {
    char exponent[16];
    std::snprintf(exponent, sizeof(exponent), "e%c%02d",
                  d.exponent < 0 ? '-' : '+', std::abs(d.exponent));
    const std::string rest = d.digits.substr(1);
    return d.sign + d.digits[0] + (rest.empty() ? "" : "." + rest) + exponent;
  }
  if (point <= 0) {
    return d.sign + "0." + std::string(static_cast<size_t>(-point), '0') +
           d.digits;
  }
  if (point >= count) {
    return d.sign + d.digits +
           std::string(static_cast<size_t>(point - count), '0') + ".0";
  }
  const auto whole = static_cast<size_t>(point);
  return d.sign + d.digits.substr(0, whole) + "." + d.digits.substr(whole);
}

std::string_view TypeName(const Value& value) {
  static constexpr std::string_view kSequences[] = {"list", "tuple", "range",
                                                    "dict view", "generator"};
  if (value.is_none()) return "NoneType";
  if (value.is_undefined()) return "Undefined";
  if (value.boolean()) return "bool";
  if (value.integer()) return "int";
  if (value.number()) return "float";
  if (value.text()) return "str";
  if (value.sequence()) {
    return kSequences[static_cast<size_t>(value.sequence()->kind())];
  }
  if (value.dict()) return "dict";
  if (value.name_space()) return "namespace";
  return value.loop() ? "loop" : "callable";
}

Result<void> AppendStr(const Value& value, TextBuilder* out) {
  if (const Text* text = value.text()) {
    out->Append(*text);
    return {};
  }
  if (value.is_undefined()) return {};
  return AppendRepr(value, out);
}

Result<Value> Str(Runtime& rt, const Value& value) {
  if (value.text() && !value.is_markup()) return value;
  TextBuilder out(rt);
  RETURN_IF_ERROR(AppendStr(value, &out));
  return out.Finish();
}

Result<void> AppendRepr(const Value& value, TextBuilder* out, int depth) {
  if (depth > kContainerDepthMax) return TooDeep();
  if (value.is_none()) {
    out->Append("None", true);
  } else if (value.is_undefined()) {
    out->Append("Undefined", true);
  } else if (value.boolean()) {
    out->Append(*value.boolean() ? "True" : "False", true);
  } else if (value.integer()) {
    out->Append(std::to_string(*value.integer()), true);
  } else if (value.number()) {
    out->Append(FloatRepr(*value.number()), true);
  } else if (value.text()) {
    AppendStringRepr(*value.text(), out);
  } else if (value.sequence()) {
    return AppendSequenceRepr(*value.sequence(), out, depth);
  } else if (value.dict()) {
    return AppendDictRepr(*value.dict(), out, depth);
  } else {
    return Unsupported("a " + std::string(TypeName(value)) +
                       " cannot be printed");
  }
  return {};
}

Result<Value> EscapeHtml(Runtime& rt, const Text& text) {
  TextBuilder out(rt);
  const std::string_view bytes = text.bytes();
  size_t plain = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t which = std::string_view("&<>'\"").find(bytes[i]);
    if (which == std::string_view::npos) continue;
    static constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;",
                                                     "&#39;", "&#34;"};
    out.Append(text, plain, i);
    out.Append(kEntities[which], text.TrustedAt(i));
    plain = i + 1;
  }
  out.Append(text, plain, bytes.size());
  ASSIGN_OR_RETURN(const Value escaped, out.Finish());
  return rt.NewString(*escaped.text(), true);
}

}  // namespace aio::jinja
