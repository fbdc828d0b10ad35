// SPDX-License-Identifier: Apache-2.0
//
// The letter, A to J, that an answer to a multiple choice question decides for.
//
// Thread safety: a free function.
#pragma once

#include <optional>
#include <string_view>

namespace aio::eval {

// In this order: the last "answer is B" (or "choice", "option", and Chinese);
// \boxed{B}; a letter that the answer begins with ("B", "(B) Paris", "b"); the
// last letter that stands alone. "A" before another word is the article and
// "I" the pronoun, unless one of the first three says otherwise.
// REQUIRES: answer is valid UTF-8.
std::optional<char> ChosenLetter(std::string_view answer);

}  // namespace aio::eval
