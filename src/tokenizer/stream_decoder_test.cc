// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "base/utf8.h"
#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace aio::tokenizer {
namespace {

std::shared_ptr<const Tokenizer> MustLoad(const Tables& tables) {
  auto tokenizer = Load(tables);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

TEST(StreamDecoderTest, HoldsACharacterBackUntilItIsWhole) {
  StreamDecoder decoder(MustLoad(TinyBpe()), true);
  EXPECT_EQ(decoder.Push('a'), "a");
  EXPECT_EQ(decoder.Push(0xF0), "");
  EXPECT_EQ(decoder.Push(0x9F), "");
  EXPECT_EQ(decoder.Push(0x9A), "");
  EXPECT_EQ(decoder.Push(0x80), "\U0001F680");
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(StreamDecoderTest, ReplacesWhatCanNeverBecomeACharacter) {
  StreamDecoder decoder(MustLoad(TinyBpe()), true);
  EXPECT_EQ(decoder.Push(0xFF), "\uFFFD");
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push('a'), "\uFFFDa");
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(StreamDecoderTest, EmitsOnlyUtf8WhateverTheIdsAre) {
  const auto tokenizer = MustLoad(TinyBpe());
  for (uint64_t seed = 0; seed < 200; ++seed) {
    StreamDecoder decoder(tokenizer, true);
    std::string bytes, text;
    for (uint64_t i = 0; i < 40; ++i) {
      // Some beyond the vocabulary, half of them bytes above 0x7F.
      const auto id = static_cast<int32_t>(RandomBits(seed, 4, i) % 280);
      const std::string piece = decoder.Push(id);
      EXPECT_TRUE(IsValidUtf8(piece));
      text += piece;
      bytes += tokenizer->Bytes(id);
    }
    text += decoder.Finish();
    EXPECT_EQ(text, ReplaceInvalidUtf8(bytes));
  }
}

TEST(StreamDecoderTest, DropsTheSpaceInFrontOfASentencePieceText) {
  const auto tokenizer = MustLoad(TinySpm());
  StreamDecoder start(tokenizer, true);
  EXPECT_EQ(start.Push(1), "");  // bos is no text
  EXPECT_EQ(start.Push(269), "hello");
  EXPECT_EQ(start.Push(269), " hello");
  StreamDecoder middle(tokenizer, false);
  EXPECT_EQ(middle.Push(269), " hello");
}

TEST(StreamDecoderTest, KeepsASpaceThatTheTokenizerDidNotAdd) {
  StreamDecoder bpe(MustLoad(TinyBpe()), true);
  EXPECT_EQ(bpe.Push(260), " w");
  Tables tables = TinySpm();
  tables.more.emplace_back("tokenizer.ggml.add_space_prefix", false);
  StreamDecoder spm(MustLoad(tables), true);
  EXPECT_EQ(spm.Push(269), " hello");
}

TEST(StreamDecoderTest, ControlTokensAreSilent) {
  StreamDecoder decoder(MustLoad(TinyBpe()), true);
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push(267), "");
  EXPECT_EQ(decoder.Push(0xBC), "\u00FC");
}

}  // namespace
}  // namespace aio::tokenizer
