// SPDX-License-Identifier: Apache-2.0
//
// Is an answer right? By the task's checker:
//
//   exact         equal, but for white space: none counts at the ends, and a
//                 run of it counts as one space within.
//   number        the number that the answer ends with equals the reference:
//                 what follows "####", else what stands in the last \boxed{},
//                 else the last number. Exact in decimals: 0.50 = 1/2, and
//                 0.333 is not 1/3. Signs of currency and % are ignored.
//   choice        the letter A..J that the answer decides for ("B", "(B)
//   Paris",
//                 "The answer is B.").
//   contains      the reference occurs, whatever its case, on borders of words.
//                 Each of its lines is an alternative; one suffices. Scripts
//                 without spaces between words (CJK, Thai ...) have no borders.
//   regex         PCRE2 with Unicode, searched anywhere: write ^...$ for the
//                 whole answer, (?i) to ignore case.
//   python-tests  the program `prefix + answer's code + reference` runs to its
//                 end without an exception, within the runner's limits.
//
// Thread safety: free functions, callable from several threads at once.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "eval/python_runner.h"
#include "eval/task.h"

namespace aio::eval {

struct Verdict {
  bool right = false;
  std::string why;  // one line: "expected 42, found 41"; empty if right
};

// `python` is required for python-tests only. Whatever the answer is or does,
// the outcome is a verdict; an error only if the checker itself could not run
// (no `python`, no process could be started).
Result<Verdict> Check(const Task& task, std::string_view answer,
                      const PythonRunner* python);

// kInvalidArgument, with the reason, if no answer could ever be compared with
// `reference`: not a number, no letter, a regex that does not compile ...
Result<void> CheckReference(Checker checker, const std::string& reference);

// What python-tests runs for `answer`: the code of its first ```python block,
// else of its first block, else all of it. Where the task has a prefix, code
// that does not define the entry point continues the prefix's last function,
// indented to be its body if it is not yet.
std::string PythonProgram(const Task& task, std::string_view answer);

}  // namespace aio::eval
