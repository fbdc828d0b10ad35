// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tokenizer/tiny_vocabulary.h"

namespace aio::tokenizer {
namespace {

// The error of loading it; fails the test if there is none.
Error ErrorOf(const Tables& tables) {
  const auto tokenizer = Load(tables);
  EXPECT_FALSE(tokenizer);
  return tokenizer ? Error{ErrorCode::kInternal, "it loaded", {}}
                   : tokenizer.error();
}

void ExpectCorrupt(const Tables& tables, std::string_view key) {
  const Error error = ErrorOf(tables);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt) << error.message;
  EXPECT_NE(error.message.find(key), std::string::npos) << error.message;
}

TEST(VocabularyTest, RefusesTypesThatAreNotOneForEachToken) {
  for (int change : {-1, 1}) {
    Tables t = TinyBpe();
    t.types.resize(t.types.size() + change, 1);
    ExpectCorrupt(t, "tokenizer.ggml.token_type");
  }
}

TEST(VocabularyTest, RefusesScoresThatAreNotOneForEachToken) {
  for (int change : {-1, 1}) {
    Tables t = TinySpm();
    t.scores.resize(t.scores.size() + change, 0.0f);
    ExpectCorrupt(t, "tokenizer.ggml.scores");
  }
}

TEST(VocabularyTest, RefusesTypesOutOfRange) {
  for (int32_t type : {-1, 7, std::numeric_limits<int32_t>::max()}) {
    Tables t = TinyBpe();
    t.types[3] = type;
    ExpectCorrupt(t, "token 3");
  }
}

TEST(VocabularyTest, RefusesAScoreThatIsNoNumber) {
  Tables t = TinySpm();
  t.scores[5] = std::nanf("");
  ExpectCorrupt(t, "tokenizer.ggml.scores");
}

TEST(VocabularyTest, RefusesSentencePieceWithoutScores) {
  Tables t = TinySpm();
  t.scores.clear();
  ExpectCorrupt(t, "tokenizer.ggml.scores");
}

TEST(VocabularyTest, RefusesAnEmptyVocabulary) {
  Tables t = TinyBpe();
  t.tokens.clear();
  t.types.clear();
  ExpectCorrupt(t, "tokenizer.ggml.tokens");
}

TEST(VocabularyTest, RefusesASpecialTokenThatIsTooLongToLookFor) {
  Tables t = TinyBpe();
  t.Add(std::string(Vocabulary::kSpecialBytesMax, 'x'), 3);
  EXPECT_TRUE(Load(t));
  t.tokens.back() += 'x';
  ExpectCorrupt(t, "tokenizer.ggml.token_type");
}

TEST(VocabularyTest, RefusesTablesOfAnotherType) {
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                          "tokenizer.ggml.token_type"}) {
    gguf::Writer writer;
    writer.Add("tokenizer.ggml.model", std::string("llama"));
    const auto add = [&](std::string name, gguf::Item right) {
      writer.Add(name, name == key ? gguf::Item(uint32_t{7}) : right);
    };
    add("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
    add("tokenizer.ggml.scores", std::vector<float>{0});
    add("tokenizer.ggml.token_type", std::vector<int32_t>{1});
    const auto bytes = writer.Serialize();
    ASSERT_TRUE(bytes);
    const auto file = gguf::File::Parse(*bytes);
    ASSERT_TRUE(file);
    const auto tokenizer = Tokenizer::Load(*file);
    ASSERT_FALSE(tokenizer) << key;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(tokenizer.error().message.find(key), std::string::npos);
  }
}

TEST(VocabularyTest, NamesAnUnknownModel) {
  Tables t = TinyBpe();
  t.model = "bert";
  const Error error = ErrorOf(t);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_NE(error.message.find("bert"), std::string::npos);
}

TEST(VocabularyTest, RefusesAFileWithoutTokenizer) {
  gguf::Writer writer;
  writer.Add("general.architecture", std::string("llama"));
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes);
  const auto file = gguf::File::Parse(*bytes);
  ASSERT_TRUE(file);
  const auto tokenizer = Tokenizer::Load(*file);
  ASSERT_FALSE(tokenizer);
  EXPECT_NE(tokenizer.error().message.find("tokenizer.ggml.model"),
            std::string::npos);
}

TEST(VocabularyTest, TakesAnIdBeyondTheTableAsAbsent) {
  Tables t = TinyBpe();
  t.more = {{"tokenizer.ggml.bos_token_id", uint32_t{100000}},
            {"tokenizer.ggml.eos_token_id", uint32_t{4294967295u}}};
  const auto tokenizer = Load(t);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->bos(), -1);
  EXPECT_EQ((*tokenizer)->eos(), -1);
}

TEST(VocabularyTest, HasTheSentencePieceIdsWhereTheFileIsSilent) {
  const auto tokenizer = Load(TinySpm());
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_EQ((*tokenizer)->eos(), 2);
}

TEST(VocabularyTest, GivesADuplicatePieceItsLowestId) {
  Tables t = TinyBpe();
  t.Add("hello", 1);
  const auto tokenizer = Load(t);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->Find("hello"), 259);
  const auto last = static_cast<int32_t>(t.tokens.size()) - 1;
  EXPECT_EQ((*tokenizer)->Piece(last), "hello");
}

TEST(VocabularyTest, AnEmptyPieceIsNeverFound) {
  for (int32_t type : {1, 2, 3, 4, 5, 6}) {
    Tables t = TinyBpe();
    t.Add("", type);
    const auto tokenizer = Load(t);
    ASSERT_TRUE(tokenizer);
    EXPECT_EQ((*tokenizer)->Find(""), -1);
    EXPECT_EQ((*tokenizer)->Encode({{"hello", true}}, false),
              std::vector<int32_t>{259});
  }
}

TEST(VocabularyTest, GenerationEndsAtTheNamedIdsAndAtWellKnownControlTokens) {
  Tables t = TinyBpe();
  t.Add("</s>", 1);           // 271: plain text, as in Qwen2
  t.Add("<|eot_id|>", 3);     // 272
  t.Add("<end_of_turn>", 4);  // 273: an older converter's
  t.more.emplace_back("tokenizer.ggml.eot_token_id", uint32_t{0});
  const auto tokenizer = Load(t);
  ASSERT_TRUE(tokenizer);
  std::vector<int32_t> ends;
  for (int32_t id = -1; id <= (*tokenizer)->vocabulary(); ++id) {
    if ((*tokenizer)->IsEnd(id)) ends.push_back(id);
  }
  EXPECT_EQ(ends, (std::vector<int32_t>{0, 267, 268, 272, 273}));
}

TEST(VocabularyTest, AnswersEveryIdWithoutAnError) {
  const auto tokenizer = Load(TinyBpe());
  ASSERT_TRUE(tokenizer);
  for (int32_t id : {-1, 271, std::numeric_limits<int32_t>::max(),
                     std::numeric_limits<int32_t>::min()}) {
    EXPECT_EQ((*tokenizer)->Bytes(id), "");
    EXPECT_EQ((*tokenizer)->Piece(id), "");
    EXPECT_FALSE((*tokenizer)->IsEnd(id));
  }
}

}  // namespace
}  // namespace aio::tokenizer
