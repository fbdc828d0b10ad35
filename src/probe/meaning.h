// SPDX-License-Identifier: Apache-2.0
//
// What it means when a probe says a label: a probe that was trained elsewhere
// may take one kind of this deployment's prompts for another, and be sure of
// it. Fitted on labelled prompts (Kull et al., "Beyond temperature scaling:
// Dirichlet calibration", NeurIPS 2019):
//
//   p(is) = softmax over is of (bias[is] + sum of weight[is][said] * log
//   p(said))
//
// so that a label may speak for another, the more the surer it is said.
//
// Thread safety: pure functions.
#pragma once

#include <span>

#include "core/intent.h"
#include "probe/calibration.h"

namespace aio::probe {

// The meaning with the least loss, by as many sums as labels; each of its
// numbers is held where it changes nothing as by a normal distribution of
// width 1. A label that no prompt has means itself, and nothing else means it:
// nobody knows how it is taken.
// REQUIRES: as many labels as distributions.
core::Meaning FitMeaning(std::span<const Distribution> said,
                         std::span<const core::Label> labels);

Distribution Meant(const core::Meaning& meaning, const Distribution& said);

struct MeaningFit {
  core::Meaning meaning;
  bool helps = false;  // it has less loss than the probe at its word
  // Negative log likelihood, in nats, and the share of prompts whose best label
  // is right: cross-validated, and of the probe at its word.
  double loss = 0, loss_plain = 0;
  double right = 0, right_plain = 0;
};
// Each prompt judged by a meaning that was fitted without its fold.
// REQUIRES: as many labels and folds as distributions.
MeaningFit CrossFitMeaning(std::span<const Distribution> said,
                           std::span<const core::Label> labels,
                           std::span<const int> folds);

}  // namespace aio::probe
