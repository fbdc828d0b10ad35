// SPDX-License-Identifier: Apache-2.0
#include "probe/normalize.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "probe/lexicon.h"

namespace aio::probe {
namespace {

std::string Words(std::string_view text) { return Normalize(text).words; }

bool Has(std::string_view text, std::string_view token) {
  const std::string padded = " " + Normalize(text).features;
  return padded.find(" " + std::string(token) + " ") != std::string::npos;
}

core::Message Says(core::Role role, std::string text) {
  return {role, std::move(text)};
}

// ---- What is read -----------------------------------------------------------

TEST(TextOfTest, IsTheLastUserMessage) {
  core::Request request;
  request.messages = {Says(core::Role::kSystem, "be kind"),
                      Says(core::Role::kUser, "first"),
                      Says(core::Role::kAssistant, "answer"),
                      Says(core::Role::kUser, "second")};
  EXPECT_EQ(TextOf(request), "second");
  request.messages.push_back(Says(core::Role::kAssistant, "begun"));
  EXPECT_EQ(TextOf(request), "second");
}

TEST(TextOfTest, WithoutAUserIsTheLastMessageAndOfACompletionItsPrompt) {
  core::Request request;
  EXPECT_EQ(TextOf(request), "");
  request.messages = {Says(core::Role::kSystem, "be kind")};
  EXPECT_EQ(TextOf(request), "be kind");
  request.chat = false;
  request.prompt = "once upon";
  EXPECT_EQ(TextOf(request), "once upon");
}

TEST(WindowTest, KeepsBothEndsOfALongText) {
  const std::string text =
      std::string(512, 'a') + std::string(5000, 'b') + std::string(512, 'c');
  EXPECT_EQ(Window(text), std::string(512, 'a') + " " + std::string(512, 'c'));
  EXPECT_EQ(Window(text.substr(0, 1024)), text.substr(0, 1024));
}

TEST(WindowTest, NeverCutsACharacter) {
  for (size_t shift = 0; shift < 4; ++shift) {
    for (const char* c : {"\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x99\x82"}) {
      std::string text(shift, 'x');
      while (text.size() < 4000) text += c;
      const std::string window = Window(text);
      EXPECT_TRUE(IsValidUtf8(window)) << shift << c;
      EXPECT_GE(window.size(), 2 * kWindowBytes - 6);
    }
  }
}

TEST(WindowTest, SurvivesBytesThatAreNoUtf8) {
  EXPECT_LE(Window(std::string(5000, '\x80')).size(), 2 * kWindowBytes + 1);
}

// ---- Tokens -----------------------------------------------------------------

TEST(NormalizeTest, LowersWordsAndSplitsPunctuation) {
  EXPECT_EQ(Words("Write a Loop, please!"), "write a loop , please ! ");
  EXPECT_EQ(Words("don't"), "don ' t ");
}

TEST(NormalizeTest, LowersTheCommonAlphabets) {
  EXPECT_EQ(Words("ÉCRIS ÜBER ПРИВЕТ ΑΒΓ Ёлка"), "écris über привет αβγ ёлка ");
}

TEST(NormalizeTest, GivesEachIdeographAToken) {
  EXPECT_EQ(Words("写一个loop。"), "写 一 个 loop . ");
}

TEST(NormalizeTest, FoldsFullWidthForms) {
  EXPECT_EQ(Words("Ａ＋１２？"), "a + <d2> ? ");
}

TEST(NormalizeTest, KeepsOfNumbersTheirLength) {
  EXPECT_EQ(Words("7 42 1999 123456789"), "<d1> <d2> <d4> <d5> ");
  EXPECT_EQ(Words("3.14"), "<d1> . <d2> ");
}

TEST(NormalizeTest, JoinsARunOfTheSameMark) {
  EXPECT_EQ(Words("``` == ="), "`` == = ");
}

TEST(NormalizeTest, KeepsLineBreaksAndIndents) {
  EXPECT_EQ(Words("a\n    b\n\tc"), "a <nl> <in> b <nl> <in> c ");
}

TEST(NormalizeTest, DropsTheMarksOfAnswersToChoose) {
  EXPECT_EQ(Words("which?\n(A) red\nB. blue"), "which ? <nl> red <nl> blue ");
  EXPECT_EQ(Words("\nApple"), "<nl> apple ");
}

TEST(NormalizeTest, CutsEndlessWords) {
  EXPECT_EQ(Words(std::string(900, 'x')), std::string(24, 'x') + " ");
}

TEST(NormalizeTest, ReadsNothingFromNothing) {
  EXPECT_EQ(Words(""), "");
  EXPECT_EQ(Words(" \t \r"), "");
  EXPECT_EQ(Normalize("").repeats, 1);
}

TEST(NormalizeTest, UserTextCannotForgeATokenOfOurs) {
  const std::string words = Words("__label__code </s> <cue0:3> ^write");
  EXPECT_EQ(words, "__ label __ code < / s > < cue <d1> : <d1> > ^ write ");
}

TEST(NormalizeTest, NoTokenHoldsASpaceOrALineBreakWhateverTheBytes) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::string text;
    for (uint64_t i = 0; i < 200 + seed * 7; ++i) {
      text += static_cast<char>(RandomBits(seed, 0, i));
    }
    const Tokens tokens = Normalize(text);
    const std::string line = Line(tokens);
    EXPECT_EQ(line.find_first_of(std::string_view("\n\r\t\v\f\0", 6)),
              std::string::npos)
        << seed;
    EXPECT_TRUE(IsValidUtf8(line)) << seed;
    EXPECT_EQ(line.find("__label__"), std::string::npos);
  }
}

