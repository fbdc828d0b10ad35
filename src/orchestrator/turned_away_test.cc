// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/turned_away.h"

#include <gtest/gtest.h>

namespace aio::orchestrator {
namespace {

Time At(double seconds) { return Time() + FromSeconds(seconds); }

TEST(TurnedAwayTest, EachComesBackWhenThoseBeforeItHaveAPlace) {
  TurnedAway away;
  EXPECT_EQ(away.Refused(At(0)), 1);  // nothing is known yet
  // Two a second, for long enough to know.
  double now = 0;
  for (int i = 0; i < 1200; ++i) away.Ended(At(now += 0.5));
  EXPECT_EQ(away.Refused(At(now)), 1);
  int last = 0;
  for (int i = 0; i < 19; ++i) last = away.Refused(At(now));
  EXPECT_EQ(last, 10);  // the twentieth, at two a second
  // Ten have found a place meanwhile.
  for (int i = 0; i < 10; ++i) away.Ended(At(now += 0.5));
  EXPECT_EQ(away.Refused(At(now)), 6);
}

TEST(TurnedAwayTest, NobodyIsSentAwayForLong) {
  TurnedAway away;
  away.Ended(At(0));
  int last = 0;
  for (int i = 0; i < 1000; ++i) last = away.Refused(At(1));
  EXPECT_EQ(last, 60);
}

TEST(TurnedAwayTest, AShortPastSaysAsMuchAsALongOne) {
  TurnedAway away;
  for (int i = 1; i <= 10; ++i) away.Ended(At(i));  // one a second
  for (int i = 0; i < 4; ++i) away.Refused(At(10));
  const int fifth = away.Refused(At(10));
  EXPECT_GE(fifth, 4);
  EXPECT_LE(fifth, 6);
}

}  // namespace
}  // namespace aio::orchestrator
