// SPDX-License-Identifier: Apache-2.0
//
// Questions with the truth about two models: which of them answered rightly.
// As RouteLLM publishes it, a folder:
//
//   mmlu/*.csv             a subject each; columns: prompt, a column each of
//                          the weak and the strong model, True or False
//   gsm8k_responses.csv    the same and more columns, which are not read
//
// Either may be missing. Thread safety: a free function, no state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace aio::eval {

inline constexpr size_t kRoutingFilesMax = 1000;
inline constexpr size_t kRoutingBytesMax = size_t{256} << 20;  // of all prompts

enum class RoutingSource : uint8_t { kMmlu, kGsm8k };

struct RoutingQuestion {
  RoutingSource source = RoutingSource::kMmlu;
  std::string subject;  // "mmlu_virology", "gsm8k_responses": the file's stem
  std::string prompt;
  bool weak_right = false;
  bool strong_right = false;
};

struct RoutingData {
  std::string weak;  // the models' names
  std::string strong;
  std::vector<RoutingQuestion> questions;  // by file name, then as in the file
};

// Errors name the file, and the line where one is wrong; kNotFound if nothing
// is there, kInvalidArgument if files name different models or are too many or
// too large.
Result<RoutingData> LoadRoutingData(const std::string& folder);

}  // namespace aio::eval
