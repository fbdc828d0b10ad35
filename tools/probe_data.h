// SPDX-License-Identifier: Apache-2.0
//
// What the text probe is trained on: labelled prompts as it reads them, and
// prompts written for it.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "probe/labelled_prompts.h"

namespace aio::tools {

struct Sample : probe::LabelledPrompt {
  std::string line;  // of its tokens
};

// As probe::ReadLabelledPrompts.
Result<std::vector<Sample>> ReadSamples(const std::string& file);

// Prompts written for training (tools/probe_prompts.txt), with {text} and
// {line} filled from `samples` several times over, deterministically. Call it
// with the training side of a split only.
struct Template {
  core::Label label{};
  std::string text;
};
Result<std::vector<Template>> ReadTemplates(const std::string& file);
std::vector<Sample> Fill(const std::vector<Template>& templates,
                         const std::vector<const Sample*>& samples);

}  // namespace aio::tools
