// SPDX-License-Identifier: Apache-2.0
#include "eval/answer_number.h"

#include <algorithm>
#include <vector>

namespace aio::eval {
namespace {

constexpr size_t npos = std::string_view::npos;
// Digits of a part; a longer number is no number. Bounds the multiplication.
constexpr size_t kDigitsMax = 400;
constexpr int kExponentMax = 300;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

std::string WithoutZeros(std::string digits) {
  const size_t first = digits.find_first_not_of('0');
  return first == npos ? "0" : digits.substr(first);
}

// The product, by hand.
std::string Multiply(const std::string& a, const std::string& b) {
  std::vector<int> sums(a.size() + b.size(), 0);  // the last digit first
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      sums[i + j] += (a[a.size() - 1 - i] - '0') * (b[b.size() - 1 - j] - '0');
    }
  }
  std::string product(sums.size(), '0');
  int carry = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    carry += sums[i];
    product[sums.size() - 1 - i] = static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  return WithoutZeros(std::move(product));
}

// Finds one number after another.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<WrittenNumber> Next() {
    while (at_ < text_.size()) {
      if (IsLetter(text_[at_])) {
        SkipWord();
      } else if (StartsNumber()) {
        const size_t begin = at_;
        auto number = Read();
        if (number) return WithSign(*std::move(number), begin);
      } else {
        ++at_;
      }
    }
    return std::nullopt;
  }

  size_t at() const { return at_; }

 private:
  char At(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  char Before(size_t i) const { return i > 0 ? text_[i - 1] : '\0'; }

  bool StartsNumber() const {
    return IsDigit(At(at_)) ||
           (At(at_) == '.' && IsDigit(At(at_ + 1)) && !IsDigit(Before(at_)));
  }

  // "x2", "H2O", "v1.5" are names; \frac{1}{2} is not.
  void SkipWord() {
    while (IsLetter(At(at_)) || IsDigit(At(at_)) ||
           (At(at_) == '.' && IsDigit(Before(at_)) && IsDigit(At(at_ + 1)))) {
      ++at_;
    }
  }

  std::string Digits() {
    const size_t begin = at_;
    while (IsDigit(At(at_))) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  // Whether a comma and a group of exactly three digits stand here.
  bool AtGroup() const {
    return At(at_) == ',' && IsDigit(At(at_ + 1)) && IsDigit(At(at_ + 2)) &&
           IsDigit(At(at_ + 3)) && !IsDigit(At(at_ + 4));
  }

  // Digits, in groups or not: "1,234" is one number, "1,23" are two.
  std::string Whole() {
    std::string digits = Digits();
    if (digits.empty() || digits.size() > 3) return digits;
    while (AtGroup()) {
      ++at_;
      digits += Digits();
    }
    return digits;
  }

  std::optional<Number> Read() {
    Number number{false, Whole(), "1"};
    bool whole = true;
    if (At(at_) == '.' && IsDigit(At(at_ + 1))) {
      ++at_;
      const std::string decimals = Digits();
      number.numerator += decimals;
      number.denominator.append(decimals.size(), '0');
      whole = false;
      SkipFurtherPoints();
    }
    if (whole && !Denominator(&number)) return std::nullopt;
    Exponent(&number);
    if (number.numerator.size() > kDigitsMax ||
        number.denominator.size() > kDigitsMax) {
      return std::nullopt;
    }
    return number;
  }

  // What follows is a version or an address: 1.2.3.
  void SkipFurtherPoints() {
    while (At(at_) == '.' && IsDigit(At(at_ + 1))) {
      ++at_;
      Digits();
    }
  }

  // "/4" or "}{4}" of \frac{3}{4}. False: a date like 1/2/2024, all skipped
  // but its last part; or a division by zero.
  bool Denominator(Number* number) {
    const bool latex = text_.substr(at_, 2) == "}{" && IsDigit(At(at_ + 2));
    const bool slash = At(at_) == '/' && IsDigit(At(at_ + 1));
    if (!latex && !slash) return true;
    const size_t before = at_;
    at_ += latex ? 2 : 1;
    const std::string digits = Whole();
    if (slash && At(at_) == '/') {
      ++at_;
      return false;
    }
    if (At(at_) == '.' && IsDigit(At(at_ + 1))) {  // 3/4.5: two numbers
      at_ = before;
      return true;
    }
    number->denominator = WithoutZeros(digits);
    return number->denominator != "0";
  }

  void Exponent(Number* number) {
    if (At(at_) != 'e' && At(at_) != 'E') return;
    const bool sign = At(at_ + 1) == '+' || At(at_ + 1) == '-';
    const size_t begin = at_ + (sign ? 2 : 1);
    size_t end = begin;
    int exponent = 0;
    for (; IsDigit(At(end)); ++end) {
      exponent = std::min(exponent * 10 + (At(end) - '0'), kExponentMax);
    }
    if (end == begin || IsLetter(At(end))) return;
    const bool down = At(at_ + 1) == '-';
    (down ? number->denominator : number->numerator)
        .append(static_cast<size_t>(exponent), '0');
    at_ = end;
  }

  // "-5", "-$5" and "$-5", but not "3-5" and "x-5".
  WrittenNumber WithSign(Number number, size_t begin) {
    constexpr std::string_view kSigns[] = {"frac{",  "\\d",    "\\t", "\u20AC",
                                           "\u00A3", "\u00A5", "$",   "\\"};
    constexpr std::string_view kMinus[] = {"-", "\u2212"};
    const std::string_view before = text_.substr(0, begin);
    std::string_view left = before;
    for (const std::string_view sign : kSigns) {
      if (left.ends_with(sign)) left.remove_suffix(sign.size());
    }
    for (const std::string_view minus : kMinus) {
      if (!left.ends_with(minus)) continue;
      left.remove_suffix(minus.size());
      const char last = left.empty() ? ' ' : left.back();
      number.negative =
          !IsDigit(last) && !IsLetter(last) && last != ')' && last != '-';
      if (number.negative) begin = left.size();
      break;
    }
    return {std::move(number), text_.substr(begin, at_ - begin)};
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::optional<WrittenNumber> LastNumber(std::string_view text) {
  Scanner scanner(text);
  std::optional<WrittenNumber> last;
  while (auto next = scanner.Next()) last = std::move(next);
  return last;
}

// What stands between the brace at `open` and the one that closes it.
std::string_view Braced(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) {
      return text.substr(open + 1, i - open - 1);
    }
  }
  return text.substr(open + 1);
}

}  // namespace

