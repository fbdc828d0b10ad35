// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "eval/json_text.h"

namespace aio::eval {
namespace {

Header MakeHeader() {
  Header header;
  header.tasks_hash = "00000000000000aa";
  header.tasks = 3;
  header.fingerprints = {{"policy:paper", "both"}, {"small", "fp"}};
  header.settings = {{"max_tokens", "64"}};
  return header;
}

Record Make(const std::string& contender, const std::string& task,
            core::Label intent, bool right) {
  Record r;
  r.contender = contender;
  r.task = task;
  r.intent = intent;
  r.right = right;
  r.served = contender == "small" ? "small" : "large";
  r.finish = "stop";
  r.usage.prompt_tokens = 10;
  r.usage.completion_tokens = 20;
  r.usage.bytes_read = 21000;
  r.usage.weight_bytes_read = 20000;
  r.seconds = 0.5;
  return r;
}

std::vector<Record> MakeRecords() {
  std::vector<Record> records = {
      Make("small", "c1", core::Label::kCode, true),
      Make("small", "c2", core::Label::kCode, false),
      Make("small", "q1", core::Label::kQa, true),
      Make("policy:paper", "c1", core::Label::kCode, true),
      Make("policy:paper", "c2", core::Label::kCode, false),
  };
  records[1].finish = "length";
  records[1].begun = 0.25;  // beside the first
  records[2].begun = 5;
  records[3].served = "small";
  records[3].sensed = "code";
  records[3].probe_seconds = 0.001;
  records[4].error = "Unavailable: gone";
  records[4].served = "";
  records[4].usage = {};
  return records;
}

TEST(ReportTest, PrintsOneTable) {
  const Report report =
      Summarize(MakeHeader(), {"small", "policy:paper"}, MakeRecords());
  EXPECT_EQ(
      ReportTable(report),
      "contender     intent  n  accuracy        95 %  errors  tokens  seconds  "
      "tok/s  weights/tok  intent told\n"
      "small         all     3    66.7 %   20.8-93.9       0      60     1.50  "
      " 40.0       1.0 KB            -\n"
      "              code    2    50.0 %    9.5-90.5       0      40     1.00  "
      " 40.0       1.0 KB            -\n"
      "              qa      1   100.0 %  20.7-100.0       0      20     0.50  "
      " 40.0       1.0 KB            -\n"
      "policy:paper  all     2    50.0 %    9.5-90.5       1      20     1.00  "
      " 20.0       1.0 KB      100.0 %\n"
      "              code    2    50.0 %    9.5-90.5       1      20     1.00  "
      " 20.0       1.0 KB      100.0 %\n"
      "\n"
      "small: 1.2 s of wall clock, 48.0 tokens/s in all; 1 answers were cut at "
      "max_tokens\n"
      "policy:paper sent 50.0 % to small; probes took 0.50 ms a request "
      "(0.1 %)\n"
      "policy:paper: 0.5 s of wall clock, 40.0 tokens/s in all; 2 of 3 tasks, "
      "the rest has not run\n");
  EXPECT_FALSE(report.complete());
}

TEST(ReportTest, TheJsonHasTheSameNumbers) {
  const Report report =
      Summarize(MakeHeader(), {"small", "policy:paper"}, MakeRecords());
  const auto parsed = boost::json::parse(ReportJson(report));
  EXPECT_EQ(parsed.at("format").as_int64(), 1);
  EXPECT_EQ(parsed.at("tasks").at("hash").as_string(), "00000000000000aa");
  EXPECT_FALSE(parsed.at("complete").as_bool());
  const auto& contenders = parsed.at("contenders").as_array();
  ASSERT_EQ(contenders.size(), 2u);
  const auto& small = contenders[0].at("all");
  EXPECT_EQ(small.at("tasks").as_int64(), 3);
  EXPECT_EQ(small.at("right").as_int64(), 2);
  EXPECT_NEAR(small.at("accuracy").as_double(), 2.0 / 3, 1e-5);
  EXPECT_EQ(small.at("weight_bytes_read").as_int64(), 60000);
  EXPECT_EQ(contenders[0].at("intents").as_object().size(), 2u);
  EXPECT_NEAR(contenders[0].at("wall_seconds").as_double(), 1.25, 1e-9);
  const auto& policy = contenders[1].at("all");
  EXPECT_EQ(policy.at("errors").as_int64(), 1);
  EXPECT_EQ(policy.at("served").at("small").as_int64(), 1);
  EXPECT_EQ(policy.at("intent_told").as_int64(), 1);
}

TEST(ReportTest, OfATaskThatRanAgainTheLastResultCounts) {
  std::vector<Record> records = {Make("small", "c1", core::Label::kCode, false),
                                 Make("small", "c1", core::Label::kCode, true)};
  records[0].error = "Unavailable: gone";
  const Report report = Summarize(MakeHeader(), {"small"}, records);
  EXPECT_EQ(report.contenders[0].all.tasks, 1);
  EXPECT_EQ(report.contenders[0].all.right, 1);
  EXPECT_EQ(report.contenders[0].all.errors, 0);
}

// Two runs of the program each began their clock at 0.
TEST(ReportTest, WallTimesOfSessionsAddUp) {
  std::vector<Record> records = {Make("small", "c1", core::Label::kCode, true),
                                 Make("small", "c2", core::Label::kCode, true)};
  EXPECT_EQ(
      Summarize(MakeHeader(), {"small"}, records).contenders[0].wall_seconds,
      0.5);
  records[1].session = 1;
  EXPECT_EQ(
      Summarize(MakeHeader(), {"small"}, records).contenders[0].wall_seconds,
      1.0);
}

TEST(ReportTest, NoResultsIsNoDivision) {
  const Report report = Summarize(MakeHeader(), {"small"}, {});
  EXPECT_NE(ReportTable(report).find("small: no results"), std::string::npos);
  EXPECT_EQ(ReportJson(report).find("nan"), std::string::npos);
}

TEST(ReportTest, TheQualityTableHoldsWhatWasMeasured) {
  const Report report = Summarize(MakeHeader(), {"small"}, MakeRecords());
  EXPECT_EQ(QualityTableJson(report), R"({
 "format": 1,
 "variants": {
  "small": {
   "code": {"quality": 0.5, "low": 0.0945312, "high": 0.905469, "n": 2},
   "qa": {"quality": 1, "low": 0.206549, "high": 1, "n": 1}
  }
 },
 "source": {
  "tasks": {
   "hash": "00000000000000aa",
   "count": 3
  },
  "fingerprints": {
   "policy:paper": "both",
   "small": "fp"
  },
  "settings": {
   "max_tokens": "64"
  }
 }
}
)");
}

TEST(ReportTest, LengthsAreOfRequestsThatEndedWell) {
  std::vector<Record> records = MakeRecords();
  Record failed = Make("small", "c9", core::Label::kCode, false);
  failed.error = "Unavailable: gone";
  failed.finish.clear();
  failed.usage = {};
  records.push_back(failed);
  Record unchecked = Make("small", "q9", core::Label::kQa, false);
  unchecked.error = "checker: broke";
  records.push_back(unchecked);
  const auto parsed = boost::json::parse(
      LengthsJson(Summarize(MakeHeader(), {"small"}, records)));
  EXPECT_EQ(parsed.at("format").as_int64(), 1);
  const auto& small = parsed.at("variants").at("small");
  EXPECT_EQ(small.at("code").at("n").as_int64(), 2);
  EXPECT_EQ(small.at("code").at("tokens").as_int64(), 20);
  EXPECT_EQ(small.at("code").at("cut").as_int64(), 1);
  EXPECT_EQ(small.at("qa").at("n").as_int64(), 2);
  EXPECT_FALSE(small.as_object().contains("math"));
}

TEST(JsonTextTest, WritesNumbersAsPeopleDo) {
  EXPECT_EQ(JsonText(boost::json::parse(R"({"a":0.93,"b":[1,2.5],"c":{}})")),
            "{\n \"a\": 0.93,\n \"b\": [\n  1,\n  2.5\n ],\n \"c\": {}\n}\n");
  const double zero = 0;
  EXPECT_EQ(JsonText(boost::json::array{0 / zero, 1 / zero}),
            "[\n null,\n null\n]\n");
}

}  // namespace
}  // namespace aio::eval
