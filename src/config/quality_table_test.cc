// SPDX-License-Identifier: Apache-2.0
#include "config/quality_table.h"

#include <gtest/gtest.h>

#include <string>

namespace aio::config {
namespace {

constexpr char kGood[] = R"({
 "format": 1,
 "variants": {
  "small": {
   "code": {"quality": 0.93, "low": 0.88, "high": 0.96, "n": 200},
   "qa": {"quality": 0.25}
  },
  "large": {}
 },
 "source": {"tasks": {"hash": "00ff", "count": 200}, "fingerprints": {"small": "x"}}
})";

Result<core::QualityTable> Read(const std::string& text) {
  return ParseQualityTable(text, "q.json", {"small", "large"});
}
std::string Why(const std::string& text) {
  const auto table = Read(text);
  EXPECT_FALSE(table) << text;
  return table ? "" : table.error().message;
}

TEST(QualityTableTest, ReadsWhatEvalWrites) {
  const auto table = Read(kGood);
  ASSERT_TRUE(table) << table.error().message;
  const auto& small = table->at("small");
  EXPECT_EQ(small[0]->value, 0.93);
  EXPECT_EQ(small[0]->low, 0.88);
  EXPECT_EQ(small[0]->high, 0.96);
  EXPECT_EQ(small[0]->tasks, 200);
  EXPECT_EQ(small[2]->value, 0.25);
  EXPECT_EQ(small[2]->high, 0.25);
  EXPECT_FALSE(small[1]);
  EXPECT_FALSE(table->at("large")[0]);
}

TEST(QualityTableTest, HasRowsOfWhatVariantsAreTold) {
  const auto table = Read(
      R"({"format": 1, "variants": {"small+think": {"qa": {"quality": 0.5}},)"
      R"( "large+no_think": {}, "large+auto_think": {}}})");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->at("small+think")[2]->value, 0.5);
  EXPECT_NE(Why(R"({"format": 1, "variants": {"small+thinks": {}}})")
                .find("small+thinks"),
            std::string::npos);
  EXPECT_NE(Why(R"({"format": 1, "variants": {"+think": {}}})"), "");
}

TEST(QualityTableTest, ExpectsTheSumOverTheLabelsItKnows) {
  const auto table = Read(kGood);
  ASSERT_TRUE(table);
  core::Intent intent;
  intent.probabilities = {0.5, 0, 0.25, 0.25, 0, 0, 0, 0};
  const auto expected = core::ExpectedQuality(*table, "small", intent);
  ASSERT_TRUE(expected);
  EXPECT_DOUBLE_EQ(*expected, (0.5 * 0.93 + 0.25 * 0.25) / 0.75);
  EXPECT_FALSE(core::ExpectedQuality(*table, "large", intent));
  EXPECT_FALSE(core::ExpectedQuality(*table, "other", intent));
  // Uniform: two of eight labels are no ground for an expectation.
  EXPECT_FALSE(core::ExpectedQuality(*table, "small", core::Intent()));
}

TEST(QualityTableTest, NamesFileLineAndTheNearestName) {
  EXPECT_EQ(Why("{\"format\": 1, \"variants\": {\n \"smal\": {} } }"),
            "q.json:2: variants.smal: the configuration has no variant of this "
            "name, did you mean 'small'?");
  EXPECT_EQ(Why(R"({"format":1,"variants":{"small":{"cod":{"quality":1}}}})"),
            "q.json:1: variants.small.cod: unknown label, did you mean "
            "'code'?");
  EXPECT_NE(Why(R"({"format":1,"variant":{}})").find("did you mean 'variants"),
            std::string::npos);
}

TEST(QualityTableTest, RefusesWhatIsNoQuality) {
  const auto cell = [](const std::string& quality) {
    return R"({"format":1,"variants":{"small":{"code":)" + quality + "}}}";
  };
  for (const char* bad :
       {R"({"quality":1.01})", R"({"quality":-0.1})", R"({"quality":"nan"})",
        R"({"quality":1e999})", R"({})", R"(0.5)", R"([0.5])",
        R"({"quality":0.5,"low":0.6})", R"({"quality":0.5,"high":0.4})",
        R"({"quality":0.5,"n":-1})", R"({"quality":0.5,"n":1.5})",
        R"({"quality":0.5,"quality":0.6})", R"({"quality":{"a":1}})",
        R"({"quality":0.5,"lwo":0.1})"}) {
    EXPECT_EQ(Why(cell(bad)).substr(0, 9), "q.json:1:") << bad;
  }
}

TEST(QualityTableTest, RefusesWhatIsNoTable) {
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("1"), std::string("{"),
        std::string("{\"format\": 2}"), std::string("{\"variants\": {}}"),
        std::string("{\"format\": 1, \"variants\": []}"),
        std::string("{\"format\": 1, \"variants\": {\"small\": 1}}"),
        std::string("{\"format\": 1, \"source\": 3}"), std::string(600, '['),
        std::string("\0\xff\xfe", 3), std::string(2 << 20, ' ')}) {
    EXPECT_FALSE(Why(bad).empty());
  }
}

// Half-written files, as a crash of another program would leave them.
TEST(QualityTableTest, NoCutOfAGoodFileIsAnswered) {
  const std::string good = kGood;
  for (size_t size = 0; size + 1 < good.size(); ++size) {
    EXPECT_FALSE(Read(good.substr(0, size))) << good.substr(0, size);
  }
}

}  // namespace
}  // namespace aio::config
