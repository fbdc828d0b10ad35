// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of `aio calibrate`; the command itself is in tests/e2e.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"
#include "cli/calibrate_report.h"
#include "cli/probe_fit.h"
#include "config/calibration.h"
#include "eval/csv.h"
#include "eval/report.h"
#include "orchestrator/agreement.h"

namespace aio::cli {
namespace {

using core::Label;

// Prompts whose labels are drawn from softmax(logits / 4), of a probe that
// says the prior on top of them if it `leans`.
struct TooSure {
  std::vector<ProbePrompt> prompts;
  ProbeSaid said;

  TooSure(int count, bool leans) {
    said.prior = {9, 0, 0, -9, 0, 5, 0, 0};
    for (int i = 0; i < count; ++i) {
      probe::Logits x;
      for (size_t k = 0; k < x.size(); ++k) x[k] = 16 * RandomUnit(1, i, k);
      const auto p = probe::Softmax(x, 4);
      double draw = RandomUnit(1, i, 100);
      size_t label = 0;
      while (label + 1 < p.size() && draw >= p[label]) draw -= p[label++];
      prompts.push_back({{}, static_cast<Label>(label), std::to_string(i)});
      for (size_t k = 0; leans && k < x.size(); ++k) x[k] += said.prior[k];
      said.logits.emplace_back(x);
    }
  }
};

TEST(FitProbeTest, DividesOutAPriorThatIsThereAndNoOther) {
  for (const bool leans : {true, false}) {
    const TooSure t(2000, leans);
    const auto fit = FitProbe(t.prompts, t.said);
    ASSERT_TRUE(fit) << fit.error().message;
    EXPECT_EQ(fit->prior, leans);
    EXPECT_NEAR(fit->temperature, 4, 0.4);
    EXPECT_LT(fit->error, 0.05);
    EXPECT_LT(fit->loss, fit->loss_other);
    EXPECT_EQ(fit->prompts, 2000);
  }
}

TEST(FitProbeTest, IsNoSurerThanTheModelWhereNothingIsWrong) {
  TooSure t(50, false);
  for (size_t i = 0; i < t.prompts.size(); ++i) {
    t.prompts[i].label = probe::Best(probe::Softmax(*t.said.logits[i], 1));
  }
  t.said.prior = {};
  const auto fit = FitProbe(t.prompts, t.said);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->accuracy, 1);
  EXPECT_EQ(fit->temperature, 1);
}

TEST(FitProbeTest, PromptsWithoutAnAnswerAreLeftOut) {
  TooSure t(kFitPromptsMin + 1, false);
  t.said.logits[0].reset();
  t.said.failure = "too long";
  const auto fit = FitProbe(t.prompts, t.said);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->prompts, kFitPromptsMin);
  t.said.logits[1].reset();
  const auto few = FitProbe(t.prompts, t.said);
  ASSERT_FALSE(few);
  EXPECT_NE(few.error().message.find("too long"), std::string::npos);
}

eval::Record Answered(const std::string& contender, const std::string& task,
                      const std::string& answer) {
  eval::Record r;
  r.contender = contender;
  r.task = task;
  r.intent = Label::kQa;
  r.answer = answer;
  r.finish = "stop";
  r.usage.completion_tokens = 4;
  return r;
}

TEST(AgreementsTest, AreMeansOverTasksThatBothAnswered) {
  std::vector<eval::Record> records = {
      Answered("small", "1", "yes"),  Answered("large", "1", "no"),
      Answered("small", "2", "same"), Answered("large", "2", "same"),
      Answered("small", "3", "x"),    Answered("large", "1", "yes")};
  AgreementTable table = AgreementsOf(records, "large");
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table["small"][static_cast<size_t>(Label::kQa)], 1);
  EXPECT_FALSE(table["small"][0]);
  // An answer that failed is none.
  records.back().finish.clear();
  records.push_back(Answered("large", "3", "y"));
  table = AgreementsOf(records, "large");
  EXPECT_EQ(table["small"][static_cast<size_t>(Label::kQa)], 0.5);
}

TEST(MarginsTest, AreCountedByThresholdForRightAndWrongAnswers) {
  std::vector<eval::Record> records = {
      Answered("small", "1", "a"), Answered("small", "2", "b"),
      Answered("small", "3", "c"), Answered("small", "4", "d"),
      Answered("large", "1", "a")};
  records[0].right = true;
  records[0].margin = {0.9, 0.45};
  records[1].margin = {0.25, 0.05};
  records[2].margin = {0.01, 0.01};
  records[2].finish.clear();  // failed
  records[4].margin = {0.5, 0.5};
  CalibrationReport report;
  report.margins = MarginsOf(records, "large");
  ASSERT_EQ(report.margins.size(), 1u);
  const auto json = boost::json::parse(Json(report)).at("margins").at("small");
  EXPECT_EQ(json.at("wrong"), 1);
  EXPECT_EQ(json.at("right"), 1);
  const auto at = [&](int tenth, const char* name) {
    return json.at("escalated").at(tenth - 1).at(name).as_int64();
  };
  EXPECT_EQ(at(1, "wrong_streamed"), 0);
  EXPECT_EQ(at(1, "wrong_whole"), 1);
  EXPECT_EQ(at(2, "wrong_streamed"), 0);
  EXPECT_EQ(at(3, "wrong_streamed"), 1);
  EXPECT_EQ(at(4, "right_whole"), 0);
  EXPECT_EQ(at(5, "right_whole"), 1);
  EXPECT_EQ(at(9, "right_streamed"), 0);
  EXPECT_NE(Text(report).find("1 of 1"), std::string::npos);
}

