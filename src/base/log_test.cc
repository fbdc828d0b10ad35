// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

namespace aio {
namespace {

TEST(LogTest, AValueFromOutsideCannotStartANewLineOrField) {
  EXPECT_EQ(FormatLogLine("done", {{"a", "1"}, {"b", "x y\n\"=z"}}),
            "done a=1 b=\"x y\\x0a\\\"=z\"");
  EXPECT_EQ(FormatLogLine("done", {{"a", ""}}), "done a=\"\"");
}

TEST(LogTest, AnUnknownLevelNamesTheKnownOnes) {
  EXPECT_TRUE(ParseLogLevel("info").has_value());
  const auto bad = ParseLogLevel("loud");
  ASSERT_FALSE(bad.has_value());
  EXPECT_NE(bad.error().message.find("warning"), std::string::npos);
}

}  // namespace
}  // namespace aio
