// SPDX-License-Identifier: Apache-2.0
#include "engine/prompt.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine_fixture.h"
#include "tokenizer/tiny_vocabulary.h"

namespace aio::engine {
namespace {

using core::Thinking;

// Marks a prompt by whether to think as Qwen3's does.
constexpr std::string_view kSwitched =
    "{{ messages[-1].content }}:"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "<think></think>{% endif %}";
constexpr std::string_view kPlain = "{{ messages[-1].content }}:";

PromptBuilder Builder(std::string_view source) {
  PromptBuilder builder;
  builder.tokenizer = std::make_shared<LetterTokenizer>();
  builder.context_tokens_max = 1000;
  auto parsed = tokenizer::ChatTemplate::Parse(source, {});
  EXPECT_TRUE(parsed);
  builder.chat_template =
      std::make_shared<tokenizer::ChatTemplate>(*std::move(parsed));
  builder.thinking = tokenizer::ThinkingOf(*builder.chat_template, source);
  return builder;
}
PromptBuilder Pangu() {
  PromptBuilder builder = Builder(kPlain);
  builder.thinking.how = tokenizer::ThinkingStyle::Switch::kWord;
  builder.thinking.usual = true;
  builder.thinking.marks = {"[unused16]", "[unused17]"};
  return builder;
}

// Whether the prompt of a user who says `content` is the one of `text`.
bool Renders(const PromptBuilder& builder, const std::string& content,
             std::optional<Thinking> told, const std::string& text) {
  core::Request request;
  request.messages = {{core::Role::kUser, content}};
  const auto prompt = builder.Build(request, told);
  return prompt &&
         prompt->tokens == builder.tokenizer->Encode({{text, true}}, true);
}

TEST(PromptTest, TellsATemplateThatReadsEnableThinking) {
  const PromptBuilder builder = Builder(kSwitched);
  EXPECT_TRUE(Renders(builder, "hi", {}, "hi:"));
  EXPECT_TRUE(Renders(builder, "hi", Thinking::kOn, "hi:"));
  EXPECT_TRUE(Renders(builder, "hi", Thinking::kOff, "hi:<think></think>"));
  EXPECT_TRUE(builder.modes().both());
  EXPECT_EQ(builder.modes().usual, Thinking::kOn);
  EXPECT_FALSE(builder.modes().automatic);
}

TEST(PromptTest, TellsAPanguByTheLastWord) {
  const PromptBuilder builder = Pangu();
  EXPECT_TRUE(Renders(builder, "hi", {}, "hi:"));
  EXPECT_TRUE(Renders(builder, "hi", Thinking::kOn, "hi:"));
  EXPECT_TRUE(Renders(builder, "hi", Thinking::kOff, "hi /no_think:"));
  EXPECT_TRUE(Renders(builder, "hi /no_think", Thinking::kOff, "hi /no_think:"))
      << "said once is enough";
  EXPECT_TRUE(
      Renders(builder, "hi /auto_think", Thinking::kAuto, "hi /auto_think:"));
  EXPECT_TRUE(builder.modes().both());
  EXPECT_TRUE(builder.modes().automatic);
}

TEST(PromptTest, AModelWithoutMarksOrSwitchCannotThink) {
  const core::ThinkingModes modes = Builder(kPlain).modes();
  EXPECT_FALSE(modes.on);
  EXPECT_TRUE(modes.off);
  EXPECT_FALSE(modes.usual);
  EXPECT_EQ(modes.For(Thinking::kOff), std::nullopt);
}

TEST(PromptTest, AModelWhosePromptsEndInAThoughtAlwaysThinks) {
  constexpr std::string_view kSource =
      "{{ messages[-1].content.split('</think>')[-1] }}:<think>";
  const PromptBuilder builder = Builder(kSource);
  EXPECT_TRUE(builder.modes().on);
  EXPECT_FALSE(builder.modes().off);
  EXPECT_EQ(builder.modes().usual, Thinking::kOn);
  core::Request request;
  request.messages = {{core::Role::kUser, "hi"}};
  EXPECT_TRUE(builder.Build(request, {})->in_thought);
  EXPECT_FALSE(Builder(kPlain).Build(request, {})->in_thought);
}

TEST(PromptTest, AnAnswersSpaceInFrontIsItsOwn) {
  auto tokenizer = tokenizer::Load(tokenizer::TinySpm());
  ASSERT_TRUE(tokenizer);
  PromptBuilder builder;
  builder.tokenizer = *tokenizer;
  using Ids = std::vector<int32_t>;
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