// What policy.guard_agreement_min stands between: answers of Mixtral-8x7B and
// GPT-4 to one GSM8K question, as RouteLLM published them, where both or only
// GPT-4 is right; and to two different questions.
TEST(AgreementsTest, AreLowerWhereTheSmallerModelIsWrong) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  std::ifstream file(std::string(data) + "/routing/gsm8k_responses.csv");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto rows = eval::ParseCsv(text, "gsm8k");
  ASSERT_TRUE(rows) << rows.error().message;
  struct Mean {
    double sum = 0;
    int count = 0;
    double value() const { return sum / count; }
  } both, wrong, other;
  const auto add = [](Mean* mean, const std::string& a, const std::string& b) {
    mean->sum += orchestrator::Agreement(a, b);
    ++mean->count;
  };
  // prompt, weak right, strong right, weak's answer, strong's answer
  for (size_t i = 2; i < rows->size(); ++i) {
    const auto& row = (*rows)[i].fields;
    ASSERT_GE(row.size(), 5u);
    if (row[2] == "True") {
      add(row[1] == "True" ? &both : &wrong, row[3], row[4]);
    }
    add(&other, row[3], (*rows)[i - 1].fields[4]);
  }
  std::cout << "both right " << both.value() << ", one wrong " << wrong.value()
            << ", of two questions " << other.value() << "\n";
  EXPECT_NEAR(both.value(), 0.61, 0.03);
  EXPECT_NEAR(wrong.value(), 0.49, 0.03);
  EXPECT_NEAR(other.value(), 0.11, 0.03);
}

TEST(CalibrationReportTest, WhatIsWrittenIsWhatAConfigReads) {
  CalibrationReport report;
  report.folder = "cal";
  report.steps = {{"small", {{1, 512}, {0.01, 0.5}, 0, 0.001, 0}}};
  report.tasks.tasks = 1;
  report.tasks.header.fingerprints = {{"small", "fp"}};
  report.tasks = eval::Summarize(report.tasks.header, {"small"},
                                 {Answered("small", "1", "yes")});
  report.probe_variant = "small";
  report.probe = FittedProbe{2.5, false, 30, 0.9, 0.1, 0.5, 0.7};
  const auto lengths = config::ParseLengths(eval::LengthsJson(report.tasks),
                                            "l.json", {"small"});
  ASSERT_TRUE(lengths) << lengths.error().message;
  EXPECT_EQ(lengths->at("small")[static_cast<size_t>(Label::kQa)], 4);
  const auto fit =
      config::ParseProbeFit(ProbeFitJson(report, "Category:"), "p.json");
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_EQ(fit->variant, "small");
  EXPECT_EQ(fit->suffix, "Category:");
  EXPECT_EQ(fit->temperature, 2.5);
  EXPECT_FALSE(fit->prior);
  report.text.emplace();
  report.text->fingerprint = "f00d";
  EXPECT_FALSE(config::ParseTextFit(TextFitJson(*report.text), "t.json")->meant)
      << "it does not help";
  report.text->fit.helps = true;
  core::Meaning& meaning = report.text->fit.meaning;
  meaning.known[2] = true;
  meaning.bias[2] = -0.5;
  meaning.weight[2][5] = 0.25;
  const auto text = config::ParseTextFit(TextFitJson(*report.text), "t.json");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->fingerprint, "f00d");
  ASSERT_TRUE(text->meant);
  EXPECT_EQ(text->meant->known, meaning.known);
  EXPECT_EQ(text->meant->bias, meaning.bias);
  EXPECT_EQ(text->meant->weight, meaning.weight);
  const auto json = boost::json::parse(Json(report));
  EXPECT_EQ(json.at("text_probe").at("meant"), true);
  EXPECT_EQ(json.at("lengths").at("small").at("qa").at("tokens"), 4);
  EXPECT_EQ(json.at("probe").at("temperature"), 2.5);
  EXPECT_EQ(json.at("steps").at("small").at("columns").at(1), 512);
  EXPECT_NE(Text(report).find("policy: { calibration: cal }"),
            std::string::npos);
}

}  // namespace
}  // namespace aio::cli
