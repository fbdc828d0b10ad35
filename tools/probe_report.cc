// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "probe/scoreboard.h"

namespace aio::tools {
namespace {

using core::kLabels;
using probe::Distribution;
using probe::FoldOf;
using probe::IsNatural;
using probe::Logits;
using probe::Tally;

// A label counts among those held out if it has this many sources of this size.
constexpr size_t kSourcesMin = 3;
constexpr int kPromptsMin = 20;

size_t Index(core::Label label) { return static_cast<size_t>(label); }

size_t Best(const Distribution& p) { return Index(probe::Best(p)); }

double EntropyOf(const double* p, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    if (p[i] > 0) sum -= p[i] * std::log(p[i]);
  }
  return sum;
}

// Each fold is calibrated with what the models of the other folds said.
std::vector<Distribution> Calibrated(const Experiment& e,
                                     const std::vector<Logits>& logits,
                                     int folds) {
  std::vector<core::Label> labels;
  std::vector<int> fold;
  for (const Sample& s : e.samples) {
    labels.push_back(s.label);
    fold.push_back(FoldOf(s.group, folds));
  }
  return probe::CrossCalibrate(logits, labels, fold);
}

probe::Scoreboard BoardOf(const Experiment& e,
                          const std::vector<Distribution>& p) {
  std::vector<probe::Judgement> judgements;
  for (size_t i = 0; i < p.size(); ++i) {
    judgements.push_back({e.samples[i].label, e.samples[i].source, p[i]});
  }
  return probe::ScoreboardOf(judgements);
}

void Print(const std::string& text) { std::fputs(text.c_str(), stdout); }

// What the paper's policy makes of it: code / math / other, threshold 0.45.
void PrintRouting(const Experiment& e, const std::vector<Distribution>& p,
                  bool natural) {
  Tally three;
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
      natural ? "natural" : "all", 100 * three.share(), 100.0 * certain / all,
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
      Tally recall;
      for (size_t i = 0; i < e.samples.size(); ++i) {
        const Sample& s = e.samples[i];
        if (s.source != source || Index(s.label) != label) continue;
        recall.Add(Best(said[source][i]) == label);
      }
      mean += recall.share() / sources.size();
      std::printf("| %s | %s | %d | %.1f %% |\n",
                  core::kLabelNames[label].data(), source.c_str(), recall.all,
                  100 * recall.share());
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
  Tally share;
  for (size_t i = 0; i < said.size(); ++i) {
    if (!IsNatural(e.samples[i].source)) continue;
    share.Add(Best(said[i]) == Index(e.samples[i].label));
  }
  std::printf("\nall natural sources held out at once: %.1f %% of %d right\n",
              100 * share.share(), share.all);
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
  const std::vector<Distribution> p = Calibrated(e, logits, folds);
  const probe::Scoreboard board = BoardOf(e, p);
  Print(probe::AccuracyTables(board));
  Print(probe::ConfusionTable(board));
  Print(probe::CalibrationTable(board.reliability));
  std::printf("\n");
  PrintRouting(e, p, false);
  PrintRouting(e, p, true);
  std::fflush(stdout);
  PrintHeldOut(e);
  PrintNaturalHeldOut(e);
}

}  // namespace aio::tools
