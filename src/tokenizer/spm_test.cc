// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/spm.h"

#include <gtest/gtest.h>

#include <algorithm>
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

int32_t ByteId(int byte) { return 3 + byte; }

TEST(SpmTest, PutsASpaceInFrontOfAText) {
  EXPECT_EQ(MustLoad(TinySpm())->Encode("hello"), Ids{269});
  Tables tables = TinySpm();
  tables.more.emplace_back("tokenizer.ggml.add_space_prefix", false);
  EXPECT_EQ(MustLoad(tables)->Encode("hello"), Ids{268});
}

TEST(SpmTest, PutsASpaceBehindSpecialTokensAndNowhereElse) {
  const auto tokenizer = MustLoad(TinySpm());
  EXPECT_EQ(
      tokenizer->Encode({{"hello</s>hello", true}, {"hello", false}}, false),
      (Ids{269, 2, 269, 268}));
  // A user-defined token is one too.
  EXPECT_EQ(tokenizer->Encode("hello  tabhello"), (Ids{269, 276, 269}));
  EXPECT_EQ(tokenizer->Encode(""), Ids{});
}

TEST(SpmTest, MergesTheHighestScoreFirst) {
  const auto tokenizer = MustLoad(TinySpm());
  // "ll" before "el" before "he".
  EXPECT_EQ(tokenizer->Encode("ell"), (Ids{259, 261, 265}));
  EXPECT_EQ(tokenizer->Encode("hel"), (Ids{270, 266}));
}

TEST(SpmTest, MergesTheLeftmostOfEqualScores) {
  EXPECT_EQ(MustLoad(TinySpm())->Encode("lll"), (Ids{259, 265, 262}));
}

TEST(SpmTest, WritesCharactersWithoutATokenAsBytes) {
  EXPECT_EQ(MustLoad(TinySpm())->Encode("h\u00FC\n"),
            (Ids{270, ByteId(0xC3), ByteId(0xBC), ByteId('\n')}));
}

TEST(SpmTest, WithoutByteTokensTheyAreUnknown) {
  Tables tables{"llama", "", {}, {}, {}, {}, {}};
  tables.Add("<unk>", 2);
  tables.Add("<s>", 3);
  tables.Add("</s>", 3);
  tables.Add("\u2581", 1);
  tables.Add("h", 1);
  EXPECT_EQ(MustLoad(tables)->Encode("h\u00FCh"), (Ids{3, 4, 0, 4}));
}

TEST(SpmTest, NoMergeOfTextMakesAControlOrByteToken) {
  const auto tokenizer = MustLoad(TinySpm());
  EXPECT_EQ(tokenizer->Encode("<s>"), (Ids{259, 272, 275}));
  const Ids ids = tokenizer->Encode("<0x41>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), ByteId('A')), 0);
  EXPECT_EQ(tokenizer->Encode({{"<s>", true}}, false), Ids{1});
}

TEST(SpmTest, RoleMarkersOfOpenPanguAreNotForUsers) {
  const auto tokenizer = MustLoad(TinySpm());
  EXPECT_EQ(tokenizer->Encode({{"[unused9]", true}}, false), Ids{277});
  const Ids ids = tokenizer->Encode("[unused9]");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 277), 0);
}

TEST(SpmTest, DecodesSpacesBytesAndNothingOfControlTokens) {
  const auto tokenizer = MustLoad(TinySpm());
  EXPECT_EQ(tokenizer->Bytes(269), " hello");
  EXPECT_EQ(tokenizer->Piece(269), "\u2581hello");
  EXPECT_EQ(tokenizer->Bytes(ByteId(0xFF)), "\xFF");
  EXPECT_EQ(tokenizer->Bytes(ByteId(0)), std::string(1, '\0'));
  EXPECT_EQ(tokenizer->Bytes(2), "");
  EXPECT_EQ(tokenizer->Bytes(2, true), "</s>");
  EXPECT_EQ(tokenizer->Bytes(276), "  tab");
}

TEST(SpmTest, AnyBytesComeBackBehindTheSpace) {
  const auto tokenizer = MustLoad(TinySpm());
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::string text, decoded;
    for (uint64_t i = 0; i < seed; ++i) {
      text += static_cast<char>(RandomBits(seed, 3, i) & 0xFF);
    }
    for (int32_t id : tokenizer->Encode(text)) decoded += tokenizer->Bytes(id);
    EXPECT_EQ(decoded, text.empty() ? "" : " " + text);
  }
}

// Encoding word by word is a shortcut; a piece with a space behind a letter
// rules it out.
TEST(SpmTest, PiecesAcrossWordsAreFound) {
  Tables tables = TinySpm();
  tables.Add("o\u2581", 1, -2.5);      // 278
  tables.Add("o\u2581hell", 1, -6.5);  // 279
  EXPECT_EQ(MustLoad(tables)->Encode("hello hell"), (Ids{259, 267, 279}));
  EXPECT_EQ(MustLoad(TinySpm())->Encode("hello hell"), (Ids{269, 259, 267}));
}

TEST(SpmTest, AMegabyteOfOneCharacterIsNotQuadratic) {
  const auto tokenizer = MustLoad(TinySpm());
  EXPECT_EQ(tokenizer->Encode(std::string(1 << 20, 'l')).size(),
            size_t{1 + (1 << 19)});
  EXPECT_EQ(tokenizer->Encode(std::string((1 << 20) - 1, ' ')),
            Ids(1 << 19, 271));
}

TEST(SpmTest, Phi3DropsTheSpaceBehindControlTokens) {
  Tables tables = TinySpm();
  const Spans spans = {{"</s>\n hello", true}};
  EXPECT_EQ(MustLoad(tables)->Encode(spans, false).size(), 4u);
  tables.more.emplace_back("general.name", std::string("Phi-3 mini"));
  EXPECT_EQ(MustLoad(tables)->Encode(spans, false), (Ids{2, 269}));
}

TEST(SpmTest, PromptsBeginWithBosUnlessTheFileSaysNot) {
  Tables tables = TinySpm();
  EXPECT_EQ(MustLoad(tables)->Encode({{"hello", false}}, true), (Ids{1, 269}));
  tables.more.emplace_back("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(MustLoad(tables)->Encode({{"hello", false}}, true), Ids{269});
}

// The ids that llama2.c gives (karpathy/tinyllamas, stories260K).
TEST(SpmTest, EncodesAsTheBundledModelWasTrained) {
  const auto file = gguf::File::Open("models/stories260K-F32.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::Load(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->Encode({{"Once upon a time", true}}, true),
            (Ids{1, 403, 407, 261, 378}));
}

}  // namespace
}  // namespace aio::tokenizer
