// SPDX-License-Identifier: Apache-2.0
#include "probe/meaning.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "base/check.h"

namespace aio::probe {
namespace {

constexpr size_t kLabels = core::kLabels;
// Surer than that nobody is that a label is not meant.
constexpr double kLeast = 1e-4;
constexpr int kRounds = 1500;

using Row = std::array<double, kLabels>;

Row Logs(const Distribution& p) {
  Row x;
  for (size_t i = 0; i < kLabels; ++i) x[i] = std::log(std::max(p[i], kLeast));
  return x;
}

// Of the weights and, last, the biases.
using Numbers = std::array<Row, kLabels + 1>;

// Over the labels that are known; 0 for the others.
Row Softmaxed(const core::Meaning& m, const Row& logs) {
  Row out{};
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (size_t is = 0; is < kLabels; ++is) {
    if (!m.known[is]) continue;
    out[is] = m.bias[is];
    for (size_t s = 0; s < kLabels; ++s) out[is] += m.weight[is][s] * logs[s];
    most = std::max(most, out[is]);
  }
  for (size_t is = 0; is < kLabels; ++is) {
    if (m.known[is]) sum += out[is] = std::exp(out[is] - most);
  }
  for (size_t is = 0; is < kLabels; ++is) {
    if (m.known[is]) out[is] /= sum;
  }
  return out;
}

// Of the mean loss, by each number of `m`.
Numbers SlopeOf(const core::Meaning& m, const std::vector<Row>& logs,
                std::span<const core::Label> labels) {
  const auto count = static_cast<double>(labels.size());
  const core::Meaning plain;
  Numbers slope{};
  for (size_t i = 0; i < logs.size(); ++i) {
    Row off = Softmaxed(m, logs[i]);
    off[static_cast<size_t>(labels[i])] -= 1;
    for (size_t is = 0; is < kLabels; ++is) {
      for (size_t s = 0; s < kLabels; ++s) slope[is][s] += off[is] * logs[i][s];
      slope[kLabels][is] += off[is];
    }
  }
  for (size_t is = 0; is < kLabels; ++is) {
    for (size_t s = 0; s < kLabels; ++s) {
      slope[is][s] += m.weight[is][s] - plain.weight[is][s];
      slope[is][s] /= count;
    }
    slope[kLabels][is] = (slope[kLabels][is] + m.bias[is]) / count;
  }
  return slope;
}

}  // namespace

core::Meaning FitMeaning(std::span<const Distribution> said,
                         std::span<const core::Label> labels) {
  CHECK(said.size() == labels.size());
  core::Meaning meaning;
  if (said.empty()) return meaning;
  for (const core::Label l : labels) {
    meaning.known[static_cast<size_t>(l)] = true;
  }
  std::vector<Row> logs;
  double square = 0;
  for (const Distribution& p : said) {
    logs.push_back(Logs(p));
    for (const double x : logs.back()) square += x * x;
  }
  // Nesterov's gradient descent. The curvature is at most half of the mean
  // square of what is weighted, and that of the prior.
  const auto count = static_cast<double>(said.size());
  const double rate = 1 / (0.5 * (square / count + 1) + 1 / count);
  core::Meaning ahead = meaning;
  for (int round = 0; round < kRounds; ++round) {
    const Numbers slope = SlopeOf(ahead, logs, labels);
    const double keep = round / (round + 3.0);
    const auto step = [&](double* at, double* next, double down) {
      const double to = *next - rate * down;
      *next = to + keep * (to - *at);
      *at = to;
    };
    for (size_t is = 0; is < kLabels; ++is) {
      if (!meaning.known[is]) continue;
      for (size_t s = 0; s < kLabels; ++s) {
        step(&meaning.weight[is][s], &ahead.weight[is][s], slope[is][s]);
      }
      step(&meaning.bias[is], &ahead.bias[is], slope[kLabels][is]);
    }
  }
  return meaning;
}

Distribution Meant(const core::Meaning& meaning, const Distribution& said) {
  Distribution meant = Softmaxed(meaning, Logs(said));
  double share = 0;
  for (size_t is = 0; is < kLabels; ++is) {
    if (meaning.known[is]) share += said[is];
  }
  for (size_t is = 0; is < kLabels; ++is) {
    meant[is] = meaning.known[is] ? meant[is] * share : said[is];
  }
  return meant;
}

MeaningFit CrossFitMeaning(std::span<const Distribution> said,
                           std::span<const core::Label> labels,
                           std::span<const int> folds) {
  CHECK(said.size() == labels.size() && said.size() == folds.size());
  MeaningFit fit;
  fit.meaning = FitMeaning(said, labels);
  for (const int fold : std::set<int>(folds.begin(), folds.end())) {
    std::vector<Distribution> others;
    std::vector<core::Label> their_labels;
    for (size_t i = 0; i < said.size(); ++i) {
      if (folds[i] == fold) continue;
      others.push_back(said[i]);
      their_labels.push_back(labels[i]);
    }
    const core::Meaning without = FitMeaning(others, their_labels);
    for (size_t i = 0; i < said.size(); ++i) {
      if (folds[i] != fold) continue;
      const Distribution meant = Meant(without, said[i]);
      fit.loss += LossOf(meant, labels[i]);
      fit.loss_plain += LossOf(said[i], labels[i]);
      fit.right += Best(meant) == labels[i] ? 1 : 0;
      fit.right_plain += Best(said[i]) == labels[i] ? 1 : 0;
    }
  }
  const double count = std::max<double>(1, static_cast<double>(said.size()));
  for (double* sum :
       {&fit.loss, &fit.loss_plain, &fit.right, &fit.right_plain}) {
    *sum /= count;
  }
  fit.helps = fit.loss < fit.loss_plain;
  return fit;
}

}  // namespace aio::probe