// ---- Features ---------------------------------------------------------------

TEST(FeaturesTest, TellTheEndsOfAPrompt) {
  EXPECT_TRUE(Has("Translate this sentence now", "^translate"));
  EXPECT_TRUE(Has("Translate this sentence now", "now$"));
  EXPECT_TRUE(Has("Is it so?", "<end:?>"));
  EXPECT_TRUE(Has("是吗？", "<end:?>"));
}

TEST(FeaturesTest, TellAnswersToChooseFromNumbers) {
  EXPECT_TRUE(Has("q\n(A) red\n(B) blue\n(C) green", "<choice:1>"));
  EXPECT_TRUE(Has("q\n(A) 12\n(B) 14\n(C) 16", "<choice:2>"));
  EXPECT_TRUE(Has("q\nA red\nB blue", "<choice:0>"));
}

TEST(FeaturesTest, CountCuesInSeveralLanguages) {
  for (const char* text : {"write a python function", "用编程实现",
                           "напиши код", "escribe un programa"}) {
    EXPECT_FALSE(Has(text, "<cue0:0>")) << text;
  }
  EXPECT_TRUE(Has("a rainy day", "<cue0:0>"));
}

TEST(FeaturesTest, AreRepeatedInLongPromptsSoTheyDoNotFade) {
  EXPECT_EQ(Normalize("short").repeats, 1);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "word ";
  const Tokens tokens = Normalize(text);
  EXPECT_EQ(tokens.repeats, 5);
  EXPECT_EQ(Line(tokens).size(),
            5 * tokens.features.size() + tokens.words.size());
}

TEST(LexiconTest, KnowsWordsPairsAndIdeographs) {
  const auto has = [](std::string_view words, Cue cue) {
    return (CuesOf(words) >> static_cast<int>(cue) & 1) != 0;
  };
  EXPECT_TRUE(has("python", Cue::kProgram));
  EXPECT_TRUE(has("act as", Cue::kPersona));
  EXPECT_TRUE(has("翻译", Cue::kTranslate));
  EXPECT_FALSE(has("rain", Cue::kProgram));
  EXPECT_EQ(CuesOf(""), 0u);
}

}  // namespace
}  // namespace aio::probe
