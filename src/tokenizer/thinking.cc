// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/thinking.h"

#include <array>
#include <utility>

namespace aio::tokenizer {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kMarks =
    {{{"<think>", "</think>"},
      {"[THINK]", "[/THINK]"},
      {"<seed:think>", "</seed:think>"}}};

std::optional<Spans> Greeting(const ChatTemplate& chat_template,
                              std::optional<bool> thinking) {
  RenderInput input;
  input.messages = {{"user", "Hello"}};
  if (thinking) input.extra["enable_thinking"] = *thinking;
  auto spans = chat_template.Render(input);
  if (!spans) return std::nullopt;
  return *std::move(spans);
}

std::string TextOf(const Spans& spans) {
  std::string text;
  for (const Span& span : spans) text += span.text;
  return text;
}

}  // namespace

ThinkingStyle ThinkingOf(const ChatTemplate& chat_template,
                         std::string_view source) {
  ThinkingStyle style;
  for (const auto& [open, close] : kMarks) {
    if (style.marks || source.find(close) == std::string_view::npos) continue;
    style.marks = ThinkingMarks{std::string(open), std::string(close)};
  }
  const auto untold = Greeting(chat_template, std::nullopt);
  const auto on = Greeting(chat_template, true);
  const auto off = Greeting(chat_template, false);
  if (!untold || !on || !off) return style;
  const std::string text = TextOf(*untold);
  const std::string thinks = TextOf(*on);
  const std::string answers = TextOf(*off);
  if (thinks != answers) {
    if (text != thinks && text != answers) return style;
    style.how = ThinkingStyle::Switch::kVariable;
    style.usual = text == thinks;
  } else if (style.marks && EndsInThought(*style.marks, *untold)) {
    style.usual = true;
  }
  return style;
}

ThinkingStyle PanguThinking(const Tokenizer& tokenizer) {
  ThinkingStyle style;
  ThinkingMarks marks{"[unused16]", "[unused17]"};
  if (tokenizer.Find(marks.open) < 0 || tokenizer.Find(marks.close) < 0) {
    return style;
  }
  style.how = ThinkingStyle::Switch::kWord;
  style.usual = true;
  style.marks = std::move(marks);
  return style;
}

bool EndsInThought(const ThinkingMarks& marks, const Spans& prompt) {
  std::string end;
  for (const Span& span : prompt) {
    end = span.trusted ? end + span.text : "";
  }
  const size_t open = end.rfind(marks.open);
  const size_t close = end.rfind(marks.close);
  return open != std::string::npos &&
         (close == std::string::npos || close < open);
}

}  // namespace aio::tokenizer