bool Equal(const Number& a, const Number& b) {
  const std::string left = Multiply(a.numerator, b.denominator);
  const std::string right = Multiply(b.numerator, a.denominator);
  return left == right && (a.negative == b.negative || left == "0");
}

std::optional<Number> ParseNumber(std::string_view text) {
  Scanner scanner(text);
  auto number = scanner.Next();
  if (!number) return std::nullopt;
  constexpr std::string_view kAround = " \t\r\n$%+";
  const size_t begin = static_cast<size_t>(number->text.data() - text.data());
  const bool alone =
      text.substr(0, begin).find_first_not_of(kAround) == npos &&
      text.substr(scanner.at()).find_first_not_of(kAround) == npos;
  if (!alone) return std::nullopt;
  return std::move(number->number);
}

std::optional<WrittenNumber> FinalNumber(std::string_view answer) {
  if (const size_t mark = answer.rfind("####"); mark != npos) {
    if (auto number = Scanner(answer.substr(mark + 4)).Next()) return number;
  }
  constexpr std::string_view kBoxed = "\\boxed{";
  if (const size_t box = answer.rfind(kBoxed); box != npos) {
    const auto inside = Braced(answer, box + kBoxed.size() - 1);
    if (auto number = LastNumber(inside)) return number;
  }
  return LastNumber(answer);
}

}  // namespace aio::eval
