// SPDX-License-Identifier: Apache-2.0
#include "jinja/text.h"

#include <gtest/gtest.h>

#include <string>

#include "base/utf8.h"

namespace aio::jinja {
namespace {

std::string Marked(const Text& text) {
  std::string out;
  size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    const std::string part(text.bytes().substr(begin, run.end - begin));
    out += run.trusted ? part : "<" + part + ">";
    begin = run.end;
  }
  return out;
}

TEST(JinjaTextTest, MergesNeighboursOfOneKind) {
  Text text("a", true);
  text.Append("b", true);
  text.Append("", false);
  text.Append("c", false);
  text.Append("d", true);
  EXPECT_EQ(Marked(text), "ab<c>d");
  EXPECT_EQ(text.runs().size(), 3u);
}

TEST(JinjaTextTest, CutsAnyPartWithItsProvenance) {
  Text text("ab", true);
  text.Append("cd", false);
  text.Append("ef", true);
  for (size_t begin = 0; begin <= text.size(); ++begin) {
    for (size_t end = begin; end <= text.size(); ++end) {
      Text part;
      part.Append(text, begin, end);
      ASSERT_EQ(part.bytes(), text.bytes().substr(begin, end - begin));
      for (size_t i = begin; i < end; ++i) {
        EXPECT_EQ(part.TrustedAt(i - begin), text.TrustedAt(i));
      }
    }
  }
}

TEST(JinjaTextTest, IsTrustedOnlyAsAWhole) {
  Text text("a", true);
  EXPECT_TRUE(text.trusted());
  EXPECT_TRUE(Text().trusted());
  text.Append("b", false);
  EXPECT_FALSE(text.trusted());
  EXPECT_FALSE(text.Untrusted().TrustedAt(0));
}

TEST(JinjaTextTest, WalksTheSameCharactersInBothDirections) {
  // Whole, broken and stray bytes.
  const std::string_view bytes = "a\u00E9\u4F60\U0001F44B\xFF\xE4\xBDz\x80\xF0";
  size_t forward = 0, back = bytes.size();
  std::string reversed_cuts, cuts;
  while (forward < bytes.size()) {
    cuts += std::to_string(forward) + " ";
    forward += DecodeUtf8(bytes, forward).size;
  }
  while (back > 0) {
    back = CharacterBefore(bytes, back);
    reversed_cuts.insert(0, std::to_string(back) + " ");
  }
  EXPECT_EQ(cuts, reversed_cuts);
  EXPECT_EQ(CharacterOffset(bytes, 3), 6u);
  EXPECT_EQ(CharacterOffset(bytes, 1000), bytes.size());
}

TEST(JinjaTextTest, FindsFirstAndLast) {
  EXPECT_EQ(FindBytes("abcabc", "bc", 0), 1u);
  EXPECT_EQ(FindBytes("abcabc", "bc", 2), 4u);
  EXPECT_EQ(FindBytes("abc", "", 3), 3u);
  EXPECT_EQ(FindBytes("abc", "", 4), std::string_view::npos);
  EXPECT_EQ(FindBytes("", "a", 0), std::string_view::npos);
  EXPECT_EQ(FindLastBytes("abcabc", "bc"), 4u);
  EXPECT_EQ(FindLastBytes("abc", ""), 3u);
  EXPECT_EQ(FindLastBytes("abc", "x"), std::string_view::npos);
}

TEST(JinjaTextTest, KnowsTheLettersOfOtherScripts) {
  EXPECT_EQ(ToUpper(U'\u00E9'), U'\u00C9');
  EXPECT_EQ(ToLower(U'\u0416'), U'\u0436');
  EXPECT_TRUE(IsAlpha(U'\u4F60'));
  EXPECT_TRUE(IsSpace(U'\u3000'));
  EXPECT_FALSE(IsSpace(U'\u200B'));
}

}  // namespace
}  // namespace aio::jinja
