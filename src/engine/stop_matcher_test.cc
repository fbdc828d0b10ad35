// SPDX-License-Identifier: Apache-2.0
#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace aio::engine {
namespace {

TEST(StopMatcherTest, AStopStringAcrossPiecesIsNeverShown) {
  StopMatcher m({"END"});
  EXPECT_EQ(m.Push("abcE"), "abc");
  EXPECT_EQ(m.Push("N"), "");
  EXPECT_EQ(m.Push("Dxyz"), "");
  EXPECT_TRUE(m.stopped());
  EXPECT_EQ(m.Push("more"), "");
}

TEST(StopMatcherTest, AFalseAlarmIsShownInFull) {
  StopMatcher m({"ENDE"});
  EXPECT_EQ(m.Push("EN"), "");
  EXPECT_EQ(m.Push("DX"), "ENDX");
  EXPECT_EQ(m.Push("EN"), "");
  EXPECT_EQ(m.Finish(), "EN");
}

TEST(StopMatcherTest, TheEarliestOfSeveralCounts) {
  StopMatcher m({"later", "so"});
  EXPECT_EQ(m.Push("and so later"), "and ");
  EXPECT_TRUE(m.stopped());
}

TEST(StopMatcherTest, NoStopsHoldNothingBack) {
  StopMatcher m({""});
  EXPECT_EQ(m.Push("abc"), "abc");
}

// Whatever the pieces, the shown text is the text up to the first match.
TEST(StopMatcherTest, PiecesDoNotMatter) {
  const std::vector<std::string> stops = {"aab", "bab", "abba"};
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    std::string text;
    for (int i = 0; i < 24; ++i) text += "abc"[RandomBits(seed, 0, i) % 3];
    size_t end = std::string::npos;
    for (const auto& stop : stops) end = std::min(end, text.find(stop));
    StopMatcher m(stops);
    std::string shown;
    for (size_t at = 0, i = 0; at < text.size(); ++i) {
      const size_t n = 1 + RandomBits(seed, 1, i) % 4;
      shown += m.Push(text.substr(at, n));
      at += n;
    }
    if (!m.stopped()) shown += m.Finish();
    ASSERT_EQ(shown, text.substr(0, end)) << text;
    ASSERT_EQ(m.shown(), shown.size());
  }
}

}  // namespace
}  // namespace aio::engine
