// SPDX-License-Identifier: Apache-2.0
//
// Labelled tasks: a prompt, the right answer, and the way to compare with it.
// Read from our own JSON Lines or from files as they were published.
//
// Own format, one object a line:
//   {"id": "qa-1", "intent": "qa", "checker": "contains",
//    "messages": [{"role": "user", "content": "Capital of Mali?"}],
//    "reference": "Bamako"}
// `prompt` (a string) may stand for `messages` with one user message. Optional:
// `max_tokens`, `stop` (a string or a list), and for python-tests `prefix` and
// `entry_point`. Any other field is an error.
//
// Thread safety: plain data and free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "core/request.h"

namespace aio::eval {

// How an answer is compared with the reference: see checker.h.
enum class Checker : uint8_t {
  kExact,
  kNumber,
  kChoice,
  kContains,
  kPythonTests,
  kRegex,
};
// "exact", "number", "choice", "contains", "python-tests", "regex".
std::string_view Name(Checker checker);
std::optional<Checker> CheckerNamed(std::string_view name);

struct Task {
  std::string id;  // unique within a run; no control characters
  core::Label intent = core::Label::kQa;
  std::vector<core::Message> messages;  // not empty; ends with the user's
  Checker checker = Checker::kExact;
  std::string reference;  // python-tests: the test program
  // python-tests only: code that stands before the answer (imports, signature,
  // docstring), and the function that the tests call. Either may be empty.
  std::string prefix;
  std::string entry_point;
  int max_tokens = 0;  // 0: the run's default
  std::vector<std::string> stop;
};

inline constexpr size_t kTaskFileBytesMax = size_t{256} << 20;
inline constexpr size_t kTaskLineBytesMax = size_t{4} << 20;

// The tasks of a file, or of every *.jsonl, *.jsonl.gz and *.csv directly in a
// folder, sorted by name; never none. A file is in our own format or in a
// published one (see published.h), which its fields tell.
// Errors: kNotFound, kDenied; kCorrupt (not UTF-8, cut off, not JSON);
// kInvalidArgument (a field is wrong, an id occurs twice), all with file and
// line and, for a mistyped name, the nearest known one.
Result<std::vector<Task>> LoadTasks(const std::string& path);

// The same from memory. `name` stands in errors, and its ending tells a csv
// from JSON; `bytes` may be gzip.
Result<std::vector<Task>> ParseTasks(const std::string& name,
                                     std::string_view bytes);

}  // namespace aio::eval
