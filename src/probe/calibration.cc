// SPDX-License-Identifier: Apache-2.0
#include "probe/calibration.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"

namespace aio::probe {
namespace {

constexpr double kLeast = 0.05, kStart = 0.4, kMost = 20, kStep = 1.02;

double Loss(std::span<const Logits> logits, std::span<const core::Label> labels,
            double temperature) {
  double loss = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    loss += LossOf(Softmax(logits[i], temperature), labels[i]);
  }
  return loss;
}

}  // namespace

Distribution Softmax(const Logits& logits, double temperature) {
  const double most = *std::max_element(logits.begin(), logits.end());
  Distribution p;
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = std::exp((logits[i] - most) / temperature);
    sum += p[i];
  }
  for (double& x : p) x /= sum;
  return p;
}

core::Label Best(const Distribution& p) {
  return static_cast<core::Label>(std::max_element(p.begin(), p.end()) -
                                  p.begin());
}

double LossOf(const Distribution& p, core::Label label) {
  return -std::log(std::max(p[static_cast<size_t>(label)], 1e-9));
}

double FitTemperature(std::span<const Logits> logits,
                      std::span<const core::Label> labels) {
  CHECK(logits.size() == labels.size());
  if (logits.empty()) return 1;
  double best = 1, least = Loss(logits, labels, 1);
  const auto consider = [&](double temperature) {
    const double loss = Loss(logits, labels, temperature);
    if (loss >= least) return;
    least = loss;
    best = temperature;
  };
  for (double t = kStart; t < kMost; t *= kStep) consider(t);
  for (double t = kStart / kStep; t > kLeast; t /= kStep) consider(t);
  return best;
}

std::vector<Distribution> CrossCalibrate(std::span<const Logits> logits,
                                         std::span<const core::Label> labels,
                                         std::span<const int> folds) {
  CHECK(logits.size() == labels.size() && logits.size() == folds.size());
  std::vector<Distribution> said(logits.size());
  for (const int fold : std::set<int>(folds.begin(), folds.end())) {
    std::vector<Logits> others;
    std::vector<core::Label> their_labels;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (folds[i] == fold) continue;
      others.push_back(logits[i]);
      their_labels.push_back(labels[i]);
    }
    const double temperature = FitTemperature(others, their_labels);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (folds[i] == fold) said[i] = Softmax(logits[i], temperature);
    }
  }
  return said;
}

Reliability ReliabilityOf(std::span<const Distribution> said,
                          std::span<const core::Label> labels) {
  CHECK(said.size() == labels.size());
  Reliability r;
  for (size_t i = 0; i < said.size(); ++i) {
    const core::Label best = Best(said[i]);
    const double most = said[i][static_cast<size_t>(best)];
    const auto tenth = static_cast<size_t>(most * 10);
    Reliability::Bin& bin = r.bins[std::min(tenth, r.bins.size() - 1)];
    ++bin.prompts;
    bin.said += most;
    bin.right += best == labels[i] ? 1 : 0;
  }
  for (Reliability::Bin& bin : r.bins) {
    if (bin.prompts == 0) continue;
    bin.said /= bin.prompts;
    bin.right /= bin.prompts;
    r.error += std::abs(bin.said - bin.right) * bin.prompts /
               static_cast<double>(said.size());
  }
  return r;
}

}  // namespace aio::probe
