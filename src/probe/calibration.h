// SPDX-License-Identifier: Apache-2.0
//
// How far a probe's probabilities can be believed, and the temperature that
// makes them believable: p = softmax(logits / T) with the T of least negative
// log likelihood (Guo et al., "On Calibration of Modern Neural Networks", ICML
// 2017). It moves no prompt from one label to another.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/intent.h"

namespace aio::probe {

// [label], natural, up to a common constant.
using Logits = std::array<double, core::kLabels>;
// [label], sums to 1.
using Distribution = std::array<double, core::kLabels>;

// REQUIRES: temperature > 0.
Distribution Softmax(const Logits& logits, double temperature);

// The most probable label; the first of equals.
core::Label Best(const Distribution& p);

// Negative log likelihood of that label, in nats. One prompt that is surely
// wrong must not decide alone: at most 20.7.
double LossOf(const Distribution& p, core::Label label);

// The temperature with the least negative log likelihood, within 2 % and
// between 0.05 and 20; 1 for no logits at all.
// REQUIRES: as many labels as logits.
double FitTemperature(std::span<const Logits> logits,
                      std::span<const core::Label> labels);

// What each prompt's probabilities are at a temperature fitted without its
// fold. [prompt]
// REQUIRES: as many labels and folds as logits.
std::vector<Distribution> CrossCalibrate(std::span<const Logits> logits,
                                         std::span<const core::Label> labels,
                                         std::span<const int> folds);

// Expected calibration error: how far the probability of the best label is from
// the share of prompts it is right for, in ten bins of equal width by that
// probability, weighted by the prompts in each.
struct Reliability {
  struct Bin {
    int prompts = 0;
    double said = 0;   // mean probability of the best label
    double right = 0;  // share of prompts for which it is the label
  };
  std::array<Bin, 10> bins;  // [0, 0.1), [0.1, 0.2), … [0.9, 1]
  double error = 0;          // 0: calibrated
};
// REQUIRES: as many labels as distributions.
Reliability ReliabilityOf(std::span<const Distribution> said,
                          std::span<const core::Label> labels);

}  // namespace aio::probe
