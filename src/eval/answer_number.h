// SPDX-License-Identifier: Apache-2.0
//
// Numbers as answers write them, compared without rounding.
//
// Understood: 42, -3, 1,234,567, 0.5, .5, 6e3, 3/4, \frac{3}{4}, with $, % and
// other signs around them, which are ignored. Not: a comma for the point,
// spaces between thousands, mixed numbers, words.
//
// Thread safety: free functions, no state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace aio::eval {

// A fraction; both parts in decimal digits, the denominator not zero.
struct Number {
  bool negative = false;
  std::string numerator;
  std::string denominator;
};

bool Equal(const Number& a, const Number& b);

struct WrittenNumber {
  Number number;
  std::string_view text;  // as it stands in the answer
};

// `text` as a whole, but for spaces around it and signs of currency and %.
std::optional<Number> ParseNumber(std::string_view text);

// The number that an answer gives: the first after the last "####", else the
// last in the last \boxed{}, else the last of all.
std::optional<WrittenNumber> FinalNumber(std::string_view answer);

}  // namespace aio::eval
