// SPDX-License-Identifier: Apache-2.0
//
// Tasks in the files that the authors of well-known benchmarks published, read
// as they are, and asked for in the usual words, so that the numbers can be set
// beside published ones:
//
//   HumanEval  JSON Lines: task_id, prompt, entry_point, test
//   MBPP       JSON Lines: task_id, text, test_list, test_setup_code; or the
//              hand-checked part, a JSON list: task_id, prompt, test_list,
//              test_imports
//   GSM8K      JSON Lines: question, answer (a number after "####")
//   MMLU       CSV without a header: question, A, B, C, D, letter
//
// Fields beyond these (solutions, notes) are ignored.
//
// Thread safety: free functions, no state.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/task.h"

namespace aio::eval {

enum class Format : uint8_t { kOwn, kHumanEval, kMbpp, kGsm8k };
std::string_view Name(Format format);

// Told by the fields it has; kOwn if they fit none of the published ones.
Format FormatOf(const boost::json::object& object);

// REQUIRES: format is not kOwn. `line` names a task whose file gives no name.
// Errors name the field, without file and line.
Result<Task> PublishedTask(Format format, const boost::json::object& object,
                           size_t line);

// The rows of a file of MMLU's. The subject is the file's name: "anatomy" in
// "data/anatomy_test.csv". Errors have the file and line.
Result<std::vector<Task>> ParseMmlu(const std::string& name,
                                    std::string_view text);

}  // namespace aio::eval
