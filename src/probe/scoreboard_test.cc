// SPDX-License-Identifier: Apache-2.0
#include "probe/scoreboard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace aio::probe {
namespace {

using core::Label;

Judgement Said(Label is, Label said, const std::string& source,
               double sure = 0.93) {
  Judgement j{is, source, {}};
  j.said.fill((1 - sure) / (core::kLabels - 1));
  j.said[static_cast<size_t>(said)] = sure;
  return j;
}

TEST(ScoreboardTest, CountsByLabelSourceAndKindOfSource) {
  const std::vector<Judgement> judgements = {
      Said(Label::kCode, Label::kCode, "humaneval"),
      Said(Label::kCode, Label::kCode, "humaneval"),
      Said(Label::kCode, Label::kCode, "humaneval"),
      Said(Label::kMath, Label::kQa, "arena_hard_v2")};
  const Scoreboard board = ScoreboardOf(judgements);
  EXPECT_EQ(board.all.share(), 0.75);
  // Labels count alike, however many prompts each has; absent ones do not.
  EXPECT_EQ(board.MacroRecall(), 0.5);
  EXPECT_EQ(board.natural.all, 1);
  EXPECT_EQ(board.natural.right, 0);
  EXPECT_EQ(board.benchmark.right, 3);
  EXPECT_EQ(board.sources.at("humaneval").all, 3);
  EXPECT_EQ(board.confusion[1][2], 1);  // math, said qa
  EXPECT_EQ(board.confusion[0][0], 3);
}

TEST(ScoreboardTest, EntropyTellsRightFromWrongOnlyIfTheProbeKnows) {
  const std::vector<Judgement> judgements = {
      Said(Label::kCode, Label::kCode, "a", 1),
      Said(Label::kCode, Label::kMath, "a", 1.0 / core::kLabels + 1e-9)};
  const Scoreboard board = ScoreboardOf(judgements);
  EXPECT_EQ(board.entropy_right, 0);
  EXPECT_NEAR(board.entropy_wrong, std::log(8.0), 1e-6);
  EXPECT_NEAR(board.entropy, std::log(8.0) / 2, 1e-6);
}

TEST(ScoreboardTest, OfNothingEverythingIsZero) {
  const Scoreboard board = ScoreboardOf({});
  EXPECT_EQ(board.MacroRecall(), 0);
  EXPECT_EQ(board.reliability.error, 0);
  EXPECT_NE(AccuracyTables(board).find("of 0"), std::string::npos);
}

TEST(ScoreboardTest, TablesMarkNaturalSourcesAndLeaveOutEmptyBins) {
  const std::vector<Judgement> judgements = {
      Said(Label::kCode, Label::kCode, "mt_bench"),
      Said(Label::kQa, Label::kQa, "mmlu")};
  const Scoreboard board = ScoreboardOf(judgements);
  const std::string tables = AccuracyTables(board);
  EXPECT_NE(tables.find("| mt_bench (natural) | 1 | 100.0 % |"),
            std::string::npos);
  EXPECT_NE(tables.find("| mmlu | 1 | 100.0 % |"), std::string::npos);
  EXPECT_EQ(CalibrationTable(board.reliability),
            "\n| said | prompts | mean said | right |\n|---|---:|---:|---:|\n"
            "| 0.9-1.0 | 2 | 0.93 | 1.00 |\n"
            "\nexpected calibration error 0.070\n");
  EXPECT_NE(ConfusionTable(board).find("| qa | 0 | 0 | 1 |"),
            std::string::npos);
}

}  // namespace
}  // namespace aio::probe
