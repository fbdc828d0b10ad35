// SPDX-License-Identifier: Apache-2.0
#include "sched/lookup.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace aio::sched {
namespace {

using Tokens = std::vector<int32_t>;

Lookup::Match Find(const Tokens& tokens, int most,
                   const LookupOptions& options = {}) {
  Lookup lookup(options);
  return lookup.Find(tokens, most);
}

TEST(LookupTest, FewerThanThreeEqualTokensAreNoMatch) {
  EXPECT_EQ(Find({}, 4).length, 0);
  EXPECT_EQ(Find({1, 2}, 4).length, 0);
  EXPECT_EQ(Find({9, 1, 2, 5, 8, 1, 2}, 4).length, 0);
  EXPECT_TRUE(Find({9, 1, 2, 5, 8, 1, 2}, 4).tokens.empty());
}

TEST(LookupTest, ProposesWhatFollowedTheLongestMatch) {
  //                       long one           newer, but shorter
  const Tokens tokens = {4, 1, 2, 3, 50, 51, 8, 1, 2, 3, 60, 4, 1, 2, 3};
  const auto match = Find(tokens, 2);
  EXPECT_EQ(match.length, 4);
  EXPECT_EQ(match.tokens, (Tokens{50, 51}));
}

TEST(LookupTest, OfEqualMatchesTheNewestWins) {
  const Tokens tokens = {1, 2, 3, 50, 9, 1, 2, 3, 60, 8, 1, 2, 3};
  const auto match = Find(tokens, 1);
  EXPECT_EQ(match.length, 3);
  EXPECT_EQ(match.tokens, (Tokens{60}));
}

TEST(LookupTest, AContinuationThatReachesTheEndRepeatsItself) {
  const auto match = Find({7, 1, 2, 3, 1, 2, 3}, 8);
  EXPECT_EQ(match.length, 3);
  EXPECT_EQ(match.tokens, (Tokens{1, 2, 3, 1, 2, 3, 1, 2}));
}

TEST(LookupTest, TheWindowEndsTheSearch) {
  const Tokens tokens = {1, 2, 3, 50, 9, 9, 8, 8, 7, 1, 2, 3};
  EXPECT_EQ(Find(tokens, 1).length, 3);
  EXPECT_EQ(Find(tokens, 1, {.window = 6}).length, 0);
}

TEST(LookupTest, OnlySoManyPlacesAreLookedAt) {
  Tokens tokens = {5, 1, 2, 3};  // the long match is the oldest
  for (int i = 0; i < 20; ++i) tokens.insert(tokens.end(), {100 + i, 1, 2, 3});
  tokens.insert(tokens.end(), {5, 1, 2, 3});
  EXPECT_EQ(Find(tokens, 1, {.candidates = 16}).length, 3);
  EXPECT_EQ(Find(tokens, 1, {.candidates = 32}).length, 4);
}

// By definition: the longest common end, and of equals the newest.
Lookup::Match Slow(const Tokens& tokens, int most, int match_max) {
  Lookup::Match best;
  const int n = static_cast<int>(tokens.size());
  int place = -1;
  for (int at = n - 1; at >= 3; --at) {
    int length = 0;
    while (length < std::min(at, match_max) &&
           tokens[at - 1 - length] == tokens[n - 1 - length]) {
      ++length;
    }
    if (length >= 3 && length > best.length) best.length = length, place = at;
  }
  for (int i = 0; place >= 0 && i < most; ++i) {
    best.tokens.push_back(place + i < n ? tokens[place + i]
                                        : best.tokens[place + i - n]);
  }
  return best;
}

TEST(LookupTest, GrowingTextsGiveWhatTheDefinitionSays) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const LookupOptions all = {.match_max = 8, .candidates = 1 << 20};
    Lookup lookup(all);
    Tokens tokens;
    for (int step = 0; step < 120; ++step) {
      // Some at once, as a prompt or an accepted draft brings them.
      const int more = 1 + static_cast<int>(RandomBits(seed, 1, step) % 4);
      for (int i = 0; i < more; ++i) {
        const uint64_t r = RandomBits(seed, 2, tokens.size());
        tokens.push_back(static_cast<int32_t>(r % (2 + seed % 5)));
      }
      const auto got = lookup.Find(tokens, 5);
      const auto want = Slow(tokens, 5, 8);
      ASSERT_EQ(got.length, want.length) << seed << " " << tokens.size();
      ASSERT_EQ(got.tokens, want.tokens) << seed << " " << tokens.size();
    }
  }
}

}  // namespace
}  // namespace aio::sched
