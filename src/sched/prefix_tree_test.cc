// SPDX-License-Identifier: Apache-2.0
#include "sched/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "base/random.h"
#include "sched/page_pool.h"

namespace aio::sched {
namespace {

constexpr int kPage = 4;

std::vector<int32_t> Ids(const std::string& letters) {
  return {letters.begin(), letters.end()};
}

// A tree and the pages it is about; a text is a string of token ids.
struct Forest {
  explicit Forest(int pages)
      : pool(pages), tree({pages, kPage, 77}), text(pages) {}

  // As a sequence that computes `letters` and ends.
  void Store(uint64_t salt, const std::string& letters) {
    const std::vector<int32_t> ids = Ids(letters);
    std::vector<int32_t> used;
    for (size_t i = 0; i < ids.size(); i += kPage) {
      const size_t count = std::min<size_t>(kPage, ids.size() - i);
      const int32_t page = Take();
      const int32_t holder =
          tree.Insert(salt, used.empty() ? -1 : used.back(),
                      std::span(ids).subspan(i, count), page);
      if (holder != page) {
        pool.Give(page);
        if (count < kPage) break;
        tree.Use(holder);
      } else {
        text[page] = letters.substr(0, i + count);
        salts[page] = salt;
      }
      used.push_back(holder);
    }
    for (; !used.empty(); used.pop_back()) tree.Unuse(used.back());
  }
  int32_t Take() {
    if (pool.free() == 0) {
      const int32_t page = tree.Evict();
      salts.erase(page);
      pool.Give(page);
    }
    return pool.Take();
  }
  int Known(uint64_t salt, const std::string& letters) const {
    return tree.Find(salt, Ids(letters)).tokens;
  }

