// SPDX-License-Identifier: Apache-2.0
//
// How good a text probe is, measured on what it was not trained on. Tables in
// Markdown, for docs/probe.md.
//
// Thread safety: none.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/probe_data.h"
#include "tools/probe_fit.h"

namespace aio::tools {

struct Experiment {
  std::vector<Sample> samples;
  std::vector<Template> templates;
  FitOptions options;
};

// What models say of each sample that saw neither it nor any of its group:
// `folds` models, each trained without one fold. [sample]
std::vector<probe::Logits> CrossValidate(const Experiment& experiment,
                                         int folds);

// The same of the samples that `held` picks, from one model trained without
// them and without their groups; others stay 0. [sample]
std::vector<probe::Logits> HoldOut(
    const Experiment& experiment,
    const std::function<bool(const Sample&)>& held);

// Prints accuracy per label and source, confusion and calibration of a
// cross-validation, then recall on sources held out.
void Report(const Experiment& experiment, int folds);

}  // namespace aio::tools
