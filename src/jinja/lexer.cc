// SPDX-License-Identifier: Apache-2.0
#include "jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"
#include "jinja/text.h"

namespace aio::jinja {
namespace {

constexpr size_t kNowhere = std::string_view::npos;

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsNamePart(char c) { return IsNameStart(c) || IsAsciiDigit(c); }

// Line breaks of all kinds as \n, and none at the very end.
std::string NormalizeLines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const bool pair =
        source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
    if (!pair) out += source[i] == '\r' ? '\n' : source[i];
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// Where the white space that ends text[0, end) begins.
size_t TrailingSpace(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t before = CharacterBefore(text, end);
    if (!IsSpace(DecodeUtf8(text, before).value)) break;
    end = before;
  }
  return end;
}

// Reads the escapes of a string literal, as Python's unicode-escape.
class Unescaper {
 public:
  Unescaper(std::string_view body, int line) : body_(body), line_(line) {}

  Result<std::string> Run() {
    std::string out;
    while (at_ < body_.size()) {
      if (body_[at_] != '\\' || at_ + 1 == body_.size()) {
        out += body_[at_++];
        continue;
      }
      ++at_;
      RETURN_IF_ERROR(Escape(body_[at_++], &out));
    }
    return out;
  }

 private:
  Result<void> Escape(char c, std::string* out) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t i = kFrom.find(c); i != kNowhere) {
      *out += kTo[i];
      return {};
    }
    if (c == '\n') return {};  // a continued line
    if (c == 'x') return Digits(16, 2, true, out);
    if (c == 'u') return Digits(16, 4, true, out);
    if (c == 'U') return Digits(16, 8, true, out);
    if (c == 'N') return SyntaxError(line_, "\\N{} escapes are not supported");
    if (c >= '0' && c <= '7') {
      --at_;
      return Digits(8, 3, false, out);
    }
    *out += '\\';
    *out += c;
    return {};
  }

  Result<void> Digits(int base, size_t most, bool all, std::string* out) {
    const std::string_view digits = body_.substr(at_, most);
    uint32_t value = 0;
    const auto end = std::from_chars(digits.data(),
                                     digits.data() + digits.size(), value, base)
                         .ptr;
    const auto read = static_cast<size_t>(end - digits.data());
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    if (read == 0 || (all && read < most) || value > 0x10FFFF || surrogate) {
      return SyntaxError(line_, "a character escape is wrong");
    }
    at_ += read;
    AppendUtf8(value, out);
    return {};
  }

  std::string_view body_;
  int line_;
  size_t at_ = 0;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeLines(source)) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) {
      RETURN_IF_ERROR(Root());
    }
    Push(Token::Kind::kEnd);
    return std::move(tokens_);
  }

 private:
  using Kind = Token::Kind;

  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool Starts(std::string_view text) const {
    return std::string_view(source_).substr(at_, text.size()) == text;
  }
  void Push(Kind kind, std::string text = "") {
    tokens_.push_back({kind, line_, std::move(text)});
  }
  // Moves on, counting lines.
  void Advance(size_t to) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                   source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  void SkipSpace() {
    size_t to = at_;
    while (to < source_.size()) {
      const CodePoint c = DecodeUtf8(source_, to);
      if (!IsSpace(c.value)) break;
      to += c.size;
    }
    Advance(to);
  }

  // Literal text up to the next tag, and the tag.
  Result<void> Root() {
    size_t tag = at_;
    while ((tag = source_.find('{', tag)) != kNowhere) {
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    if (tag == kNowhere) {
      Push(Kind::kData, source_.substr(at_));
      Advance(source_.size());
      return {};
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    PushData(at_, tag, sign, type != '{');
    Advance(tag + 2);
    if (sign == '-' || sign == '+') Advance(at_ + 1);
    if (type == '#') return Comment();
    if (type == '%' && IsRaw()) return Raw();
    Push(type == '{' ? Kind::kVariableBegin : Kind::kBlockBegin);
    return Inside(type == '{' ? '}' : '%');
  }

  // source[begin, end) as literal text in front of a tag.
  void PushData(size_t begin, size_t end, char sign, bool strips_line) {
    const std::string_view text =
        std::string_view(source_).substr(begin, end - begin);
    size_t keep = text.size();
    const size_t space = TrailingSpace(text, keep);
    if (sign == '-') {
      keep = space;
    } else if (sign != '+' && strips_line) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == kNowhere ? 0 : newline + 1;
      const bool starts_line = newline != kNowhere || AtLineStart(begin);
      if (starts_line && space <= line) keep = line;
    }
    if (keep > 0) Push(Kind::kData, std::string(text.substr(0, keep)));
  }

  // What stood before decides whether white space here begins a line.
  bool AtLineStart(size_t at) const {
    return at == 0 || source_[at - 1] == '\n';
  }

  // After the end of a block or comment: its line break is dropped.
  void EndTag(char sign) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && Peek() == '\n') {
      Advance(at_ + 1);
    }
  }

  Result<void> Comment() {
    const int begun = line_;
    const size_t end = source_.find("#}", at_);
    if (end == kNowhere) {
      return SyntaxError(begun, "Missing end of comment tag");
    }
    const char sign = end > at_ ? source_[end - 1] : '\0';
    Advance(end + 2);
    EndTag(sign);
    return {};
  }

  bool IsRaw() const {
    size_t i = at_;
    while (i < source_.size() && IsSpace(static_cast<uint8_t>(source_[i]))) ++i;
    if (source_.compare(i, 3, "raw") != 0) return false;
    for (i += 3; i < source_.size(); ++i) {
      if (!IsSpace(static_cast<uint8_t>(source_[i]))) break;
    }
    return source_.compare(i, 2, "%}") == 0 ||
           source_.compare(i, 3, "-%}") == 0;
  }

  Result<void> Raw() {
    const int begun = line_;
    const size_t close = source_.find("%}", at_);
    const bool strip = source_[close - 1] == '-';
    Advance(close + 2);
    if (strip) SkipSpace();
    const size_t begin = at_;
    for (size_t tag = source_.find("{%", at_); tag != kNowhere;
         tag = source_.find("{%", tag + 2)) {
      at_ = tag + 2;
      const char sign = Peek();
      if (sign == '-' || sign == '+') ++at_;
      const size_t end = EndRaw();
      if (end == kNowhere) continue;
      at_ = begin;
      PushData(begin, tag, sign, true);
      const char end_sign = source_[end - 3];
      Advance(end);
      EndTag(end_sign);
      return {};
    }
    return SyntaxError(begun, "Missing end of raw directive");
  }

  // Behind the "%}" if "endraw %}" stands here.
  size_t EndRaw() const {
    size_t i = at_;
    const auto skip = [&] {
      while (i < source_.size() && IsSpace(static_cast<uint8_t>(source_[i]))) {
        ++i;
      }
    };
    skip();
    if (source_.compare(i, 6, "endraw") != 0) return kNowhere;
    i += 6;
    skip();
    if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) ++i;
    return source_.compare(i, 2, "%}") == 0 ? i + 2 : kNowhere;
  }

  // The tokens of a tag up to its end: "}}" or "%}".
  Result<void> Inside(char closing) {
    const int begun = line_;
    while (at_ < source_.size()) {
      if (brackets_.empty() && AtEnd(closing)) return {};
      const size_t before = at_;
      SkipSpace();
      if (at_ == before) {
        RETURN_IF_ERROR(One());
      }
    }
    return SyntaxError(begun, "a tag is not closed");
  }

  bool AtEnd(char closing) {
    const char first = Peek();
    const bool variable = closing == '}';
    const bool sign = first == '-' || (first == '+' && !variable);
    const size_t skip = sign ? 1 : 0;
    if (Peek(skip) != closing || Peek(skip + 1) != '}') return false;
    Push(variable ? Kind::kVariableEnd : Kind::kBlockEnd);
    Advance(at_ + skip + 2);
    if (!variable) {
      EndTag(first);
    } else if (first == '-') {
      SkipSpace();
    }
    return true;
  }

  Result<void> One() {
    const char c = Peek();
    if (IsAsciiDigit(c)) return Number();
    if (IsNameStart(c)) {
      size_t end = at_;
      while (end < source_.size() && IsNamePart(source_[end])) ++end;
      Push(Kind::kName, source_.substr(at_, end - at_));
      Advance(end);
      return {};
    }
    if (c == '\'' || c == '"') return String(c);
    return Operator();
  }

  Result<void> String(char quote) {
    const int begun = line_;
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) {
      end += source_[end] == '\\' ? 2 : 1;
    }
    if (end >= source_.size()) {
      return SyntaxError(begun, "a string is not closed");
    }
    const std::string_view body =
        std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    ASSIGN_OR_RETURN(std::string value, Unescaper(body, begun).Run());
    Push(Kind::kString, std::move(value));
    Advance(end + 1);
    return {};
  }

  // Digits of a base, with single underscores between them.
  std::string ReadDigits(int base) {
    std::string digits;
    const auto is_digit = [base](char c) {
      const int value = IsAsciiDigit(c)          ? c - '0'
                        : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                        : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                                 : 99;
      return value < base;
    };
    while (is_digit(Peek()) || (Peek() == '_' && is_digit(Peek(1)))) {
      if (Peek() != '_') digits += Peek();
      ++at_;
    }
    return digits;
  }

  Result<void> Number() {
    const char marker = static_cast<char>(Peek(1) | 0x20);
    const int base = Peek() != '0'   ? 10
                     : marker == 'x' ? 16
                     : marker == 'o' ? 8
                     : marker == 'b' ? 2
                                     : 10;
    if (base != 10) at_ += 2;
    std::string digits = ReadDigits(base);
    const bool after_dot = !tokens_.empty() && tokens_.back().IsOperator(".");
    const bool fraction =
        base == 10 && !after_dot && Peek() == '.' && IsAsciiDigit(Peek(1));
    if (fraction) {
      ++at_;
      digits += '.';
      digits += ReadDigits(10);
    }
    const bool exponent = base == 10 && !after_dot && AtExponent();
    if (exponent) {
      ++at_;
      digits += "e";
      if (Peek() == '-' || Peek() == '+') digits += source_[at_++];
      digits += ReadDigits(10);
    }
    return PushNumber(digits, base, fraction || exponent);
  }

  bool AtExponent() const {
    if (Peek() != 'e' && Peek() != 'E') return false;
    const bool sign = Peek(1) == '-' || Peek(1) == '+';
    return IsAsciiDigit(Peek(sign ? 2 : 1));
  }

  Result<void> PushNumber(const std::string& digits, int base, bool real) {
    Push(real ? Kind::kFloat : Kind::kInteger);
    if (real) {
      tokens_.back().number = std::strtod(digits.c_str(), nullptr);
      return {};
    }
    const char* const end = digits.data() + digits.size();
    const auto read =
        std::from_chars(digits.data(), end, tokens_.back().integer, base);
    if (read.ec == std::errc() && read.ptr == end) return {};
    return SyntaxError(line_, "an integer is wrong or does not fit 64 bits");
  }

  Result<void> Operator() {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(),
                     [this](std::string_view op) { return Starts(op); });
    if (found == kOperators.end()) {
      return SyntaxError(line_, "unexpected character in a tag");
    }
    RETURN_IF_ERROR(Balance((*found)[0]));
    Push(Kind::kOperator, std::string(*found));
    Advance(at_ + found->size());
    return {};
  }

  // Keeps track of brackets: the end of a tag counts outside of them only.
  Result<void> Balance(char c) {
    static constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (const size_t i = kOpen.find(c); i != kNowhere) {
      brackets_ += kClose[i];
    } else if (kClose.find(c) != kNowhere) {
      if (brackets_.empty() || brackets_.back() != c) {
        return SyntaxError(line_, std::string("unexpected '") + c + "'");
      }
      brackets_.pop_back();
    }
    return {};
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::string brackets_;  // the closing ones that are due
  std::vector<Token> tokens_;
};

}  // namespace

Error SyntaxError(int line, std::string_view message) {
  return {ErrorCode::kCorrupt,
          "line " + std::to_string(line) + ": " + std::string(message), ""};
}

Result<std::vector<Token>> Tokenize(std::string_view source) {
  return Lexer(source).Run();
}

}  // namespace aio::jinja
