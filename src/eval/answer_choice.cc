// SPDX-License-Identifier: Apache-2.0
#include "eval/answer_choice.h"

#include "eval/pattern.h"

namespace aio::eval {
namespace {

// A small letter counts only where a line or a bracket ends behind it.
constexpr std::string_view kDecided =
    R"((?x)
    (?: (?: (?i: \b (?:answer | choice | option) ) [*_"')]* \s*
            (?: (?i: \b(?:is | was | would\ be | must\ be | should\ be)\b )
              | [:=\x{FF1A}] )
          | (?:答案|选项|正确选项) \s* (?: 应?该?[是为选] | [:=\x{FF1A}] )?
          | 选择?
        ) \s* [^\w\n]{0,12}
        (?: (?i: (?:the\ )? (?:correct\ )? (?:option | choice | letter | answer)
            ) (?: \ is )? \s* [^\w\n]{0,6} )?
        (?: ([A-J]) (?! [\w'\x{2019}] )
          | ([a-j]) (?= [)\].*]* \s* (?: \n | $ ) ) ) ))";

constexpr std::string_view kBoxed =
    R"(\\boxed\s*\{\s*(?:\\\w+\s*\{\s*)?\(?([A-J])(?!\w))";

constexpr std::string_view kLeading =
    R"((?x) ^ [^\w]{0,8}
    (?: ([A-J]) (?= \s*\n | \s*$ | \s*[).:,;!\]}*_"/] | \s*[-\x{2013}\x{2014}]\s )
      | ([B-HJ]) (?= \s )
      | (A) (?= \s+ (?: is | because | since | as ) \b )
      | ([a-j]) (?= [)\].*]* \s* $ | \) ) ))";

constexpr std::string_view kAlone =
    R"((?x) (?<! [\w'\x{2019}] )
    (?: ([B-HJ]) (?! [\w'\x{2019}] )
      | (A) (?! [\w'\x{2019}] )
            (?! \s+ (?! (?: is | because | since ) \b ) [\p{L}\p{N}] )
      | (I) (?! [\w'\x{2019}] ) (?! \s+ [\p{L}\p{N}] | , ) ))";

}  // namespace

std::optional<char> ChosenLetter(std::string_view answer) {
  static const Pattern decided = Pattern::Must(kDecided);
  static const Pattern boxed = Pattern::Must(kBoxed);
  static const Pattern leading = Pattern::Must(kLeading);
  static const Pattern alone = Pattern::Must(kAlone);
  std::string_view letter = decided.LastGroup(answer);
  if (letter.empty()) letter = boxed.LastGroup(answer);
  if (letter.empty()) letter = leading.Search(answer).group;
  if (letter.empty()) letter = alone.LastGroup(answer);
  if (letter.empty()) return std::nullopt;
  const char c = letter.front();
  return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace aio::eval
