// SPDX-License-Identifier: Apache-2.0
//
// Prompts that somebody has labelled with their intent: reading them, and
// splitting them so that what is reported was never fitted on.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/intent.h"

namespace aio::probe {

struct LabelledPrompt {
  std::string id;
  std::string text;
  core::Label label{};
  std::string source;  // the data set it comes from
  // Paraphrases and translations of one item share a group, and a group is
  // never divided between fitting and reporting.
  std::string group;
};

// JSON lines with id, text, label and source; other fields are ignored.
// kNotFound; kCorrupt "file:line: field 'label': …" for a line that is no such
// prompt, an id that occurs twice, or a file without prompts.
Result<std::vector<LabelledPrompt>> ReadLabelledPrompts(
    const std::string& file);

// Prompts as people write them, as opposed to a benchmark's template.
bool IsNatural(std::string_view source);

// The fold of a group, 0 .. folds-1, by hash: the same in every run and for any
// order of the file.
int FoldOf(std::string_view group, int folds);

}  // namespace aio::probe
