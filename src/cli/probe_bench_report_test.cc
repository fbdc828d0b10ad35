// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_bench_report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"

namespace aio::cli {
namespace {

using core::Label;

// Prompts whose labels are drawn from softmax(logits / 4): a probe four times
// too sure.
struct TooSure {
  std::vector<probe::LabelledPrompt> prompts;
  Said said;

  explicit TooSure(int count) {
    for (int i = 0; i < count; ++i) {
      probe::Logits x;
      for (size_t k = 0; k < x.size(); ++k) x[k] = 16 * RandomUnit(1, i, k);
      const auto p = probe::Softmax(x, 4);
      double draw = RandomUnit(1, i, 100);
      size_t label = 0;
      while (label + 1 < p.size() && draw >= p[label]) draw -= p[label++];
      const std::string id = std::to_string(i);
      prompts.push_back({id, "x", static_cast<Label>(label), "mmlu", id});
      said.emplace_back(x);
    }
  }
};

TEST(ProbeBenchReportTest, CalibrationMendsTheErrorAndLeavesTheLabels) {
  const TooSure t(3000);
  const ProbeView view = ViewOf("model probe", false, t.prompts, t.said);
  EXPECT_NEAR(view.temperature, 4, 0.4);
  EXPECT_GT(view.plain.reliability.error, 0.1);
  EXPECT_LT(view.fitted.reliability.error, 0.05);
  EXPECT_EQ(view.plain.confusion, view.fitted.confusion);
}

TEST(ProbeBenchReportTest, ACalibratedProbeIsServedAsItIs) {
  const TooSure t(200);
  const ProbeView as_is = ViewOf("text probe", true, t.prompts, t.said);
  const ProbeView fitted = ViewOf("text probe", false, t.prompts, t.said);
  EXPECT_EQ(*as_is.served[7], probe::Softmax(*t.said[7], 1));
  EXPECT_LT(fitted.served[7]->at(static_cast<size_t>(probe::Best(*t.said[7]))),
            as_is.served[7]->at(static_cast<size_t>(probe::Best(*t.said[7]))));
}

TEST(ProbeBenchReportTest, PromptsWithoutAnAnswerAreInNoTable) {
  TooSure t(50);
  t.said[3].reset();
  const ProbeView view = ViewOf("model probe", false, t.prompts, t.said);
  EXPECT_EQ(view.plain.all.all, 49);
  EXPECT_FALSE(view.served[3]);
  const ProbeView none =
      ViewOf("model probe", false, t.prompts, Said(t.prompts.size()));
  EXPECT_EQ(none.plain.all.all, 0);
  EXPECT_EQ(none.temperature, 1);
}

TEST(ProbeBenchReportTest, SpreadsAreOrderStatistics) {
  std::vector<double> values;
  for (int i = 200; i > 0; --i) values.push_back(i);
  EXPECT_EQ(SpreadOf(values).median, 101);
  EXPECT_EQ(SpreadOf(values).percentile99, 199);
  EXPECT_EQ(SpreadOf({}).median, 0);
}

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    const TooSure t(40);
    report_.prompts_file = "dev.jsonl";
    report_.prompts = 40;
    report_.variants = {"small", "large"};
    report_.probes.push_back(ViewOf("text probe", true, t.prompts, t.said));
    report_.probes.push_back(ViewOf("model probe", false, t.prompts, t.said));
    report_.costs.push_back(
        {"model probe", {1.5, 4}, {80, 256}, 0.75, 2, "too long"});
  }
  void AddRouting() {
    RoutingLine line;
    line.name = "text probe";
    line.quality = 0.75;
    line.bytes_per_token = 2e6;
    line.shares = {0.25, 0.75};
    line.quality_lost = {0.01, 0.005, 0.02};
    line.bytes_lost = {1e5, -1e5, 3e5};
    report_.routing = RoutingReport{{line}, 38, 2, 0};
  }

  ProbeBenchReport report_;
};

TEST_F(ReportTest, TheTablesHoldEveryProbe) {
  const std::string text = Markdown(report_);
  for (const char* words :
       {"# Probes on 40 labelled prompts of dev.jsonl", "## The text probe",
        "## The model probe", "## Calibration", "| text probe | ",
        "| model probe | 1.500 | 4.000 | 80 | 256 | 75.0 % | 2 |",
        "2 of 40 prompts had no answer of the model probe: too long",
        "names no policy.quality_table"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  AddRouting();
  const std::string routed = Markdown(report_);
  for (const char* words :
       {"38 prompts; 2 left out",
        "| text probe | 0.7500 | 0.0100 [0.0050, 0.0200] | 2.000 | 0.100 "
        "[-0.100, 0.300] | 25.0 % | 75.0 % | 0.0 % |"}) {
    EXPECT_NE(routed.find(words), std::string::npos) << words << "\n" << routed;
  }
}

TEST_F(ReportTest, TheJsonHoldsTheSameNumbers) {
  AddRouting();
  const auto json = boost::json::parse(boost::json::serialize(Json(report_)));
  EXPECT_EQ(json.at("format"), 1);
  const auto& probes = json.at("probes").as_array();
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_EQ(probes[1].at("temperature").to_number<double>(),
            report_.probes[1].temperature);
  EXPECT_EQ(probes[1].at("plain").at("accuracy").to_number<double>(),
            report_.probes[1].plain.all.share());
  EXPECT_EQ(json.at("costs").at(0).at("kept"), 0.75);
  const auto& line = json.at("routing").at("lines").at(0);
  EXPECT_EQ(line.at("shares").at("large"), 0.75);
  EXPECT_EQ(line.at("quality_lost").at("high"), 0.02);
}

}  // namespace
}  // namespace aio::cli
