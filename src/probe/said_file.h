// SPDX-License-Identifier: Apache-2.0
//
// What a probe said of labelled prompts, as a file: one JSON object a line with
// the prompt's id and eight logits, in the order of core::kLabelNames. It
// carries answers of models that no longer exist, such as those of a
// cross-validation, to where they are compared.
//
// Thread safety: pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "probe/calibration.h"
#include "probe/labelled_prompts.h"

namespace aio::probe {

// One line, with its line break.
std::string SaidLine(const std::string& id, const Logits& logits);

// The logits of each of `prompts`; what the file says of others is skipped.
// kNotFound; kCorrupt "file:line: …" for a line that is no such object, or
// naming a prompt that the file lacks. [prompt]
Result<std::vector<Logits>> ReadSaid(const std::string& file,
                                     std::span<const LabelledPrompt> prompts);

}  // namespace aio::probe
