// SPDX-License-Identifier: Apache-2.0
#include "eval/csv.h"

#include <gtest/gtest.h>

namespace aio::eval {
namespace {

using Fields = std::vector<std::string>;

std::string ErrorOf(std::string_view text) {
  const auto rows = ParseCsv(text, "a.csv");
  return rows ? "none" : rows.error().message;
}

TEST(CsvTest, ReadsQuotesCommasAndLineBreaksWithinQuotes) {
  const auto rows = ParseCsv(
      "prompt,weak\n\"Say \"\"hi\"\", then\nA. go\r\nAnswer:\",True\nplain,\n",
      "a.csv");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[1].fields,
            (Fields{"Say \"hi\", then\nA. go\r\nAnswer:", "True"}));
  EXPECT_EQ((*rows)[1].line, 2);
  EXPECT_EQ((*rows)[2].fields, (Fields{"plain", ""}));
  EXPECT_EQ((*rows)[2].line, 5);
}

TEST(CsvTest, TheLastLineNeedsNoBreakAndAMarkInFrontIsNoText) {
  const auto rows = ParseCsv(
      "\xEF\xBB\xBF"
      "a,b\r\n\"\",2",
      "a.csv");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].fields, (Fields{"a", "b"}));
  EXPECT_EQ((*rows)[1].fields, (Fields{"", "2"}));
  EXPECT_TRUE(ParseCsv("", "a.csv")->empty());
  EXPECT_EQ(ParseCsv("a,", "a.csv")->front().fields, (Fields{"a", ""}));
}

TEST(CsvTest, NamesTheLineOfWhatIsMalformed) {
  EXPECT_EQ(ErrorOf("a,b\n1,2\n3\n"),
            "a.csv:3: has 1 fields, the first row has 2");
  EXPECT_EQ(ErrorOf("a,b\n\n"), "a.csv:2: has 1 fields, the first row has 2");
  EXPECT_EQ(ErrorOf("a,b\n\"x\ny\"z,2\n"),
            "a.csv:3: text behind a closing quote");
  EXPECT_EQ(ErrorOf("a,b\n1,\"2\n3\n"),
            "a.csv:2: a quote that is never closed");
  EXPECT_EQ(ErrorOf("a,b\n5\" x,2\n"),
            "a.csv:2: a quote within a field without quotes");
  EXPECT_EQ(ErrorOf("a,b\n1\r2,3\n"), "a.csv:2: a stray control byte");
  EXPECT_EQ(ErrorOf(std::string("a\0b", 3)), "a.csv:1: a stray control byte");
}

TEST(CsvTest, NothingGrowsPastItsLimit) {
  const std::string most(kCsvFieldBytesMax, 'x');
  EXPECT_TRUE(ParseCsv(most, "a.csv"));
  EXPECT_TRUE(ParseCsv("\"" + most + "\"", "a.csv"));
  EXPECT_EQ(ErrorOf(most + "x"), "a.csv:1: too many bytes in a field");
  EXPECT_EQ(ErrorOf("\"" + most + "x\""), "a.csv:1: too many bytes in a field");
  EXPECT_TRUE(ParseCsv(std::string(kCsvColumnsMax - 1, ','), "a.csv"));
  EXPECT_EQ(ErrorOf(std::string(kCsvColumnsMax, ',')),
            "a.csv:1: too many fields");
}

}  // namespace
}  // namespace aio::eval
