// SPDX-License-Identifier: Apache-2.0
#include "openai/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace aio::openai {
namespace {

TEST(JsonTest, RefusesInvalidUtf8AndSaysSo) {
  const auto value = ParseJson("{\"a\": \"\xC3\x28\"}");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(value.error().message.find("UTF-8"), std::string::npos);
}

TEST(JsonTest, RefusesDepthThatWouldExhaustTheStack) {
  const std::string deep(100000, '[');
  EXPECT_FALSE(ParseJson(deep));
  EXPECT_TRUE(ParseJson(std::string(kJsonDepthMax, '[') +
                        std::string(kJsonDepthMax, ']')));
  EXPECT_FALSE(ParseJson(std::string(kJsonDepthMax + 1, '[') +
                         std::string(kJsonDepthMax + 1, ']')));
}

TEST(JsonTest, RefusesWhatFollowsTheValue) {
  EXPECT_FALSE(ParseJson("{} {}"));
  EXPECT_FALSE(ParseJson(""));
  EXPECT_FALSE(ParseJson("{\"a\":1,}"));
  EXPECT_FALSE(ParseJson(R"("\ud800")"));
}

TEST(JsonTest, TakesTheLastOfEqualKeys) {
  const auto value = ParseJson(R"({"a":1,"a":2})");
  ASSERT_TRUE(value);
  EXPECT_EQ(AsInteger(*Find(value->get_object(), "a")), 2);
}

TEST(JsonTest, ReadsWholeNumbersInAnySpelling) {
  const auto read = [](const char* text) {
    return AsInteger(*ParseJson(text));
  };
  EXPECT_EQ(read("3"), 3);
  EXPECT_EQ(read("-3"), -3);
  EXPECT_EQ(read("3.0"), 3);
  EXPECT_EQ(read("3e2"), 300);
  EXPECT_EQ(read("9223372036854775807"), INT64_MAX);
  EXPECT_FALSE(read("9223372036854775808"));
  EXPECT_FALSE(read("3.5"));
  EXPECT_FALSE(read("1e300"));
  EXPECT_FALSE(read("\"3\""));
  EXPECT_FALSE(read("true"));
}

TEST(JsonTest, WritesStringsThatReadBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
  all += "\xE2\x82\xAC\xF0\x9F\x98\x80";
  const auto back = ParseJson(JsonString(all));
  ASSERT_TRUE(back);
  EXPECT_EQ(AsString(*back), all);
}

TEST(JsonTest, WritesInvalidUtf8AsReplacementCharacters) {
  EXPECT_EQ(JsonString("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
}

TEST(JsonTest, RefusesNumbersThatNoDoubleHolds) {
  for (const char* text : {"0e405", "1e999", "[1, [-1e999]]",
                           R"({"a": {"temperature": 0e405}})"}) {
    EXPECT_FALSE(ParseJson(text)) << text;
  }
  EXPECT_TRUE(ParseJson("[1e308, 0e5, 1e-400, 18446744073709551615]"));
}

TEST(JsonTest, WritesNumbersJsonCannotSayAsTheGivenOne) {
  std::string out;
  AppendJsonNumber(-std::numeric_limits<float>::infinity(), -9999, &out);
  out += ' ';
  AppendJsonNumber(std::numeric_limits<float>::quiet_NaN(), -9999, &out);
  out += ' ';
  AppendJsonNumber(-0.1f, 0, &out);
  out += ' ';
  AppendJsonNumber(0.1 + 0.2, 0, &out);
  EXPECT_EQ(out, "-9999 -9999 -0.1 0.30000000000000004");
}

}  // namespace
}  // namespace aio::openai
