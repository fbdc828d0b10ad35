// SPDX-License-Identifier: Apache-2.0
//
// Routing regret: what the policy loses because a probe told it the wrong
// intent, against deciding with the true one. Accuracy counts every mistake
// alike; this counts only those that change the choice, by what they cost.
//
// Decisions are the policy's own, over the candidates that the orchestrator
// would show it on an idle machine.
//
// Thread safety: pure functions and plain data; same input, same output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/backend.h"
#include "core/intent.h"
#include "core/quality.h"
#include "policy/policy.h"

namespace aio::cli {

struct RoutingSetup {
  std::vector<core::Variant> variants;  // config order
  std::shared_ptr<const policy::Policy> policy;
  core::QualityTable quality;
};

// A prompt as the policy sees it.
struct RoutedPrompt {
  std::shared_ptr<const core::Request> request;
  core::Label is{};                             // the true intent
  std::vector<Result<core::PromptSize>> sizes;  // [variant]
  std::optional<core::Intent> text;   // absent: there is no such probe
  std::optional<core::Intent> model;  // absent: the same, or it failed
};

struct Estimated {
  double mean = 0;
  double low = 0, high = 0;  // 95 %, bootstrap over prompts
};

// One way to decide, over all prompts.
struct RoutingLine {
  std::string name;
  double quality = 0;          // mean, by the table
  double bytes_per_token = 0;  // mean, of weights
  std::vector<double> shares;  // [variant], of prompts sent to it
  double asked = 0;            // share of prompts the model probe was asked for
  Estimated quality_lost;      // against the true intent; < 0: gained
  Estimated bytes_lost;        // read per token, more than with the true intent
};

struct RoutingReport {
  std::vector<RoutingLine> lines;
  int prompts = 0;
  // Prompts left out: the table lacks their intent for some variant.
  int unknown = 0;
  int unserved = 0;  // left out too: no variant can take them
};

// Lines, where their probes exist: true intent, text probe, model probe, text
// then model (as serving does it), each variant alone (the static policy), and
// the best variant for each prompt, which nobody could know. The first is what
// regret is counted against. kInvalidArgument if the table knows no prompt's
// intent for all variants.
Result<RoutingReport> RoutingRegret(const RoutingSetup& setup,
                                    const std::vector<RoutedPrompt>& prompts);

}  // namespace aio::cli
