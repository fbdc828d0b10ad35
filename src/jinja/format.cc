// SPDX-License-Identifier: Apache-2.0
#include "jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/utf8.h"
#include "jinja/access.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

constexpr size_t kWidthMax = 1000;  // of one field, and of its precision

// One conversion, of either kind: "%-5.2f", "{:<5.2f}".
struct Spec {
  char fill = ' ';
  char align = 0;  // '<' '>' '^' '='; 0: as the type has it
  char sign = '-';
  bool grouped = false;
  size_t width = 0;
  std::optional<size_t> precision;
  char type = 0;
};

bool OneOf(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

Result<size_t> ReadNumber(std::string_view text, size_t* at) {
  size_t value = 0;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') {
    value = value * 10 + static_cast<size_t>(text[(*at)++] - '0');
    if (value > kWidthMax) return Fail("a format's width is too large");
  }
  return value;
}

std::string Group(std::string digits) {
  const size_t whole = std::min(digits.find('.'), digits.size());
  for (size_t i = whole; i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

Result<std::string> FloatDigits(const Spec& spec, double value) {
  char buffer[kWidthMax + 400];
  if (std::isnan(value) || std::isinf(value)) {
    return std::string(std::isnan(value) ? "nan" : "inf");
  }
  const char format[] = {'%', '.', '*', spec.type, 0};
  std::snprintf(buffer, sizeof(buffer), format,
                static_cast<int>(spec.precision.value_or(6)), value);
  return std::string(buffer);
}

Result<std::string> IntegerDigits(const Spec& spec, uint64_t value) {
  char buffer[72];
  const int base = spec.type == 'b'                         ? 2
                   : spec.type == 'o'                       ? 8
                   : (spec.type == 'x' || spec.type == 'X') ? 16
                                                            : 10;
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, base);
  std::string digits(buffer, end.ptr);
  if (spec.type == 'X') {
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return static_cast<char>(ToUpper(c)); });
  }
  return digits;
}

// The number with its sign, not yet padded.
Result<std::string> NumberDigits(Spec spec, const Value& value) {
  if (OneOf(spec.type, "dixXob") && !value.AsInt() && value.number() &&
      std::abs(*value.number()) < 0x1p63 && OneOf(spec.type, "di")) {
    return NumberDigits(spec,
                        Value::Int(static_cast<int64_t>(*value.number())));
  }
  std::string digits;
  bool negative = false;
  if (OneOf(spec.type, "dixXob") && value.AsInt()) {
    const int64_t i = *value.AsInt();
    negative = i < 0;
    const auto magnitude = static_cast<uint64_t>(i);
    ASSIGN_OR_RETURN(digits,
                     IntegerDigits(spec, negative ? -magnitude : magnitude));
  } else if (OneOf(spec.type, "fFeEgG") && value.AsDouble()) {
    const double d = *value.AsDouble();
    negative = std::signbit(d) && !std::isnan(d);
    ASSIGN_OR_RETURN(digits, FloatDigits(spec, negative ? -d : d));
  } else {
    if (value.is_undefined()) return Fail(value.Why());
    return Fail("cannot format a " + std::string(TypeName(value)) + " as " +
                Quoted(std::string(1, spec.type)));
  }
  if (spec.grouped) digits = Group(std::move(digits));
  const std::string sign(negative || spec.sign != '-' ? 1 : 0,
                         negative ? '-' : spec.sign);
  if (spec.align == '=' && sign.size() + digits.size() < spec.width) {
    digits.insert(0, spec.width - sign.size() - digits.size(), spec.fill);
  }
  return sign + digits;
}

void Pad(const Spec& spec, const Text& body, char align, TextBuilder* out) {
  const size_t size = Characters(body.bytes());
  const size_t space = spec.width > size ? spec.width - size : 0;
  const size_t left = align == '>' ? space : align == '^' ? space / 2 : 0;
  out->Append(std::string(left, spec.fill), true);
  out->Append(body);
  out->Append(std::string(space - left, spec.fill), true);
}

Result<void> FormatText(const Spec& spec, const Value& string,
                        TextBuilder* out) {
  const Text& text = *string.text();
  const size_t size = spec.precision
                          ? CharacterOffset(text.bytes(), *spec.precision)
                          : text.size();
  Text cut;
  cut.Append(text, 0, size);
  Pad(spec, cut, spec.align == 0 ? '<' : spec.align, out);
  return {};
}

Result<void> FormatNumber(const Spec& spec, const Value& value,
                          TextBuilder* out) {
  ASSIGN_OR_RETURN(const std::string digits, NumberDigits(spec, value));
  Pad(spec, Text(digits, true), spec.align == 0 ? '>' : spec.align, out);
  return {};
}

Result<Value> ReprValue(Runtime& rt, const Value& value) {
  TextBuilder out(rt);
  RETURN_IF_ERROR(AppendRepr(value, &out));
  return out.Finish();
}

