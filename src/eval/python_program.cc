// SPDX-License-Identifier: Apache-2.0
//
// From an answer to the program that tests it: PythonProgram of checker.h.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/checker.h"

namespace aio::eval {
namespace {

constexpr size_t npos = std::string_view::npos;

// Without their ends, "\n" or "\r\n".
std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool Blank(std::string_view line) {
  return line.find_first_not_of(" \t") == npos;
}

size_t Indent(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

// A line of three or more backticks or tildes, after up to three spaces.
struct Fence {
  char mark;
  size_t length;
  std::string language;  // small letters
};
std::optional<Fence> FenceOf(std::string_view line) {
  const size_t indent = line.find_first_not_of(' ');
  if (indent == npos || indent > 3) return std::nullopt;
  line.remove_prefix(indent);
  const char mark = line.front();
  if (mark != '`' && mark != '~') return std::nullopt;
  const size_t length = std::min(line.find_first_not_of(mark), line.size());
  if (length < 3) return std::nullopt;
  Fence fence{mark, length, std::string(line.substr(length))};
  std::transform(fence.language.begin(), fence.language.end(),
                 fence.language.begin(), [](char c) {
                   return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
                 });
  const size_t begin = fence.language.find_first_not_of(' ');
  fence.language = begin == npos ? "" : fence.language.substr(begin);
  fence.language.resize(
      std::min(fence.language.find_first_of(" \t{"), fence.language.size()));
  return fence;
}

bool IsPython(const std::string& language) {
  return language == "python" || language == "py" || language == "python3";
}

bool Closes(std::string_view line, const Fence& open) {
  const auto fence = FenceOf(line);
  return fence && fence->mark == open.mark && fence->length >= open.length &&
         fence->language.empty();
}

std::string Joined(const std::vector<std::string_view>& lines) {
  std::string text;
  for (const std::string_view line : lines) {
    text += line;
    text += '\n';
  }
  return text;
}

// The first block of Python, else the first of all, else the whole answer. A
// block that is not closed (the answer was cut off) goes on to the end.
std::vector<std::string_view> CodeLines(std::string_view answer) {
  const std::vector<std::string_view> lines = Lines(answer);
  std::optional<std::vector<std::string_view>> first;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto fence = FenceOf(lines[i]);
    if (!fence) continue;
    std::vector<std::string_view> block;
    for (++i; i < lines.size() && !Closes(lines[i], *fence); ++i) {
      block.push_back(lines[i]);
    }
    if (IsPython(fence->language)) return block;
    if (!first) first = std::move(block);
  }
  return first ? *first : lines;
}

bool StartsWithWord(std::string_view line, std::string_view word) {
  if (!line.starts_with(word)) return false;
  const char next = line.size() > word.size() ? line[word.size()] : ' ';
  return next == ' ' || next == '\t' || next == '(' || next == ':' ||
         next == '=';
}

bool Defines(const std::vector<std::string_view>& lines,
             std::string_view name) {
  return std::any_of(lines.begin(), lines.end(), [&](std::string_view line) {
    bool keyword = false;
    for (const std::string_view word : {"async", "def", "class"}) {
      if (!StartsWithWord(line, word)) continue;
      keyword = true;
      line.remove_prefix(word.size());
      line.remove_prefix(Indent(line));
    }
    if (!StartsWithWord(line, name)) return false;
    if (keyword) return true;
    line.remove_prefix(name.size());  // name = lambda ...
    line.remove_prefix(Indent(line));
    return line.starts_with('=') && !line.starts_with("==");
  });
}

enum class Lacks { kNothing, kFirst, kAll };

// Which lines of a function's body lack its indent. Many templates strip an
// answer, and so the spaces of its first line only.
Lacks LackingIndent(const std::vector<std::string_view>& lines) {
  const auto first = std::find_if_not(lines.begin(), lines.end(), Blank);
  if (first == lines.end() || Indent(*first) > 0) return Lacks::kNothing;
  const auto second = std::find_if_not(first + 1, lines.end(), Blank);
  const bool others = std::all_of(second, lines.end(), [](auto line) {
    return Blank(line) || Indent(line) > 0;
  });
  if (second == lines.end() || !others) return Lacks::kAll;
  const size_t end = first->find_last_not_of(" \t");
  const bool opens = (*first)[end] == ':';
  return Indent(*second) >= (opens ? 8u : 4u) ? Lacks::kFirst : Lacks::kAll;
}

std::string Body(const std::vector<std::string_view>& lines) {
  const Lacks lacks = LackingIndent(lines);
  std::string body;
  bool first = true;
  for (const std::string_view line : lines) {
    const bool indent =
        lacks == Lacks::kAll || (lacks == Lacks::kFirst && first);
    if (!Blank(line)) {
      if (indent) body += "    ";
      first = false;
    }
    body += line;
    body += '\n';
  }
  return body;
}

}  // namespace

std::string PythonProgram(const Task& task, std::string_view answer) {
  const std::vector<std::string_view> lines = CodeLines(answer);
  std::string program = task.prefix;
  if (task.prefix.empty()) {
    program += Joined(lines);
  } else if (!task.entry_point.empty() && Defines(lines, task.entry_point)) {
    program += "\n\n" + Joined(lines);
  } else {
    if (!program.ends_with('\n')) program += '\n';
    program += Body(lines);
  }
  return program + "\n" + task.reference;
}

}  // namespace aio::eval
