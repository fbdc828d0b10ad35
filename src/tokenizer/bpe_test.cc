// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tokenizer/tiny_vocabulary.h"

namespace aio::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

std::shared_ptr<const Tokenizer> MustLoad(const Tables& tables) {
  auto tokenizer = Load(tables);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

std::string Decode(const Tokenizer& tokenizer, const Ids& ids) {
  std::string bytes;
  for (int32_t id : ids) bytes += tokenizer.Bytes(id);
  return bytes;
}

TEST(BpeTest, MergesTheLowestRankFirst) {
  const auto tokenizer = MustLoad(TinyBpe());
  EXPECT_EQ(tokenizer->Encode("hello world"), (Ids{259, 260, 261, 'l', 'd'}));
  // "l l" outranks "he l", so "hel" stays "he" and "l".
  EXPECT_EQ(tokenizer->Encode("hel"), (Ids{257, 'l'}));
}

TEST(BpeTest, MergesTheLeftmostOfEqualPairs) {
  const auto tokenizer = MustLoad(TinyBpe());
  EXPECT_EQ(tokenizer->Encode("lll"), (Ids{256, 'l'}));
  EXPECT_EQ(tokenizer->Encode("aaaaaaa"), (Ids{263, 262, 'a'}));
}

TEST(BpeTest, NeverMergesAcrossWords) {
  EXPECT_EQ(MustLoad(TinyBpe())->Encode("l l"), (Ids{'l', ' ', 'l'}));
}

TEST(BpeTest, NothingBecomesNothing) {
  const auto tokenizer = MustLoad(TinyBpe());
  EXPECT_EQ(tokenizer->Encode(""), Ids{});
  EXPECT_EQ(tokenizer->Encode(Spans{}, false), Ids{});
  EXPECT_EQ(tokenizer->Encode(Spans{{"", true}, {"", false}}, false), Ids{});
}

TEST(BpeTest, EveryByteComesBack) {
  const auto tokenizer = MustLoad(TinyBpe());
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(tokenizer->Encode(text), Ids{byte});
    EXPECT_EQ(tokenizer->Bytes(byte), text);
  }
}

TEST(BpeTest, AnyBytesComeBack) {
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm"}) {
    Tables tables = TinyBpe();
    tables.pre = pre;
    const auto tokenizer = MustLoad(tables);
    for (uint64_t seed = 0; seed < 300; ++seed) {
      std::string text;
      for (uint64_t i = 0; i < seed; ++i) {
        text += static_cast<char>(RandomBits(seed, 1, i) & 0xFF);
      }
      EXPECT_EQ(Decode(*tokenizer, tokenizer->Encode(text)), text);
    }
  }
}

TEST(BpeTest, OnlyLlama3TakesAWholeWordWithoutMerges) {
  Tables tables = TinyBpe();
  EXPECT_EQ(MustLoad(tables)->Encode("xyz"), (Ids{'x', 'y', 'z'}));
  tables.pre = "llama-bpe";
  EXPECT_EQ(MustLoad(tables)->Encode("xyz"), Ids{265});
  EXPECT_EQ(MustLoad(tables)->Encode("xyzx"), (Ids{'x', 'y', 'z', 'x'}));
}

TEST(BpeTest, AMegabyteOfOneLetterIsNotQuadratic) {
  const auto tokenizer = MustLoad(TinyBpe());
  EXPECT_EQ(tokenizer->Encode(std::string(1 << 20, 'a')), Ids(1 << 18, 263));
}

TEST(BpeTest, RefusesAMergeOfPiecesThatAreNoTokens) {
  for (const char* merge : {"l zz", "zz l", "h l", "l", "", " l", "l "}) {
    Tables tables = TinyBpe();
    tables.merges.push_back(merge);
    const auto tokenizer = Load(tables);
    ASSERT_FALSE(tokenizer) << merge;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(tokenizer.error().message.find("merge 9"), std::string::npos)
        << tokenizer.error().message;
  }
}

TEST(BpeTest, RefusesAFileWithoutMerges) {
  Tables tables = TinyBpe();
  tables.merges.clear();
  const auto tokenizer = Load(tables);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorrupt);
}

TEST(BpeTest, NamesAnUnknownPreTokenizer) {
  Tables tables = TinyBpe();
  tables.pre = "babel-9";
  const auto tokenizer = Load(tables);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(tokenizer.error().message.find("babel-9"), std::string::npos);
}

TEST(BpeTest, NoMergeOfTextMakesAControlToken) {
  for (const char* pre : {"gpt-2", "llama-bpe"}) {
    Tables tables = TinyBpe();
    tables.pre = pre;
    tables.Add("zz", 3);
    tables.merges.push_back("z z");
    EXPECT_EQ(MustLoad(tables)->Encode("zz"), (Ids{'z', 'z'}));
  }
}

// DeepSeek's vocabulary has no token for the byte 0xFC, and a user-defined one
// for the letter "ü", which is the character that would stand for it.
TEST(BpeTest, AByteWithoutATokenBecomesTheReplacementCharacter) {
  Tables tables = TinyBpe();
  tables.types[0xFC] = 4;
  const auto tokenizer = MustLoad(tables);
  EXPECT_EQ(Decode(*tokenizer, tokenizer->Encode("a\xFC!")), "a\uFFFD!");
  EXPECT_EQ(tokenizer->Encode("a\u00FC!"), (Ids{'a', 0xFC, '!'}));
  EXPECT_EQ(Decode(*tokenizer, {'a', 0xFC, '!'}), "a\u00FC!");
}

TEST(BpeTest, DecodesWhatIsNotOfTheAlphabetAsItStands) {
  Tables tables = TinyBpe();
  tables.Add("\u4F60 \u0120", 1);  // 271
  EXPECT_EQ(MustLoad(tables)->Bytes(271), "\u4F60  ");
}

TEST(BpeTest, BeginsAsTheFileSaysOrElseThePreTokenizer) {
  Tables tables = TinyBpe();
  EXPECT_EQ(MustLoad(tables)->Encode({{"l", true}}, true), Ids{'l'});
  tables.pre = "llama-bpe";
  EXPECT_EQ(MustLoad(tables)->Encode({{"l", true}}, true), (Ids{266, 'l'}));
  tables.more.emplace_back("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(MustLoad(tables)->Encode({{"l", true}}, true), Ids{'l'});
}

}  // namespace
}  // namespace aio::tokenizer
