// SPDX-License-Identifier: Apache-2.0
#include "eval/mixed.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

namespace aio::eval {
namespace {

constexpr int kRounds = 20;

// Ten requests, 10 tokens each; small takes 10 ms of each and large 20 ms, but
// of the first request large takes 110 ms. `on_small` of the requests, the last
// ones, go to small.
MixedContender Make(const std::string& name, int on_small) {
  MixedContender contender;
  contender.name = name;
  for (int round = 0; round < kRounds; ++round) {
    Pass pass;
    for (int i = 0; i < 10; ++i) {
      const bool small = i >= 10 - on_small;
      Record r;
      r.task = "t" + std::to_string(i);
      r.intent = i < 7 ? core::Label::kCode : core::Label::kQa;
      r.served = small ? "small" : "large";
      r.sensed = i == 0 ? "qa" : std::string(core::Name(r.intent));
      r.answer = r.served + r.task;
      r.right = !small || i % 2 == 0;
      r.usage.completion_tokens = 10;
      r.seconds = small ? 0.010 : i == 0 ? 0.110 : 0.020;
      r.probe_seconds = 0.001;
      pass.seconds += r.seconds;
      pass.weight_bytes += small ? 1000 : 4000;
      pass.records.push_back(r);
    }
    contender.passes.push_back(pass);
  }
  return contender;
}

MixedNames Names() {
  MixedNames names;
  names.workload = "code-centric";
  names.small = "small";
  names.all_small = "static:small";
  names.baseline = "static:large";
  names.router = "paper";
  return names;
}

std::vector<MixedContender> All() {
  return {Make("static:small", 10), Make("static:large", 0), Make("random", 4),
          Make("paper", 5)};
}

TEST(MixedTest, ComparesEveryContenderWithAllLarge) {
  const MixedReport report = SummarizeMixed(Names(), All());
  ASSERT_EQ(report.rows.size(), 4u);
  EXPECT_EQ(report.mix.at("code"), 7);
  EXPECT_EQ(report.mix.at("qa"), 3);
  const MixedRow& small = report.rows[0];
  EXPECT_EQ(small.right, 5);
  EXPECT_DOUBLE_EQ(small.small_share, 1);
  EXPECT_NEAR(small.tokens_per_second, 1000, 1e-6);
  EXPECT_NEAR(small.ratio.median, 0.29 / 0.10, 1e-9);
  EXPECT_EQ(small.ratio.pairs, kRounds);
  EXPECT_EQ(small.ratio.claim, Claim::kDifference);
  EXPECT_NEAR(small.weight_bytes_per_token, 100, 1e-9);
  EXPECT_NEAR(small.probe_seconds, 0.001, 1e-12);
  EXPECT_NEAR(small.probe_share, 0.1, 1e-9);
  const MixedRow& large = report.rows[1];
  EXPECT_EQ(large.right, 10);
  EXPECT_EQ(large.ratio.claim, Claim::kNoDifference);
  EXPECT_NEAR(large.request_seconds, 0.029, 1e-9);
  EXPECT_EQ(large.sensed_right, 9);
}

TEST(MixedTest, KnowsWhatRoutingCanGain) {
  const Ceiling c = SummarizeMixed(Names(), All()).ceiling;
  EXPECT_NEAR(c.share, 0.5, 1e-12);
  EXPECT_NEAR(c.all_small, 2.9, 1e-9);
  EXPECT_NEAR(c.same_share, 0.029 / (0.5 * 0.010 + 0.5 * 0.029), 1e-9);
  // Five requests: the first saves 100 ms, the others 10 ms each.
  EXPECT_NEAR(c.best_choice, 0.290 / (0.290 - 0.100 - 4 * 0.010), 1e-9);
  // It chose five that save 10 ms each.
  EXPECT_NEAR(c.router, 0.290 / 0.240, 1e-9);
}

TEST(MixedTest, RequestsAtOnceHaveNoTimeOfTheirOwn) {
  MixedNames names = Names();
  names.parallel = 4;
  EXPECT_EQ(SummarizeMixed(names, All()).ceiling.best_choice, 0);
}

TEST(MixedTest, TheIntervalCountsDifferentTasksOnce) {
  std::vector<MixedContender> all = All();
  for (MixedContender& c : all) {
    for (Pass& pass : c.passes) {
      const std::vector<Record> once = pass.records;
      pass.records.insert(pass.records.end(), once.begin(), once.end());
    }
  }
  const MixedReport twice = SummarizeMixed(Names(), all);
  const MixedReport once = SummarizeMixed(Names(), All());
  EXPECT_EQ(twice.rows[0].requests, 20);
  EXPECT_EQ(twice.distinct, 10);
  EXPECT_EQ(twice.rows[0].accuracy.low, once.rows[0].accuracy.low);
  EXPECT_EQ(twice.rows[0].accuracy.high, once.rows[0].accuracy.high);
}

TEST(MixedTest, RoundsThatDifferAreNoMeasurement) {
  EXPECT_TRUE(CheckRounds(Make("paper", 5)));
  MixedContender answered = Make("paper", 5);
  answered.passes[3].records[2].answer = "other";
  EXPECT_EQ(CheckRounds(answered).error().message,
            "paper, round 4, task 't2' (request 3) got another answer than in "
            "an earlier round: the rounds did not measure the same work");
  MixedContender moved = Make("random", 5);
  moved.passes[1].records[0].served = "small";
  EXPECT_NE(CheckRounds(moved).error().message.find(
                "went to small and in the first round to large"),
            std::string::npos);
  MixedContender failed = Make("random", 5);
  failed.passes[1].records[0].error = "Unavailable: gone";
  EXPECT_EQ(CheckRounds(failed).error().code, ErrorCode::kUnavailable);
}

// Who answers may change from round to round, what a variant says may not.
TEST(MixedTest, AnAdaptiveContenderIsCountedOverAllRounds) {
  MixedContender c = Make("marginal", 5);
  c.adaptive = true;
  c.passes[1] = Make("marginal", 10).passes[0];
  EXPECT_TRUE(CheckRounds(c)) << CheckRounds(c).error().message;
  std::vector<MixedContender> all = All();
  all.push_back(c);
  const MixedReport report = SummarizeMixed(Names(), all);
  const MixedRow& row = report.rows.back();
  EXPECT_EQ(row.requests, 10 * kRounds);
  EXPECT_EQ(row.right, 19 * (5 + 2) + 5);
  EXPECT_DOUBLE_EQ(row.small_share, (19 * 0.5 + 1) / 20);
  c.passes[1].records[9].answer = "other";
  EXPECT_NE(CheckRounds(c).error().message.find("got another answer"),
            std::string::npos);
}

TEST(MixedTest, TheTableSaysWhatItClaims) {
  const std::string table = MixedTable(SummarizeMixed(Names(), All()));
  EXPECT_NE(table.find("code-centric: 10 requests (7 code, 3 qa) of 10 "
                       "different tasks\n"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("2.90x [2.90-2.90]"), std::string::npos) << table;
  EXPECT_NE(table.find("tokens/s against static:large over 20 pairs: "
                       "static:small: differs; random: differs; paper: "
                       "differs.\n"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("50 % on small, 1.49x for average requests and 1.93x "
                       "for those that gain most; measured 1.21x."),
            std::string::npos)
      << table;
}

TEST(MixedTest, FewRoundsClaimNothing) {
  std::vector<MixedContender> all = All();
  for (MixedContender& c : all) c.passes.resize(3);
  const MixedReport report = SummarizeMixed(Names(), all);
  EXPECT_EQ(report.rows[0].ratio.claim, Claim::kTooFewPairs);
  EXPECT_NE(MixedTable(report).find("too few pairs to claim"),
            std::string::npos);
}

TEST(MixedTest, TheJsonParsesAndHasTheSettings) {
  const std::string text =
      MixedJson({{"rounds", "20"}}, {SummarizeMixed(Names(), All())});
  const auto parsed = boost::json::parse(text);
  EXPECT_EQ(parsed.at("settings").at("rounds").as_string(), "20");
  const auto& workload = parsed.at("workloads").at(0);
  EXPECT_EQ(workload.at("name").as_string(), "code-centric");
  EXPECT_EQ(workload.at("contenders").as_array().size(), 4u);
  EXPECT_EQ(workload.at("contenders").at(3).at("claim").as_string(), "differs");
}

}  // namespace
}  // namespace aio::eval