  PagePool pool;
  PrefixTree tree;
  std::vector<std::string> text;      // [page], of a node: it and all before
  std::map<int32_t, uint64_t> salts;  // of nodes
};

TEST(PrefixTreeTest, FindsTheLongestBeginningByPagesAndThenByTokens) {
  Forest f(8);
  f.Store(0, "abcdefghij");
  EXPECT_EQ(f.Known(0, "abcdefghijklm"), 10);
  EXPECT_EQ(f.Known(0, "abcdefgh"), 8);
  EXPECT_EQ(f.Known(0, "abcdeXgh"), 5) << "part of a full page";
  EXPECT_EQ(f.Known(0, "abXX"), 2);
  EXPECT_EQ(f.Known(0, "Xbcd"), 0);
  EXPECT_EQ(f.Known(0, ""), 0);
  const auto match = f.tree.Find(0, Ids("abcdefghiX"));
  ASSERT_EQ(match.pages.size(), 2u);
  EXPECT_EQ(f.text[match.pages[0]], "abcd");
  EXPECT_EQ(f.text[match.pages[1]], "abcdefgh");
  EXPECT_EQ(f.text[match.partial], "abcdefghij");
}

TEST(PrefixTreeTest, TheSameTokensElsewhereInATextAreAnotherPage) {
  Forest f(8);
  f.Store(0, "abcdabcd");
  EXPECT_EQ(f.Known(0, "abcdabcd"), 8);
  EXPECT_EQ(f.Known(0, "abcdabcdabcd"), 8);
  EXPECT_EQ(f.tree.size(), 2);
}

TEST(PrefixTreeTest, ASaltSeesNothingOfAnother) {
  Forest f(8);
  f.Store(1, "abcdefgh");
  EXPECT_EQ(f.Known(2, "abcdefgh"), 0);
  EXPECT_EQ(f.Known(0, "abcdefgh"), 0);
  f.Store(2, "abcdXX");
  EXPECT_EQ(f.Known(1, "abcdefgh"), 8);
  EXPECT_EQ(f.Known(2, "abcdefgh"), 4);
}

TEST(PrefixTreeTest, StoringTwiceTakesNoSecondPage) {
  Forest f(8);
  f.Store(0, "abcdefg");
  f.Store(0, "abcdefg");
  f.Store(0, "abcdef");
  EXPECT_EQ(f.tree.size(), 2);
  EXPECT_EQ(f.pool.free(), 6);
}

TEST(PrefixTreeTest, EvictsTheLeastRecentlyUsedLeafFirst) {
  Forest f(8);
  f.Store(0, "abcdefgh");
  f.Store(0, "XXXX");
  f.Store(0, "abcd");  // its first page was used last, but has a child
  EXPECT_EQ(f.text[f.tree.Evict()], "abcdefgh");
  EXPECT_EQ(f.text[f.tree.Evict()], "XXXX");
  EXPECT_EQ(f.text[f.tree.Evict()], "abcd");
  EXPECT_EQ(f.tree.idle(), 0);
  EXPECT_EQ(f.tree.size(), 0);
}

TEST(PrefixTreeTest, WhatIsInUseIsNeverEvicted) {
  Forest f(8);
  f.Store(0, "abcdefgh");
  f.Store(0, "XXXX");
  const int32_t first = f.tree.Find(0, Ids("abcd")).pages.at(0);
  f.tree.Use(first);
  EXPECT_EQ(f.tree.idle(), 2);
  while (f.tree.idle() > 0) EXPECT_NE(f.tree.Evict(), first);
  EXPECT_EQ(f.Known(0, "abcdefgh"), 4);
}

TEST(PrefixTreeTest, APartOfWhatIsNowWholeGoesFirst) {
  Forest f(8);
  f.Store(0, "ab");
  f.Store(0, "XXXX");
  f.Store(0, "abcd");
  EXPECT_EQ(f.text[f.tree.Evict()], "ab");
  EXPECT_EQ(f.Known(0, "abcd"), 4);
}

TEST(PrefixTreeTest, APageInUseGrowsWithItsWriter) {
  Forest f(8);
  const int32_t page = f.pool.Take();
  EXPECT_EQ(f.tree.Insert(0, -1, Ids("ab"), page), page);
  EXPECT_EQ(f.Known(0, "abcd"), 2);
  EXPECT_EQ(f.tree.Insert(0, -1, Ids("abcd"), page), page);
  EXPECT_EQ(f.Known(0, "abcd"), 4);
  EXPECT_EQ(f.tree.users(page), 1);
  EXPECT_EQ(f.tree.size(), 1);
}

TEST(PrefixTreeTest, APageThatGrowsIntoAnotherLeavesTheTree) {
  Forest f(8);
  const int32_t page = f.pool.Take();
  f.tree.Insert(0, -1, Ids("ab"), page);
  f.Store(0, "abcd");
  const int32_t there = f.tree.Insert(0, -1, Ids("abcd"), page);
  EXPECT_NE(there, page);
  EXPECT_FALSE(f.tree.Holds(page));
  EXPECT_TRUE(f.tree.Holds(there));
}

TEST(PrefixTreeTest, TheDigestKnowsFullPagesAndNeverTheLastToken) {
  Forest f(8);
  f.Store(3, "abcdefghij");
  const auto digest = f.tree.Digest();
  const auto cached = [&](uint64_t salt, const std::string& letters) {
    return digest->CachedTokens(salt, Ids(letters));
  };
  EXPECT_EQ(cached(3, "abcdefghijkl"), 8);
  EXPECT_EQ(cached(3, "abcdefgh"), 7);
  EXPECT_EQ(cached(3, "abcdXXXX"), 4);
  EXPECT_EQ(cached(3, "XXXXefgh"), 0);
  EXPECT_EQ(cached(4, "abcdefgh"), 0);
  EXPECT_EQ(cached(3, ""), 0);
  EXPECT_EQ(f.tree.Digest(), digest) << "nothing changed";
  while (f.tree.idle() > 0) f.tree.Evict();
  EXPECT_EQ(f.tree.Digest()->CachedTokens(3, Ids("abcdefgh")), 0);
  EXPECT_EQ(cached(3, "abcdefghijkl"), 8) << "a digest never changes";
}

// Few letters, so that texts share beginnings; few pages, so that most of it is
// evicted again. What is known is compared with all texts of all nodes.
TEST(PrefixTreeTest, RandomTextsAreFoundAsFarAsAnyNodeGoes) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Forest f(12);
    uint64_t draw = 0;
    const auto random = [&](uint64_t n) {
      return RandomBits(seed, 0, draw++) % n;
    };
    int found = 0;
    for (int i = 0; i < 300; ++i) {
      const uint64_t salt = random(2);
      std::string letters(random(20), 'a');
      for (char& c : letters) c = static_cast<char>('a' + random(2));
      size_t best = 0;
      for (const auto& [page, of] : f.salts) {
        const std::string& text = f.text[page];
        const auto ends = std::mismatch(text.begin(), text.end(),
                                        letters.begin(), letters.end());
        const auto common = static_cast<size_t>(ends.first - text.begin());
        if (of == salt) best = std::max(best, common);
      }
      const auto match = f.tree.Find(salt, Ids(letters));
      ASSERT_EQ(match.tokens, static_cast<int>(best)) << seed << " " << letters;
      for (size_t p = 0; p < match.pages.size(); ++p) {
        ASSERT_EQ(f.text[match.pages[p]], letters.substr(0, (p + 1) * kPage));
      }
      found += match.tokens;
      f.Store(salt, letters);
      ASSERT_EQ(f.tree.size() + f.pool.free(), 12);
      ASSERT_EQ(f.tree.idle(), f.tree.size());
    }
    EXPECT_GT(found, 300);
  }
}

}  // namespace
}  // namespace aio::sched
