// SPDX-License-Identifier: Apache-2.0
#include "engine/prompt.h"

#include <gtest/gtest.h>

#include "tokenizer/tiny_vocabulary.h"

namespace aio::engine {
namespace {

using Ids = std::vector<int32_t>;

TEST(PromptBuilderTest, AnAnswersSpaceInFrontIsItsOwn) {
  auto tokenizer = tokenizer::Load(tokenizer::TinySpm());
  ASSERT_TRUE(tokenizer);
  const PromptBuilder builder{*tokenizer, nullptr, 16, {}};
  constexpr int32_t kHello = 268, kSpaceHello = 269, kLineEnd = 3 + '\n';
  EXPECT_EQ(builder.AnswerTokens("hello"), Ids{kHello});
  EXPECT_EQ(builder.AnswerTokens(" hello"), Ids{kSpaceHello});
  EXPECT_EQ(builder.AnswerTokens("\nhello"), (Ids{kLineEnd, kHello}));
  EXPECT_EQ(builder.AnswerTokens("hello hello"), (Ids{kHello, kSpaceHello}));
  EXPECT_EQ(builder.AnswerTokens(""), Ids{});
  for (const int32_t id : builder.AnswerTokens("</s>")) {
    EXPECT_FALSE((*tokenizer)->IsEnd(id));
  }
}

}  // namespace
}  // namespace aio::engine