// "%…": the operands in turn.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const Text& format, const Value& operand)
      : rt_(rt), format_(format), operand_(operand), out_(rt) {
    const Sequence* tuple = operand.sequence();
    tuple_ = tuple && tuple->kind() == Sequence::Kind::kTuple ? tuple : nullptr;
  }

  Result<Value> Run() {
    const std::string_view bytes = format_.bytes();
    size_t plain = 0;
    for (size_t at = bytes.find('%'); at != std::string_view::npos;
         at = bytes.find('%', at)) {
      out_.Append(format_, plain, at);
      ++at;
      RETURN_IF_ERROR(Convert(&at));
      if (out_.full()) break;
      plain = at;
    }
    out_.Append(format_, std::min(plain, bytes.size()), bytes.size());
    // Whatever has [] may hold keys the format does not name; so Python thinks
    // of lists, too.
    const bool lookup = !tuple_ && (operand_.dict() || operand_.sequence() ||
                                    operand_.is_undefined());
    const size_t given = tuple_ ? tuple_->size() : 1;
    if (used_ < given && !lookup) {
      return Fail("not all arguments converted during string formatting");
    }
    return out_.Finish();
  }

 private:
  // The conversion whose '%' stands before *at.
  Result<void> Convert(size_t* at) {
    const std::string_view bytes = format_.bytes();
    Spec spec;
    std::optional<Value> operand;
    if (*at < bytes.size() && bytes[*at] == '(') {
      const size_t close = bytes.find(')', *at);
      if (close == std::string_view::npos) return Fail("incomplete format key");
      const std::string_view name = bytes.substr(*at + 1, close - *at - 1);
      const Value* found =
          operand_.dict() ? operand_.dict()->FindString(name) : nullptr;
      if (found == nullptr) return Fail("a format's key is not there");
      operand = *found;
      *at = close + 1;
    }
    RETURN_IF_ERROR(ReadSpec(at, &spec));
    if (spec.type == '%') {
      out_.Append("%", true);
      return {};
    }
    if (!operand) {
      ASSIGN_OR_RETURN(operand, Next());
    }
    if (spec.type != 's' && spec.type != 'r') {
      return FormatNumber(spec, *operand, &out_);
    }
    ASSIGN_OR_RETURN(const Value text, spec.type == 's'
                                           ? Str(rt_, *operand)
                                           : ReprValue(rt_, *operand));
    spec.align = spec.align == 0 ? '>' : spec.align;
    return FormatText(spec, text, &out_);
  }

  Result<void> ReadSpec(size_t* at, Spec* spec) {
    const std::string_view bytes = format_.bytes();
    bool left = false;
    for (; *at < bytes.size() && OneOf(bytes[*at], "-+ 0"); ++*at) {
      left = left || bytes[*at] == '-';
      if (OneOf(bytes[*at], "+ ")) spec->sign = bytes[*at];
      if (bytes[*at] != '0') continue;
      spec->fill = '0';
      spec->align = '=';
    }
    ASSIGN_OR_RETURN(spec->width, ReadNumber(bytes, at));
    if (*at < bytes.size() && bytes[*at] == '.') {
      ++*at;
      ASSIGN_OR_RETURN(spec->precision, ReadNumber(bytes, at));
    }
    spec->type = *at < bytes.size() ? bytes[(*at)++] : 0;
    if (spec->type == 0 || !OneOf(spec->type, "srdifFeEgGxXo%")) {
      return Unsupported("this % conversion of a string");
    }
    if (left || OneOf(spec->type, "sr")) {
      spec->fill = ' ';
      spec->align = left ? '<' : 0;
    }
    return {};
  }

  Result<Value> Next() {
    if (tuple_ ? used_ >= tuple_->size() : used_ >= 1) {
      return Fail("not enough arguments for format string");
    }
    ++used_;
    return tuple_ ? tuple_->at(used_ - 1) : operand_;
  }

  Runtime& rt_;
  const Text& format_;
  const Value& operand_;
  const Sequence* tuple_;
  size_t used_ = 0;
  TextBuilder out_;
};

