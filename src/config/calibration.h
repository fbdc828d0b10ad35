// SPDX-License-Identifier: Apache-2.0
//
// Reads the folder that `aio calibrate` writes (policy.calibration):
//
//   quality.json  the quality table (config/quality_table.h)
//   lengths.json  mean tokens of an answer (config/variant_table.h), of CELLs
//                 {"tokens": 41.5, "n": 200, "cut": 3}: of n answers, of which
//                 so many ended at max_tokens and would have been longer
//   probe.json    how the model probe's answers are to be read:
//                 {"format": 1, "variant": "small", "suffix": "Category:",
//                  "temperature": 2.3, "prior": false, …}
//   text.json     what the text probe means by what it says:
//                 {"format": 1, "fingerprint": "…", "meant": {"qa": {"bias":
//                  0.3, "weights": {"qa": 0.9, "extract": 0.2, …}}, …}, …}, as
//                 probe/meaning.h has it; `meant` is absent where it means what
//                 it says, and so are labels of which nothing is known
//
// Thread safety: free functions, no state.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "core/length.h"

namespace aio::config {

inline constexpr char kQualityFile[] = "quality.json";
inline constexpr char kLengthsFile[] = "lengths.json";
inline constexpr char kProbeFile[] = "probe.json";
inline constexpr char kTextFile[] = "text.json";

// `source` stands in errors.
Result<core::LengthTable> ParseLengths(
    std::string_view text, const std::string& source,
    const std::vector<std::string>& variants);

struct ProbeFit {
  std::string variant;  // that was asked
  std::string suffix;   // what it was asked
  double temperature = 1;
  bool prior = true;
};
Result<ProbeFit> ParseProbeFit(std::string_view text,
                               const std::string& source);

struct TextFit {
  std::string fingerprint;  // of the model file
  std::optional<core::Meaning> meant;
};
Result<TextFit> ParseTextFit(std::string_view text, const std::string& source);

Result<core::LengthTable> LoadLengths(const std::string& file,
                                      const std::vector<std::string>& variants);
Result<ProbeFit> LoadProbeFit(const std::string& file);
Result<TextFit> LoadTextFit(const std::string& file);

}  // namespace aio::config
