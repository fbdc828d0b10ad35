// SPDX-License-Identifier: Apache-2.0
#include "eval/checker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "eval/answer_choice.h"
#include "eval/answer_number.h"
#include "eval/pattern.h"

namespace aio::eval {
namespace {

constexpr size_t kShownBytesMax = 80;

// Unicode's White_Space.
bool IsSpace(char32_t c) {
  return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// Without white space at the ends, and with one space for each run within.
std::string Folded(std::string_view text) {
  std::string out;
  bool space = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeUtf8(text, i);
    i += c.size;
    if (IsSpace(c.value)) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    AppendUtf8(c.value, &out);
  }
  return out;
}

// One line, not too long.
std::string Shown(std::string_view text) {
  std::string line = Folded(text);
  if (line.size() > kShownBytesMax) {
    line.resize(kShownBytesMax);
    line.resize(line.size() - IncompleteUtf8Tail(line));
    line += " ...";
  }
  return line;
}

Error Invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), ""};
}

Verdict Judge(bool right, std::string_view expected, std::string_view found) {
  if (right) return {true, ""};
  return {false, "expected " + Shown(expected) + ", found " +
                     (found.empty() ? "nothing" : Shown(found))};
}

Verdict CheckNumber(const std::string& reference, const std::string& answer) {
  const auto expected = ParseNumber(reference);
  const auto found = FinalNumber(answer);
  if (!expected || !found) {
    return {false, "expected " + Shown(reference) + ", found no number"};
  }
  return Judge(Equal(*expected, found->number), reference, found->text);
}

// A letter that the reference gives, "B" or "b"; 0 if it is none.
char ReferenceLetter(const std::string& reference) {
  const std::string folded = Folded(reference);
  if (folded.size() != 1) return 0;
  const char letter = static_cast<char>(folded[0] & ~0x20);
  return letter >= 'A' && letter <= 'J' ? letter : '\0';
}

Verdict CheckChoice(const std::string& reference, const std::string& answer) {
  const char expected = ReferenceLetter(reference);
  const auto found = ChosenLetter(answer);
  if (!found) {
    return {false, std::string("expected ") + expected + ", found no letter"};
  }
  return Judge(*found == expected, {&expected, 1}, {&*found, 1});
}

std::vector<std::string> Alternatives(std::string_view reference) {
  std::vector<std::string> list;
  while (!reference.empty()) {
    const size_t end = std::min(reference.find('\n'), reference.size());
    std::string folded = Folded(reference.substr(0, end));
    if (!folded.empty()) list.push_back(std::move(folded));
    reference.remove_prefix(std::min(end + 1, reference.size()));
  }
  return list;
}

// A character of a word in a script that puts spaces between its words.
constexpr std::string_view kWordCharacter =
    R"((?![\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer})"
    R"(\p{Myanmar}\p{Bopomofo}\p{Tibetan}])[\p{L}\p{M}\p{N}_])";

// `text` as an expression that finds it on borders of words. Two characters of
// words must not meet at a border; nothing else matters.
std::string OnBorders(const std::string& text) {
  const std::string word(kWordCharacter);
  std::string expression = "(?is)(?:(?<!" + word + ")|(?!" + word + "))";
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeUtf8(text, i);
    i += c.size;
    if (c.value == ' ') {
      expression += "\\s+";
      continue;
    }
    expression += "\\Q" + text.substr(i - c.size, c.size) + "\\E";
  }
  return expression + "(?:(?!" + word + ")|(?<!" + word + "))";
}

Verdict CheckRegex(const std::string& expression, const std::string& answer,
                   std::string_view wanted) {
  const auto pattern = Pattern::Compile(expression);
  if (!pattern) return {false, pattern.error().message};
  switch (pattern->Search(answer).found) {
    case Pattern::Found::kYes:
      return {true, ""};
    case Pattern::Found::kNo:
      break;
    case Pattern::Found::kGaveUp:
      return {false, "the expression needs too many steps on this answer: " +
                         Shown(wanted)};
  }
  return {false, "did not find " + Shown(wanted)};
}

Verdict CheckContains(const std::string& reference, const std::string& answer) {
  Verdict verdict;
  for (const std::string& alternative : Alternatives(reference)) {
    verdict = CheckRegex(OnBorders(alternative), answer, reference);
    if (verdict.right) break;
  }
  return verdict;
}

}  // namespace

Result<void> CheckReference(Checker checker, const std::string& reference) {
  switch (checker) {
    case Checker::kNumber:
      if (ParseNumber(reference)) return {};
      return Invalid("is no number: '" + Shown(reference) + "'");
    case Checker::kChoice:
      if (ReferenceLetter(reference) != 0) return {};
      return Invalid("must be a letter from A to J, not '" + Shown(reference) +
                     "'");
    case Checker::kContains:
      for (const std::string& alternative : Alternatives(reference)) {
        const auto pattern = Pattern::Compile(OnBorders(alternative));
        if (!pattern) return pattern.error();
      }
      break;
    case Checker::kRegex: {
      const auto pattern = Pattern::Compile(reference);
      if (!pattern) return pattern.error();
      break;
    }
    case Checker::kExact:
    case Checker::kPythonTests:
      break;
  }
  if (Folded(reference).empty()) return Invalid("is empty");
  return {};
}

Result<Verdict> Check(const Task& task, std::string_view answer,
                      const PythonRunner* python) {
  const std::string text = ReplaceInvalidUtf8(answer);
  switch (task.checker) {
    case Checker::kExact: {
      const std::string found = Folded(text);
      return Judge(found == Folded(task.reference), task.reference, found);
    }
    case Checker::kNumber:
      return CheckNumber(task.reference, text);
    case Checker::kChoice:
      return CheckChoice(task.reference, text);
    case Checker::kContains:
      return CheckContains(task.reference, text);
    case Checker::kRegex:
      return CheckRegex(task.reference, text, task.reference);
    case Checker::kPythonTests:
      break;
  }
  if (python == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 "task '" + task.id + "' needs Python, which does not run here",
                 ""};
  }
  ASSIGN_OR_RETURN(const PythonRun run, python->Run(PythonProgram(task, text)));
  return Verdict{run.finished, run.why};
}

}  // namespace aio::eval