// "{…}" of str.format.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const Text& format, const Arguments& arguments)
      : rt_(rt), format_(format), arguments_(arguments), out_(rt) {}

  Result<Value> Run() {
    const std::string_view bytes = format_.bytes();
    size_t plain = 0;
    for (size_t at = bytes.find_first_of("{}"); at != std::string_view::npos;
         at = bytes.find_first_of("{}", at)) {
      out_.Append(format_, plain, at);
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
        out_.Append(format_, at, at + 1);
        at += 2;
      } else {
        ASSIGN_OR_RETURN(at, Replace(at));
      }
      if (out_.full()) break;
      plain = at;
    }
    out_.Append(format_, std::min(plain, bytes.size()), bytes.size());
    return out_.Finish();
  }

 private:
  // The field that begins at `open`; returns where the text goes on.
  Result<size_t> Replace(size_t open) {
    const std::string_view bytes = format_.bytes();
    const size_t close = bytes.find('}', open);
    if (bytes[open] == '}' || close == std::string_view::npos) {
      return Fail("a brace stands alone in a format string");
    }
    std::string_view field = bytes.substr(open + 1, close - open - 1);
    if (field.find('{') != std::string_view::npos) {
      return Unsupported("a format within a format");
    }
    const size_t colon = field.find(':');
    std::string_view spec;
    if (colon != std::string_view::npos) spec = field.substr(colon + 1);
    field = field.substr(0, colon);
    const size_t bang = field.find('!');
    const bool repr =
        bang != std::string_view::npos && field.substr(bang) == "!r";
    ASSIGN_OR_RETURN(Value value, Field(field.substr(0, bang)));
    if (repr) {
      ASSIGN_OR_RETURN(value, ReprValue(rt_, value));
    }
    RETURN_IF_ERROR(Format(value, spec));
    return close + 1;
  }

  // "", "0", "name", "name.attribute", "name[key]"
  Result<Value> Field(std::string_view field) {
    size_t end = std::min(field.find_first_of(".["), field.size());
    ASSIGN_OR_RETURN(Value value, Argument(field.substr(0, end)));
    while (end < field.size()) {
      const bool item = field[end] == '[';
      const size_t begin = end + 1;
      end =
          std::min(field.find_first_of(item ? "]" : ".[", begin), field.size());
      ASSIGN_OR_RETURN(const Value part,
                       Part(field.substr(begin, end - begin), item));
      if (item) {
        ASSIGN_OR_RETURN(value, GetItem(rt_, value, part));
        end = std::min(end + 1, field.size());
      } else {
        ASSIGN_OR_RETURN(value, GetAttribute(rt_, value, part.text()->bytes()));
      }
    }
    return value;
  }

  Result<Value> Part(std::string_view part, bool item) {
    int64_t index = 0;
    const char* const end = part.data() + part.size();
    if (item && !part.empty() &&
        std::from_chars(part.data(), end, index).ptr == end) {
      return Value::Int(index);
    }
    return rt_.NewString(part, true);
  }

  Result<Value> Argument(std::string_view name) {
    size_t index = next_;
    const char* const end = name.data() + name.size();
    const bool number =
        !name.empty() && std::from_chars(name.data(), end, index).ptr == end;
    if (name.empty() || number) {
      if (name.empty()) ++next_;
      if (index < arguments_.positional.size()) {
        return arguments_.positional[index];
      }
      return Fail("a format string wants more arguments than it was given");
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    return Fail("a format string wants the argument '" +
                std::string(name.substr(0, 64)) + "'");
  }

  Result<void> Format(const Value& value, std::string_view text) {
    Spec spec;
    RETURN_IF_ERROR(ReadSpec(text, &spec));
    const bool numeric = value.AsDouble() && !value.boolean();
    if (spec.type == 0 && numeric && value.AsInt()) spec.type = 'd';
    if (spec.type == 0 && numeric && spec.precision) spec.type = 'g';
    if (spec.type != 0 && spec.type != 's') {
      return FormatNumber(spec, value, &out_);
    }
    if (!text.empty() && !value.text() && !numeric) {
      return Fail("cannot format a " + std::string(TypeName(value)) +
                  " by a format string");
    }
    if (spec.align == 0) spec.align = numeric ? '>' : '<';
    ASSIGN_OR_RETURN(const Value string, Str(rt_, value));
    return FormatText(spec, string, &out_);
  }

  // [[fill]align][sign][0][width][,][.precision][type]
  static Result<void> ReadSpec(std::string_view text, Spec* spec) {
    size_t at = 0;
    if (text.size() > 1 && OneOf(text[1], "<>^=")) {
      spec->fill = text[0];
      spec->align = text[1];
      at = 2;
    } else if (!text.empty() && OneOf(text[0], "<>^=")) {
      spec->align = text[at++];
    }
    if (at < text.size() && OneOf(text[at], "+- ")) spec->sign = text[at++];
    if (at < text.size() && text[at] == '0' && spec->align == 0) {
      spec->fill = '0';
      spec->align = '=';
    }
    ASSIGN_OR_RETURN(spec->width, ReadNumber(text, &at));
    spec->grouped = at < text.size() && text[at] == ',';
    if (spec->grouped) ++at;
    if (at < text.size() && text[at] == '.') {
      ++at;
      ASSIGN_OR_RETURN(spec->precision, ReadNumber(text, &at));
    }
    if (at < text.size()) spec->type = text[at++];
    if (at < text.size() ||
        (spec->type != 0 && !OneOf(spec->type, "sdfFeEgGxXob"))) {
      return Unsupported("the format '" + std::string(text.substr(0, 64)) +
                         "'");
    }
    return {};
  }

  Runtime& rt_;
  const Text& format_;
  const Arguments& arguments_;
  size_t next_ = 0;
  TextBuilder out_;
};

}  // namespace

Result<Value> PercentFormat(Runtime& rt, const Text& format,
                            const Value& operand) {
  return PercentFormatter(rt, format, operand).Run();
}

Result<Value> BraceFormat(Runtime& rt, const Text& format,
                          const Arguments& arguments) {
  return BraceFormatter(rt, format, arguments).Run();
}

}  // namespace aio::jinja
