// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/agreement.h"

#include <gtest/gtest.h>

#include <string>

namespace aio::orchestrator {
namespace {

TEST(AgreementTest, IsTheShareOfWordsInCommon) {
  EXPECT_EQ(Agreement("the capital is Paris", "the capital is Paris"), 1);
  EXPECT_EQ(Agreement("Paris", "London"), 0);
  // 2 of 4 and 2 of 2.
  EXPECT_DOUBLE_EQ(Agreement("it is Paris today", "Paris today"), 2.0 / 3);
  // A word counts as often as both have it.
  EXPECT_DOUBLE_EQ(Agreement("a a a", "a"), 0.5);
}

TEST(AgreementTest, CasePunctuationAndOrderDoNotCount) {
  EXPECT_EQ(Agreement("Paris, of course!", "of COURSE:\n  paris"), 1);
  EXPECT_EQ(Agreement("x=1;y=2", "y = 2 ; x = 1"), 1);
  EXPECT_EQ(Agreement("“yes”", "yes"), 1);
}

TEST(AgreementTest, AnswersWithoutWordsAgreeOnlyWithEachOther) {
  EXPECT_EQ(Agreement("", ""), 1);
  EXPECT_EQ(Agreement("...", " \n"), 1);
  EXPECT_EQ(Agreement("", "word"), 0);
}

TEST(AgreementTest, ScriptsWithoutSpacesHaveAWordACharacter) {
  EXPECT_DOUBLE_EQ(Agreement("首都是北京。", "北京"), 2 * 2.0 / 7);
  EXPECT_DOUBLE_EQ(Agreement("straße größe", "straße"), 2.0 / 3);
}

TEST(AgreementTest, InvalidBytesStandBetweenWords) {
  EXPECT_EQ(Agreement("a\xff"
                      "b\xe4\xb8",
                      "b a"),
            1);
  EXPECT_EQ(Agreement(std::string(1, '\0'), ""), 1);
}

TEST(AgreementTest, IsTheSameEitherWayRound) {
  const std::string a = "one two three three", b = "three two seven";
  EXPECT_EQ(Agreement(a, b), Agreement(b, a));
}

}  // namespace
}  // namespace aio::orchestrator
