// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

namespace aio::tools {
namespace {

using core::kLabels;

// A label counts among those held out if it has this many sources of this size.
constexpr size_t kSourcesMin = 3;
constexpr int kPromptsMin = 20;

size_t Index(core::Label label) { return static_cast<size_t>(label); }

size_t Best(const Logits& x) {
  return std::max_element(x.begin(), x.end()) - x.begin();
}

double EntropyOf(const double* p, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    if (p[i] > 0) sum -= p[i] * std::log(p[i]);
  }
  return sum;
}

struct Share {
  int right = 0, all = 0;
  void Add(bool ok) {
    right += ok;
    ++all;
  }
  double value() const { return all == 0 ? 0 : double{1} * right / all; }
};

// Each fold is calibrated with what the models of the other folds said.
std::vector<Logits> Calibrated(const Experiment& e,
                               const std::vector<Logits>& logits, int folds) {
  std::vector<Logits> p(logits.size());
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<Logits> others;
    std::vector<core::Label> labels;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (FoldOf(e.samples[i].group, folds) == fold) continue;
      others.push_back(logits[i]);
      labels.push_back(e.samples[i].label);
    }
    const double temperature = FitTemperature(others, labels);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (FoldOf(e.samples[i].group, folds) == fold) {
        p[i] = Softmax(logits[i], temperature);
      }
    }
  }
  return p;
}

void PrintShares(const char* title,
                 const std::map<std::string, Share>& shares) {
  std::printf("\n| %s | prompts | right |\n|---|---:|---:|\n", title);
  for (const auto& [name, share] : shares) {
    std::printf("| %s | %d | %.1f %% |\n", name.c_str(), share.all,
                100 * share.value());
  }
}

void PrintAccuracy(const Experiment& e, const std::vector<Logits>& p) {
  Share all, natural, other;
  std::map<std::string, Share> labels, sources;
  for (size_t i = 0; i < p.size(); ++i) {
    const Sample& s = e.samples[i];
    const bool ok = Best(p[i]) == Index(s.label);
    all.Add(ok);
    (IsNatural(s.source) ? natural : other).Add(ok);
    labels[std::string(core::Name(s.label))].Add(ok);
    sources[s.source + (IsNatural(s.source) ? " (natural)" : "")].Add(ok);
  }
  double macro = 0;
  for (const auto& [name, share] : labels) macro += share.value() / kLabels;
  std::printf(
      "\naccuracy %.1f %% of %d; mean over labels %.1f %%; natural "
      "prompts %.1f %% of %d; benchmark prompts %.1f %% of %d\n",
      100 * all.value(), all.all, 100 * macro, 100 * natural.value(),
      natural.all, 100 * other.value(), other.all);
  PrintShares("label", labels);
  PrintShares("source", sources);
}

void PrintConfusion(const Experiment& e, const std::vector<Logits>& p) {
  std::array<std::array<int, kLabels>, kLabels> count{};
  for (size_t i = 0; i < p.size(); ++i) {
    ++count[Index(e.samples[i].label)][Best(p[i])];
  }
  std::printf("\n| is \\ said |");
  for (const auto name : core::kLabelNames) std::printf(" %s |", name.data());
  std::printf("\n|---|");
  for (size_t i = 0; i < kLabels; ++i) std::printf("---:|");
  for (size_t i = 0; i < kLabels; ++i) {
    std::printf("\n| %s |", core::kLabelNames[i].data());
    for (const int n : count[i]) std::printf(" %d |", n);
  }
  std::printf("\n");
}

// Expected calibration error: |confidence - accuracy| by tenths of confidence,
// weighted by how many fall into each.
void PrintCalibration(const Experiment& e, const std::vector<Logits>& p) {
  std::array<Share, 10> bins;
  std::array<double, 10> confidence{};
  for (size_t i = 0; i < p.size(); ++i) {
    const double most = p[i][Best(p[i])];
    const size_t bin = std::min<size_t>(9, static_cast<size_t>(most * 10));
    bins[bin].Add(Best(p[i]) == Index(e.samples[i].label));
    confidence[bin] += most;
  }
  double error = 0;
  std::printf(
      "\n| said | prompts | mean said | right |\n|---|---:|---:|---:|\n");
  for (size_t b = 0; b < bins.size(); ++b) {
    if (bins[b].all == 0) continue;
    const double mean = confidence[b] / bins[b].all;
    error += std::abs(mean - bins[b].value()) * bins[b].all / p.size();
    std::printf("| %.1f-%.1f | %d | %.2f | %.2f |\n", b / 10.0, (b + 1) / 10.0,
                bins[b].all, mean, bins[b].value());
  }
  std::printf("\nexpected calibration error %.3f\n", error);
}

