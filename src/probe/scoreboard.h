// SPDX-License-Identifier: Apache-2.0
//
// How good a probe is on labelled prompts: accuracy by label and source,
// confusion, entropy and calibration, as numbers and as tables in Markdown. One
// for every kind of probe, so that their tables can be laid side by side.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>

#include "core/intent.h"
#include "probe/calibration.h"

namespace aio::probe {

// A prompt and what a probe said of it.
struct Judgement {
  core::Label is{};
  std::string source;
  Distribution said{};
};

struct Tally {
  int right = 0, all = 0;
  void Add(bool ok) {
    right += ok ? 1 : 0;
    ++all;
  }
  double share() const { return all == 0 ? 0 : double{1} * right / all; }
};

struct Scoreboard {
  Tally all;
  Tally natural;    // sources that hold prompts as people write them
  Tally benchmark;  // the others
  std::array<Tally, core::kLabels> labels;  // recall
  std::map<std::string, Tally> sources;
  // [is][said]
  std::array<std::array<int, core::kLabels>, core::kLabels> confusion{};
  Reliability reliability;
  // Mean entropies over the eight labels, in nats; 0 where there are none.
  double entropy = 0, entropy_right = 0, entropy_wrong = 0;

  // Mean recall of the labels that occur.
  double MacroRecall() const;
};

Scoreboard ScoreboardOf(std::span<const Judgement> judgements);

// "accuracy 93.1 % of 3495; …", one line.
std::string AccuracyLine(const Scoreboard& board);
// The line, then recall by label and accuracy by source.
std::string AccuracyTables(const Scoreboard& board);
std::string ConfusionTable(const Scoreboard& board);
// The bins and the expected calibration error.
std::string CalibrationTable(const Reliability& reliability);

}  // namespace aio::probe
