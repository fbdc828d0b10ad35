// SPDX-License-Identifier: Apache-2.0
//
// What `aio calibrate` has measured, for people and as JSON. docs/calibrate.md
// defines it.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/probe_fit.h"
#include "cost/step_table.h"
#include "eval/record.h"
#include "eval/report.h"

namespace aio::cli {

// variant -> [label]: how far its answers to tasks agree with the reference's,
// on average (orchestrator/agreement.h); absent where no task has both.
using AgreementTable =
    std::map<std::string, std::array<std::optional<double>, core::kLabels>>;
// Of records of one (task, contender) the last counts.
AgreementTable AgreementsOf(const std::vector<eval::Record>& records,
                            const std::string& reference);

// variant -> how sure its answers were, those that were right and the others.
// Who has no larger variant than itself, the reference, is left out.
struct MarginLists {
  std::vector<eval::Margin> right, wrong;
};
using MarginTable = std::map<std::string, MarginLists>;
MarginTable MarginsOf(const std::vector<eval::Record>& records,
                      const std::string& reference);

struct CalibrationReport {
  std::string folder;
  // Of local variants whose steps are known, in config order.
  std::vector<std::pair<std::string, cost::StepTable>> steps;
  eval::Report tasks;
  std::string reference;  // of `agreement`; empty: no size is known
  AgreementTable agreement;
  MarginTable margins;               // empty: nobody asked
  std::string probe_variant;         // empty: no model probe
  std::optional<FittedProbe> probe;  // absent: none
  std::optional<FittedText> text;    // absent: no text probe
};

std::string Text(const CalibrationReport& report);
std::string Json(const CalibrationReport& report);

// probe.json of the folder; `suffix`: config.probe's.
std::string ProbeFitJson(const CalibrationReport& report,
                         const std::string& suffix);

// text.json of the folder.
std::string TextFitJson(const FittedText& text);

}  // namespace aio::cli
