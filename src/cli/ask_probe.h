// SPDX-License-Identifier: Apache-2.0
//
// Asks the model probe of a running graph about many requests, several in
// flight, through the same ModelProbe and Backend::Score as serving does, and
// keeps what the probe hides: the logits, the columns they cost and whether KV
// was kept.
//
// Thread safety: none; blocks on graph.io() until all have answered.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "core/backend.h"

namespace aio::cli {

struct ProbeAnswer {
  std::vector<Result<core::PromptSize>> sizes;  // [variant], as peeked
  Result<core::Scores> scores;  // as the backend gave them, nothing divided out
  Duration took{};              // of the probe, peeking apart
};

struct ProbeAnswers {
  std::vector<ProbeAnswer> requests;  // in their order
  std::vector<float> prior;  // [label], logits of the content-free request
  core::ScoreRequest asked;  // how the question is put: suffix and labels
};

struct AskOptions {
  int in_flight = 4;
  Duration deadline = std::chrono::seconds(60);  // of one request
  std::function<void(int done)> progress;        // may be empty
};

// Of config.probe.model; without one nothing is asked and only the sizes are
// told (every `scores` is then kNotFound). An error of the prior, such as
// labels that are no tokens of the variant, is the result's; an error of one
// request stands in its answer.
// REQUIRES: the ids of the requests are unique.
Result<ProbeAnswers> AskProbe(
    Graph* graph, const config::Probe& config,
    const std::vector<std::shared_ptr<const core::Request>>& requests,
    const AskOptions& options);

}  // namespace aio::cli