// What the paper's policy makes of it: code / math / other, threshold 0.45.
void PrintRouting(const Experiment& e, const std::vector<Logits>& p,
                  bool natural) {
  Share three;
  int certain = 0, small = 0, small_right = 0, code = 0, all = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const Sample& s = e.samples[i];
    if (natural && !IsNatural(s.source)) continue;
    ++all;
    const double q[3] = {p[i][0], p[i][1],
                         std::max(0.0, 1 - p[i][0] - p[i][1])};
    const size_t best = std::max_element(q, q + 3) - q;
    three.Add(best == std::min<size_t>(2, Index(s.label)));
    code += s.label == core::Label::kCode;
    if (EntropyOf(q, 3) > 0.45) continue;
    ++certain;
    small += best == 0;
    small_right += best == 0 && s.label == core::Label::kCode;
  }
  std::printf(
      "%s: code / math / other right %.1f %%; entropy <= 0.45 for "
      "%.1f %%; sent small %d, of which code %d (%.1f %%), of %d code "
      "prompts\n",
      natural ? "natural" : "all", 100 * three.value(), 100.0 * certain / all,
      small, small_right, 100.0 * small_right / std::max(1, small), code);
}

void PrintHeldOut(const Experiment& e) {
  std::map<size_t, std::map<std::string, int>> count;
  for (const Sample& s : e.samples) ++count[Index(s.label)][s.source];
  std::map<std::string, std::vector<Logits>> said;
  double macro = 0;
  int labels = 0;
  std::printf(
      "\n| label | source held out | prompts | recall |\n"
      "|---|---|---:|---:|\n");
  for (size_t label = 0; label < kLabels; ++label) {
    std::vector<std::pair<std::string, int>> sources;
    for (const auto& source : count[label]) {
      if (source.second >= kPromptsMin) sources.push_back(source);
    }
    const bool counts = sources.size() >= kSourcesMin;
    double mean = 0;
    for (const auto& [source, n] : sources) {
      if (said.count(source) == 0) {
        said[source] = HoldOut(
            e, [&s = source](const Sample& x) { return x.source == s; });
      }
      Share recall;
      for (size_t i = 0; i < e.samples.size(); ++i) {
        const Sample& s = e.samples[i];
        if (s.source != source || Index(s.label) != label) continue;
        recall.Add(Best(said[source][i]) == label);
      }
      mean += recall.value() / sources.size();
      std::printf("| %s | %s | %d | %.1f %% |\n",
                  core::kLabelNames[label].data(), source.c_str(), recall.all,
                  100 * recall.value());
    }
    if (counts) {
      std::printf("| **%s** | mean of %zu | | **%.1f %%** |\n",
                  core::kLabelNames[label].data(), sources.size(), 100 * mean);
      macro += mean;
      ++labels;
    } else {
      std::printf("| **%s** | %zu sources of %d prompts: n/a | | |\n",
                  core::kLabelNames[label].data(), sources.size(), kPromptsMin);
    }
  }
  std::printf("\nmacro recall on sources held out %.1f %% (%d labels)\n",
              100 * macro / std::max(1, labels), labels);
}

void PrintNaturalHeldOut(const Experiment& e) {
  const std::vector<Logits> said =
      HoldOut(e, [](const Sample& s) { return IsNatural(s.source); });
  Share share;
  for (size_t i = 0; i < said.size(); ++i) {
    if (!IsNatural(e.samples[i].source)) continue;
    share.Add(Best(said[i]) == Index(e.samples[i].label));
  }
  std::printf("\nall natural sources held out at once: %.1f %% of %d right\n",
              100 * share.value(), share.all);
}

}  // namespace

std::vector<Logits> HoldOut(const Experiment& e,
                            const std::function<bool(const Sample&)>& held) {
  std::set<std::string> groups;
  for (const Sample& s : e.samples) {
    if (held(s)) groups.insert(s.group);
  }
  std::vector<const Sample*> train;
  for (const Sample& s : e.samples) {
    if (groups.count(s.group) == 0) train.push_back(&s);
  }
  const std::vector<Sample> written = Fill(e.templates, train);
  for (const Sample& s : written) train.push_back(&s);
  const Fitted fitted(train, e.options);
  std::vector<Logits> logits(e.samples.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (held(e.samples[i])) logits[i] = fitted.Predict(e.samples[i].line);
  }
  return logits;
}

std::vector<Logits> CrossValidate(const Experiment& e, int folds) {
  std::vector<Logits> logits(e.samples.size());
  for (int fold = 0; fold < folds; ++fold) {
    const auto held = [fold, folds](const Sample& s) {
      return FoldOf(s.group, folds) == fold;
    };
    const std::vector<Logits> said = HoldOut(e, held);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (held(e.samples[i])) logits[i] = said[i];
    }
  }
  return logits;
}

void Report(const Experiment& e, int folds) {
  const std::vector<Logits> logits = CrossValidate(e, folds);
  const std::vector<Logits> p = Calibrated(e, logits, folds);
  PrintAccuracy(e, p);
  PrintConfusion(e, p);
  PrintCalibration(e, p);
  std::printf("\n");
  PrintRouting(e, p, false);
  PrintRouting(e, p, true);
  std::fflush(stdout);
  PrintHeldOut(e);
  PrintNaturalHeldOut(e);
}

}  // namespace aio::tools
