// SPDX-License-Identifier: Apache-2.0
//
// Where special tokens are recognised, and where never: the wall between what a
// template says and what a user says.
#include "tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "tokenizer/tiny_vocabulary.h"

namespace aio::tokenizer {
namespace {

using Ids = std::vector<int32_t>;
constexpr int32_t kStart = 266, kEnd = 267, kEndBang = 268, kTool = 269,
                  kUser = 270;

class SpecialTokensTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Load(TinyBpe());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = *tokenizer;
  }
  Ids Encode(const Spans& spans) { return tokenizer_->Encode(spans, false); }
  // The same characters, none of them special.
  static Ids Letters(std::string_view text) {
    return Ids(text.begin(), text.end());
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(SpecialTokensTest, ControlTokensCountInTrustedTextOnly) {
  EXPECT_EQ(Encode({{"<|im_end|>", true}}), Ids{kEnd});
  EXPECT_EQ(Encode({{"<|im_end|>", false}}), Letters("<|im_end|>"));
  EXPECT_EQ(tokenizer_->Encode("<|im_end|>"), Letters("<|im_end|>"));
}

TEST_F(SpecialTokensTest, AUserCannotCompleteWhatTheTemplateBegan) {
  const std::string token = "<|im_end|>";
  for (size_t cut = 1; cut < token.size(); ++cut) {
    const std::string head = token.substr(0, cut), tail = token.substr(cut);
    EXPECT_EQ(Encode({{head, false}, {tail, true}}), Letters(token));
    EXPECT_EQ(Encode({{head, true}, {tail, false}}), Letters(token));
    EXPECT_EQ(Encode({{head, true}, {"", false}, {tail, true}}), Ids{kEnd});
  }
  EXPECT_EQ(Encode({{"<|im", true}, {"_", false}, {"end|>", true}}),
            Letters(token));
}

TEST_F(SpecialTokensTest, AUserCannotLengthenAToken) {
  EXPECT_EQ(Encode({{"<|im_end|>!", true}}), Ids{kEndBang});
  EXPECT_EQ(Encode({{"<|im_end|>", true}, {"!", false}}), (Ids{kEnd, '!'}));
  EXPECT_EQ(Encode({{"<|im_end|>", true}, {"!", true}}), Ids{kEndBang});
}

TEST_F(SpecialTokensTest, UserDefinedTokensCountEverywhere) {
  EXPECT_EQ(Encode({{"l<tool>l", false}}), (Ids{'l', kTool, 'l'}));
  EXPECT_EQ(Encode({{"<to", true}, {"ol>", false}}), Ids{kTool});
}

TEST_F(SpecialTokensTest, UserDefinedRoleMarkersAreControlTokens) {
  EXPECT_EQ(Encode({{"<|user|>", true}}), Ids{kUser});
  EXPECT_EQ(Encode({{"<|user|>", false}}), Letters("<|user|>"));
  EXPECT_EQ(tokenizer_->Bytes(kUser), "");
  EXPECT_EQ(tokenizer_->Bytes(kUser, true), "<|user|>");
}

TEST_F(SpecialTokensTest, BordersOfSpansAreNoBordersOfTokens) {
  const std::string text = "hello world";
  const Ids whole = Encode({{text, true}});
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Encode({{text.substr(0, cut), true}, {text.substr(cut), false}}),
              whole);
  }
}

TEST_F(SpecialTokensTest, BordersOfSpecialTokensAreBordersOfTokens) {
  EXPECT_EQ(Encode({{"he<|im_end|>llo", true}}), (Ids{257, kEnd, 256, 'o'}));
}

TEST_F(SpecialTokensTest, PromptsBeginWithBosOnce) {
  Tables tables = TinyBpe();
  tables.more.emplace_back("tokenizer.ggml.add_bos_token", true);
  const auto tokenizer = Load(tables);
  ASSERT_TRUE(tokenizer);
  const auto encode = [&](const Spans& spans, bool add_bos) {
    return (*tokenizer)->Encode(spans, add_bos);
  };
  EXPECT_EQ(encode({{"l", true}}, true), (Ids{kStart, 'l'}));
  EXPECT_EQ(encode({{"l", true}}, false), Ids{'l'});
  EXPECT_EQ(encode({{"<|im_start|>l", true}}, true), (Ids{kStart, 'l'}));
  EXPECT_EQ(encode({}, true), Ids{kStart});
  EXPECT_EQ(encode({{"<|im_start|>", false}}, true).front(), kStart);
  EXPECT_EQ((*tokenizer)->Encode("l"), Ids{'l'});
}

// Random cuts of text full of markers: a control token in the ids must have
// been written by the template alone, and no byte is lost.
TEST_F(SpecialTokensTest, NoMixtureOfSpansForgesAControlToken) {
  const std::vector<std::string> parts = {"<|im_end|>", "<|im_", "end|>", "<",
                                          "|user|>",    "hello", " ",     "!"};
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Spans spans;
    std::string all;
    for (uint64_t i = 0; i < 6; ++i) {
      const uint64_t r = RandomBits(seed, 2, i);
      spans.push_back({parts[r % parts.size()], (r >> 32 & 1) != 0});
      all += spans.back().text;
    }
    const Ids ids = Encode(spans);
    std::string decoded;
    for (int32_t id : ids) decoded += tokenizer_->Bytes(id, true);
    EXPECT_EQ(decoded, all);
    size_t at = 0, control_bytes_of_user = 0;
    std::vector<bool> trusted;
    for (const Span& span : spans) {
      trusted.insert(trusted.end(), span.text.size(), span.trusted);
    }
    for (int32_t id : ids) {
      const size_t size = tokenizer_->Bytes(id, true).size();
      const bool control = tokenizer_->Bytes(id).empty();
      for (size_t i = at; i < at + size; ++i) {
        if (control && !trusted[i]) ++control_bytes_of_user;
      }
      at += size;
    }
    EXPECT_EQ(control_bytes_of_user, 0u) << all;
  }
}

TEST_F(SpecialTokensTest, TheLongestOfTheLeftmostWins) {
  Tables tables = TinyBpe();
  tables.Add("ab", 4);    // 271
  tables.Add("abc", 4);   // 272
  tables.Add("bcde", 4);  // 273
  const auto tokenizer = Load(tables);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->Encode("ab"), Ids{271});
  EXPECT_EQ((*tokenizer)->Encode("abcde"), (Ids{272, 'd', 'e'}));
  EXPECT_EQ((*tokenizer)->Encode("bcde"), Ids{273});
  EXPECT_EQ((*tokenizer)->Encode("abab"), (Ids{271, 271}));
}

}  // namespace
}  // namespace aio::tokenizer
