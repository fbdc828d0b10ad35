// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"

namespace aio::tokenizer {
namespace {

using Words = std::vector<std::string_view>;

constexpr const char* kNames[] = {
    "default",      "gpt-2",          "llama-bpe",   "qwen2",     "qwen35",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "starcoder", "falcon"};

Words Split(std::string_view name, std::string_view text, bool compile = true) {
  const auto pre_tokenizer = PreTokenizer::Create(name, compile);
  EXPECT_TRUE(pre_tokenizer) << name;
  Words words;
  if (pre_tokenizer) pre_tokenizer->Split(text, &words);
  return words;
}

std::string Join(const Words& words) {
  std::string text;
  for (std::string_view word : words) text += word;
  return text;
}

std::string Repeat(std::string_view unit, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += unit;
  return text;
}

TEST(PreTokenizerTest, Gpt2KeepsOneSpaceWithTheWordBehindIt) {
  EXPECT_EQ(Split("gpt-2", "I've  3333 dogs!!\n\n ok"),
            (Words{"I", "'ve", " ", " 3333", " dogs", "!!", "\n\n", " ok"}));
}

TEST(PreTokenizerTest, Llama3TakesDigitsInThrees) {
  EXPECT_EQ(
      Split("llama-bpe", "I'VE 33333 (dogs)!\n\n ok"),
      (Words{"I", "'VE", " ", "333", "33", " (", "dogs", ")!\n\n", " ok"}));
}

TEST(PreTokenizerTest, Qwen2TakesDigitsOneByOne) {
  EXPECT_EQ(Split("qwen2", "a33 \r\n b"),
            (Words{"a", "3", "3", " \r\n", " b"}));
}

TEST(PreTokenizerTest, Qwen35KeepsMarksWithTheirLetters) {
  EXPECT_EQ(Split("qwen2", "e\u0301"), (Words{"e", "\u0301"}));
  EXPECT_EQ(Split("qwen35", "e\u0301"), (Words{"e\u0301"}));
}

TEST(PreTokenizerTest, DeepseekCutsAtEachNewlineAndBetweenScripts) {
  EXPECT_EQ(Split("deepseek-llm", "a\n\nb 中文12!  "),
            (Words{"a", "\n", "\n", "b", " ", "中文", "12", "!", "  "}));
  EXPECT_EQ(Split("deepseek-coder", "ab 12"), (Words{"ab", " ", "1", "2"}));
  EXPECT_EQ(Split("deepseek-v3", "ab.cd 1234"),
            (Words{"ab", ".cd", " ", "123", "4"}));
}

TEST(PreTokenizerTest, DefaultCutsDigitsInThreesAndPunctuationOff) {
  EXPECT_EQ(Split("default", "a 1234?!b"),
            (Words{"a", " ", "123", "4", "?!", "b"}));
}

TEST(PreTokenizerTest, KnowsWhiteSpaceAsUnicodeHasIt) {
  // U+3000 is white space; U+180E has been none since Unicode 6.3.
  EXPECT_EQ(Split("gpt-2", "a\u3000\u3000b"),
            (Words{"a", "\u3000", "\u3000", "b"}));
  EXPECT_EQ(Split("gpt-2", "a\u180E!"), (Words{"a", "\u180E!"}));
}

TEST(PreTokenizerTest, NamesWhatItDoesNotKnow) {
  for (const char* name : {"", "gpt-3", "GPT-2", "tekken"}) {
    const auto pre_tokenizer = PreTokenizer::Create(name);
    ASSERT_FALSE(pre_tokenizer);
    EXPECT_EQ(pre_tokenizer.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(pre_tokenizer.error().message.find(name), std::string::npos);
  }
}

TEST(PreTokenizerTest, LosesNoByteOfAnyText) {
  for (const char* name : kNames) {
    for (uint64_t seed = 0; seed < 200; ++seed) {
      std::string text;
      for (uint64_t i = 0; i < seed; ++i) {
        const uint64_t r = RandomBits(seed, 0, i);
        // A third of it white space, a third ASCII, a third any byte.
        text += static_cast<char>(r % 3 == 0   ? " \n\r\t"[r >> 8 & 3]
                                  : r % 3 == 1 ? r >> 8 & 0x7F
                                               : r >> 8 & 0xFF);
      }
      const Words words = Split(name, text);
      EXPECT_EQ(Join(words), text) << name;
      for (std::string_view word : words) EXPECT_FALSE(word.empty());
    }
  }
}

TEST(PreTokenizerTest, BytesThatAreNoUtf8AreWordsOfTheirOwn) {
  EXPECT_EQ(Split("gpt-2",
                  "ab\xFF\xC3"
                  "cd\xE4\xBD"),
            (Words{"ab", "\xFF\xC3", "cd", "\xE4\xBD"}));
}

// Each would take minutes if any expression were quadratic in it.
TEST(PreTokenizerTest, CutsAMegabyteOfOneCharacterInLinearTime) {
  for (const char* name : kNames) {
    for (const char* unit : {"a", " ", "\n", "1", "!", "'", "\u3000", "\xFF"}) {
      const std::string text = Repeat(unit, 1 << 18) + "x";
      EXPECT_EQ(Join(Split(name, text)), text) << name << unit;
    }
  }
}

TEST(PreTokenizerTest, InterpretsTheSameWhereItCannotCompile) {
  const std::string text =
      Repeat("I'd say: \u4F60\u597D, 12345\u00BD  \t\n e\u0301!\r\n", 50) +
      Repeat(" ", 100000) + "x" + Repeat("y", 100000) + Repeat("\n", 1000);
  for (const char* name : kNames) {
    EXPECT_EQ(Split(name, text, false), Split(name, text)) << name;
  }
}

}  // namespace
}  // namespace aio::tokenizer
