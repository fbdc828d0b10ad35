// SPDX-License-Identifier: Apache-2.0
//
// What `aio bench probe` has measured, as tables in Markdown (docs/probe.md)
// and as JSON. Temperatures are cross-validated over groups: no prompt is ever
// shown at a temperature it helped to fit.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "cli/probe_regret.h"
#include "probe/calibration.h"
#include "probe/labelled_prompts.h"
#include "probe/scoreboard.h"

namespace aio::cli {

// What one probe said of all prompts. [prompt]; absent: it failed there.
using Said = std::vector<std::optional<probe::Logits>>;

// A probe, once at temperature 1 and once calibrated.
struct ProbeView {
  std::string name;
  double temperature = 1;    // fitted on all; what a config should say
  probe::Scoreboard plain;   // at temperature 1
  probe::Scoreboard fitted;  // each prompt at the temperature of other folds
  // What would be routed by. [prompt]
  std::vector<std::optional<probe::Distribution>> served;
};
// What is served is at temperature 1 if the probe comes calibrated, else as in
// `fitted`.
ProbeView ViewOf(std::string name, bool calibrated,
                 const std::vector<probe::LabelledPrompt>& prompts,
                 const Said& said);

// Of many measurements.
struct Spread {
  double median = 0;
  double percentile99 = 0;
};
Spread SpreadOf(std::vector<double> values);

struct ProbeCost {
  std::string name;
  Spread milliseconds;  // one at a time
  Spread columns;       // token positions of steps; 0 where there is no model
  double kept = 0;      // share of prompts whose KV a Start would reuse
  int failed = 0;       // prompts without an answer
  std::string failure;  // the first one's error
};

struct ProbeBenchReport {
  std::string prompts_file;
  int prompts = 0;
  std::vector<std::string> notes;  // what a reader must know, a line each
  std::vector<ProbeView> probes;   // those that are configured, in full
  std::vector<ProbeView> others;   // for the calibration table only
  std::vector<ProbeCost> costs;
  std::vector<std::string> variants;     // config order
  std::optional<RoutingReport> routing;  // absent: no quality table
};

std::string Markdown(const ProbeBenchReport& report);
boost::json::object Json(const ProbeBenchReport& report);

}  // namespace aio::cli
