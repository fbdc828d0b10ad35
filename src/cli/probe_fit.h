// SPDX-License-Identifier: Apache-2.0
//
// How the model probe's answers are to be read: the temperature and whether the
// prior is divided out (docs/probe.md), fitted on labelled prompts. What the
// probe said is kept, so that a command that was killed does not ask again.
//
// Thread safety: none; AskAll blocks on graph.io().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "core/request.h"
#include "eval/task.h"
#include "probe/calibration.h"
#include "probe/labelled_prompts.h"
#include "probe/meaning.h"
#include "probe/text_probe.h"

namespace aio::cli {

struct ProbePrompt {
  std::vector<core::Message> messages;
  core::Label label{};
  std::string group;  // never divided between fitting and judging
};
std::vector<ProbePrompt> PromptsOf(const std::vector<eval::Task>& tasks);
std::vector<ProbePrompt> PromptsOf(
    const std::vector<probe::LabelledPrompt>& prompts);

// What the probe said. [prompt]; absent: it failed there.
struct ProbeSaid {
  probe::Logits prior{};  // of a request without content
  std::vector<std::optional<probe::Logits>> logits;
  std::string failure;  // the first one's error
};

struct ProbeAskOptions {
  // Where answers are kept, a file for every so many prompts.
  std::string folder;
  bool restart = false;  // do not read what is kept
  int parallel = 4;
};

// Asks config.model about every prompt, but for what is kept of the same model
// and question. REQUIRES: graph->WarmUp() has run, config.model is not empty.
Result<ProbeSaid> AskAll(Graph* graph, const config::Probe& config,
                         const std::vector<ProbePrompt>& prompts,
                         const ProbeAskOptions& options);

struct FittedProbe {
  double temperature = 1;
  bool prior = true;
  int prompts = 0;        // that it was fitted on
  double accuracy = 0;    // share of them whose best label was right
  double error = 0;       // expected calibration error, cross-validated
  double loss = 0;        // negative log likelihood, cross-validated, in nats
  double loss_other = 0;  // the same, had the prior been treated otherwise
};

// The way to treat the prior that has the least loss, each prompt judged at a
// temperature that it did not help to fit; dividing it out, of equals. Where no
// prompt is wrong, nothing says how sure is too sure, and the temperature is
// not less than 1. kInvalidArgument if fewer than kFitPromptsMin prompts have
// an answer.
inline constexpr int kFitPromptsMin = 20;
Result<FittedProbe> FitProbe(const std::vector<ProbePrompt>& prompts,
                             const ProbeSaid& said);

// What the text probe means by what it says. Prompts without text, or too few
// of the others, tell nothing: it then means what it says.
struct FittedText {
  std::string fingerprint;  // of its model file
  int prompts = 0;          // that it was fitted on
  probe::MeaningFit fit;
};
FittedText FitText(const probe::TextProbe& text,
                   const std::vector<ProbePrompt>& prompts);

}  // namespace aio::cli
