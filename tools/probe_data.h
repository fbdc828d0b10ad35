// SPDX-License-Identifier: Apache-2.0
//
// Labelled prompts for the text probe: reading them, and splitting them so that
// what is reported was never trained on.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/intent.h"

namespace aio::tools {

struct Sample {
  std::string id;
  std::string text;
  core::Label label{};
  std::string source;
  // Paraphrases and translations of one item share a group, and a group is
  // never divided between training and test.
  std::string group;
  std::string line;  // of its tokens
};

// JSON lines with id, text, label and source. Errors name the line.
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

// Prompts as people write them, as opposed to a benchmark's template.
bool IsNatural(const std::string& source);

// The fold of a group, 0 .. folds-1, by hash: the same in every run and for any
// order of the file.
int FoldOf(const std::string& group, int folds);

}  // namespace aio::tools
