// SPDX-License-Identifier: Apache-2.0
#include "openai/splice.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openai/json.h"

namespace aio::openai {
namespace {

std::string Set(std::string_view object, std::vector<Splice> splices) {
  return Spliced(object, splices);
}

TEST(SpliceTest, ReplacesAValueWhereItStandsAndTouchesNothingElse) {
  EXPECT_EQ(Set(R"({"a":1.50,"model" : "x" ,"b":[1e+2,{"model":"in"}]})",
                {{"model", "\"y\""}}),
            R"({"a":1.50,"model":"y","b":[1e+2,{"model":"in"}]})");
}

TEST(SpliceTest, AddsAtTheEndWhatStandsNowhere) {
  EXPECT_EQ(Set("{}", {{"a", "1"}, {"b", "2"}}), R"({"a":1,"b":2})");
  EXPECT_EQ(Set(R"( { "x" : null } )", {{"a", "[]"}}), R"({"x":null,"a":[]})");
}

TEST(SpliceTest, RemovesEveryPlaceOfAKey) {
  EXPECT_EQ(Set(R"({"aio":{"a":"}"},"b":true,"aio":2})", {{"aio", ""}}),
            R"({"b":true})");
  EXPECT_EQ(Set(R"({"aio":1})", {{"aio", ""}}), "{}");
}

TEST(SpliceTest, KeepsOneOfTwo) {
  EXPECT_EQ(Set(R"({"model":1,"x":0,"model":2})", {{"model", "3"}}),
            R"({"model":3,"x":0})");
}

TEST(SpliceTest, SeesThroughEscapesInKeysAndStrings) {
  EXPECT_EQ(
      Set(R"({"mod\u0065l":"a","s":"\"}],{\\","n":-1})", {{"model", "\"m\""}}),
      R"({"mod\u0065l":"m","s":"\"}],{\\","n":-1})");
}

TEST(SpliceTest, PutsAllOnOneLine) {
  EXPECT_EQ(Set("{\n \"a\":\r\n[1,\n2]\n}", {{"b", "{\n}"}}),
            R"({"a":[1, 2],"b":{ }})");
}

// What is not spliced reads as it did, whatever it is.
TEST(SpliceTest, LeavesValuesOfEveryKindAsTheyWere) {
  const std::string_view values[] = {"0",
                                     "-0.0",
                                     "1e400",
                                     "123456789012345678901234567890",
                                     "true",
                                     "null",
                                     R"("\u00e9\ud83d\ude00")",
                                     "[]",
                                     "{}",
                                     R"([[],[{"a":[{}]}],"]"])",
                                     R"({"a":{"b":"}"},"c":[","]})"};
  for (const std::string_view value : values) {
    const std::string object =
        R"({"k":)" + std::string(value) + R"(,"z":)" + std::string(value) + "}";
    EXPECT_EQ(Set(object, {{"absent", ""}}), object);
    EXPECT_EQ(ValueText(object, "k"), value);
    EXPECT_EQ(ValueText(object, "z"), value);
    EXPECT_EQ(ValueText(object, "y"), "");
  }
}

}  // namespace
}  // namespace aio::openai
