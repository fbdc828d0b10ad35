// SPDX-License-Identifier: Apache-2.0
//
// What a probe would have said of a simulated request: there is no text to
// read, so an answer is drawn by how sure the probe usually is and how often it
// is right then.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/intent.h"

namespace aio::sim {

// `share` of the answers give their best label the probability `said`, and it
// is the true one in `right` of the cases.
struct ProbeBin {
  double share = 1;
  double said = 1;
  double right = 1;
};

// Ours on 3,495 prompts it was not fitted on (docs/probe.md, "Calibration").
std::vector<ProbeBin> TextProbeBins();
// The paper's: right in 92 % of the cases (arXiv 2604.09752, second hand); how
// sure it is, is assumed to be as much.
std::vector<ProbeBin> ModelProbeBins();

// An answer about a request that wants `truth`; the same for the same `seed`.
// What the best label leaves is spread over the others evenly.
core::Intent Sensed(std::span<const ProbeBin> bins, core::Label truth,
                    uint64_t seed);

}  // namespace aio::sim
