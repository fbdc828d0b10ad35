// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/thinking.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace aio::tokenizer {
namespace {

using Switch = ThinkingStyle::Switch;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(text.empty()) << path;
  return text;
}

struct Loaded {
  ChatTemplate chat_template;
  ThinkingStyle style;
};
Loaded Load(const std::string& path) {
  const std::string source = ReadFile(path);
  auto parsed = ChatTemplate::Parse(source, {"<s>", "</s>", {}, true});
  EXPECT_TRUE(parsed) << path << parsed.error().message;
  const ThinkingStyle style = ThinkingOf(*parsed, source);
  return {*std::move(parsed), style};
}

// "switch on open": how it is told, what it does untold, its mark.
std::string About(const ThinkingStyle& style) {
  std::string text = style.how == Switch::kVariable ? "switch" : "-";
  text += !style.usual ? " ?" : *style.usual ? " on" : " off";
  return text + " " + (style.marks ? style.marks->open : "-");
}

Spans Ask(const ChatTemplate& chat_template, const std::string& content,
          std::optional<bool> thinking) {
  RenderInput input;
  input.messages = {{"user", content}};
  if (thinking) input.extra["enable_thinking"] = *thinking;
  auto spans = chat_template.Render(input);
  EXPECT_TRUE(spans);
  return spans ? *std::move(spans) : Spans{};
}

TEST(ThinkingTest, IsToldByWhatTheBundledTemplatesWrite) {
  const std::string folder = "tests/data/chat_templates/";
  for (const auto& [file, about] : std::map<std::string, std::string>{
           {"Qwen-Qwen3-0.6B", "switch on <think>"},
           {"HuggingFaceTB-SmolLM3-3B", "switch on <think>"},
           {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "switch off <think>"},
           {"ibm-granite-granite-3.3-2B-Instruct", "- ? <think>"},
           {"Qwen-Qwen2.5-7B-Instruct", "- ? -"},
           {"mistralai-Mistral-Nemo-Instruct-2407", "- ? -"},
           {"microsoft-Phi-3.5-mini-instruct", "- ? -"},
           {"chatml", "- ? -"}}) {
    EXPECT_EQ(About(Load(folder + file + ".jinja").style), about) << file;
  }
}

TEST(ThinkingTruthTest, IsToldByWhatPublishedTemplatesWrite) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  const std::string folder = std::string(data) + "/chat_templates/jinja/";
  for (const auto& [file, about] : std::map<std::string, std::string>{
           {"Qwen3.5-4B", "switch on <think>"},
           {"GLM-4.6", "switch on <think>"},
           {"deepseek-ai-DeepSeek-V3.1", "switch off <think>"},
           {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "switch on <think>"},
           {"ByteDance-Seed-OSS", "- ? <seed:think>"},
           {"mistralai-Ministral-3-14B-Reasoning-2512", "- ? [THINK]"},
           {"meta-llama-Llama-3.1-8B-Instruct", "- ? -"},
           {"Kimi-K2-Instruct", "- ? -"},
           {"stepfun-ai-Step-3.5-Flash", "- on <think>"}}) {
    EXPECT_EQ(About(Load(folder + file + ".jinja").style), about) << file;
  }
}

TEST(ThinkingTest, ToldNotToQwen3FindsAnEmptyThought) {
  const Loaded qwen = Load("tests/data/chat_templates/Qwen-Qwen3-0.6B.jinja");
  const Spans off = Ask(qwen.chat_template, "Hi", false);
  EXPECT_TRUE(off.back().text.ends_with("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(EndsInThought(*qwen.style.marks, off));
  const Spans on = Ask(qwen.chat_template, "Hi", true);
  EXPECT_EQ(on.back().text.find("<think>"), std::string::npos);
}

TEST(ThinkingTest, APromptEndsInAThoughtOnlyWhereTheTemplateSaysSo) {
  const Loaded r1 = Load(
      "tests/data/chat_templates/"
      "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja");
  EXPECT_FALSE(
      EndsInThought(*r1.style.marks, Ask(r1.chat_template, "Hi", false)));
  EXPECT_TRUE(
      EndsInThought(*r1.style.marks, Ask(r1.chat_template, "Hi", true)));
  EXPECT_TRUE(EndsInThought(*r1.style.marks,
                            Ask(r1.chat_template, "Hi </think>", true)));
  const Loaded qwen = Load("tests/data/chat_templates/Qwen-Qwen3-0.6B.jinja");
  EXPECT_FALSE(EndsInThought(*qwen.style.marks,
                             Ask(qwen.chat_template, "Hi <think>", {})));
  const ThinkingMarks marks{"<think>", "</think>"};
  EXPECT_FALSE(EndsInThought(marks, {{"<think>", true}, {"x", false}}));
  EXPECT_FALSE(EndsInThought(marks, {{"a", true}, {"<think>", false}}));
  EXPECT_TRUE(EndsInThought(marks, {{"<thi", true}, {"nk>\n", true}}));
}

}  // namespace
}  // namespace aio::tokenizer
