// SPDX-License-Identifier: Apache-2.0
#include "probe/scoreboard.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "probe/labelled_prompts.h"

namespace aio::probe {
namespace {

size_t Index(core::Label label) { return static_cast<size_t>(label); }

double EntropyOf(const Distribution& p) {
  double sum = 0;
  for (const double x : p) {
    if (x > 0) sum -= x * std::log(x);
  }
  return sum;
}

std::string Row(const std::string& name, const Tally& tally) {
  return fmt::format("| {} | {} | {:.1f} % |\n", name, tally.all,
                     100 * tally.share());
}

}  // namespace

double Scoreboard::MacroRecall() const {
  double sum = 0;
  int occur = 0;
  for (const Tally& label : labels) {
    sum += label.share();
    occur += label.all > 0 ? 1 : 0;
  }
  return occur == 0 ? 0 : sum / occur;
}

Scoreboard ScoreboardOf(std::span<const Judgement> judgements) {
  Scoreboard board;
  std::vector<Distribution> said;
  std::vector<core::Label> labels;
  for (const Judgement& j : judgements) {
    const core::Label best = Best(j.said);
    const bool ok = best == j.is;
    const double entropy = EntropyOf(j.said);
    board.all.Add(ok);
    (IsNatural(j.source) ? board.natural : board.benchmark).Add(ok);
    board.labels[Index(j.is)].Add(ok);
    board.sources[j.source].Add(ok);
    ++board.confusion[Index(j.is)][Index(best)];
    board.entropy += entropy;
    (ok ? board.entropy_right : board.entropy_wrong) += entropy;
    said.push_back(j.said);
    labels.push_back(j.is);
  }
  const auto mean = [](double* sum, int count) {
    if (count > 0) *sum /= count;
  };
  mean(&board.entropy, board.all.all);
  mean(&board.entropy_right, board.all.right);
  mean(&board.entropy_wrong, board.all.all - board.all.right);
  board.reliability = ReliabilityOf(said, labels);
  return board;
}

std::string AccuracyLine(const Scoreboard& board) {
  return fmt::format(
      "accuracy {:.1f} % of {}; mean over labels {:.1f} %; natural prompts "
      "{:.1f} % of {}; benchmark prompts {:.1f} % of {}\n",
      100 * board.all.share(), board.all.all, 100 * board.MacroRecall(),
      100 * board.natural.share(), board.natural.all,
      100 * board.benchmark.share(), board.benchmark.all);
}

std::string AccuracyTables(const Scoreboard& board) {
  std::string text = "\n" + AccuracyLine(board);
  text += "\n| label | prompts | right |\n|---|---:|---:|\n";
  std::map<std::string, Tally> labels;  // by name, as the sources are
  for (size_t i = 0; i < core::kLabels; ++i) {
    if (board.labels[i].all == 0) continue;
    labels[std::string(core::kLabelNames[i])] = board.labels[i];
  }
  for (const auto& [name, tally] : labels) text += Row(name, tally);
  text += "\n| source | prompts | right |\n|---|---:|---:|\n";
  for (const auto& [name, tally] : board.sources) {
    text += Row(name + (IsNatural(name) ? " (natural)" : ""), tally);
  }
  return text;
}

std::string ConfusionTable(const Scoreboard& board) {
  std::string text = "\n| is \\ said |";
  for (const auto name : core::kLabelNames) text += fmt::format(" {} |", name);
  text += "\n|---|";
  for (size_t i = 0; i < core::kLabels; ++i) text += "---:|";
  for (size_t i = 0; i < core::kLabels; ++i) {
    text += fmt::format("\n| {} |", core::kLabelNames[i]);
    for (const int n : board.confusion[i]) text += fmt::format(" {} |", n);
  }
  return text + "\n";
}

std::string CalibrationTable(const Reliability& reliability) {
  std::string text =
      "\n| said | prompts | mean said | right |\n|---|---:|---:|---:|\n";
  for (size_t b = 0; b < reliability.bins.size(); ++b) {
    const Reliability::Bin& bin = reliability.bins[b];
    if (bin.prompts == 0) continue;
    text += fmt::format("| {:.1f}-{:.1f} | {} | {:.2f} | {:.2f} |\n",
                        static_cast<double>(b) / 10,
                        static_cast<double>(b + 1) / 10, bin.prompts, bin.said,
                        bin.right);
  }
  return text + fmt::format("\nexpected calibration error {:.3f}\n",
                            reliability.error);
}

}  // namespace aio::probe
