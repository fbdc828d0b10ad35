// SPDX-License-Identifier: Apache-2.0
#include "engine/prompt.h"

#include <algorithm>
#include <utility>

namespace aio::engine {
namespace {

using Switch = tokenizer::ThinkingStyle::Switch;

Result<std::vector<int32_t>> FromTokens(const core::Request& request,
                                        int32_t vocabulary) {
  for (const int32_t id : request.prompt_tokens) {
    if (id < 0 || id >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   "token " + std::to_string(id) +
                       " is not in the vocabulary (" +
                       std::to_string(vocabulary) + " tokens)",
                   "prompt"};
    }
  }
  return request.prompt_tokens;
}

}  // namespace

core::ThinkingModes PromptBuilder::modes() const {
  core::ThinkingModes modes;
  if (thinking.how != Switch::kNone) {
    modes.automatic = thinking.how == Switch::kWord;
    modes.usual = *thinking.usual ? core::Thinking::kOn : core::Thinking::kOff;
  } else if (thinking.usual) {
    modes.off = false;
    modes.usual = core::Thinking::kOn;
  } else {
    modes.on = thinking.marks.has_value();
  }
  return modes;
}

tokenizer::RenderInput PromptBuilder::InputOf(
    const core::Request& request, std::optional<core::Thinking> told) const {
  tokenizer::RenderInput input;
  for (const core::Message& m : request.messages) {
    input.messages.push_back({std::string(Name(m.role)), m.content});
  }
  input.add_generation_prompt =
      request.messages.empty() ||
      request.messages.back().role != core::Role::kAssistant;
  if (now) input.now = now();
  if (told == modes().usual || !told || told == core::Thinking::kAuto) {
    return input;  // the request has its word for "auto" in it
  }
  if (thinking.how == Switch::kVariable) {
    input.extra["enable_thinking"] = told == core::Thinking::kOn;
  } else if (thinking.how == Switch::kWord) {
    const auto last =
        std::find_if(input.messages.rbegin(), input.messages.rend(),
                     [](const auto& m) { return m.role == "user"; });
    if (last != input.messages.rend() && !core::ThinkingSaid(last->content)) {
      last->content.append(" ").append(core::kNoThinkWord);
    }
  }
  return input;
}

Result<Prompt> PromptBuilder::Render(const core::Request& request,
                                     std::optional<core::Thinking> told) const {
  if (chat_template == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 "this model's file has no chat template; use /v1/completions",
                 "messages"};
  }
  auto spans = chat_template->Render(InputOf(request, told));
  if (!spans) {
    Error error = std::move(spans).error();
    error.param = "messages";
    return error;
  }
  Prompt prompt;
  prompt.tokens = tokenizer->Encode(*spans, true);
  prompt.in_thought =
      thinking.marks && tokenizer::EndsInThought(*thinking.marks, *spans);
  return prompt;
}

Result<Prompt> PromptBuilder::Build(const core::Request& request,
                                    std::optional<core::Thinking> told) const {
  const std::string param = request.chat ? "messages" : "prompt";
  Prompt prompt;
  if (!request.prompt_tokens.empty()) {
    ASSIGN_OR_RETURN(prompt.tokens,
                     FromTokens(request, tokenizer->vocabulary()));
  } else if (!request.chat) {
    // A raw prompt is the caller's own text, markers included.
    prompt.tokens = tokenizer->Encode({{request.prompt, true}}, true);
  } else {
    ASSIGN_OR_RETURN(prompt, Render(request, told));
  }
  const std::vector<int32_t>& tokens = prompt.tokens;
  const int room = context_tokens_max - 1;
  if (static_cast<int>(tokens.size()) > room) {
    return Error{ErrorCode::kInvalidArgument,
                 "the prompt has " + std::to_string(tokens.size()) +
                     " tokens; this model's context holds " +
                     std::to_string(context_tokens_max) +
                     " with at least one for the answer",
                 param};
  }
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "the prompt is empty, and this model has no begin token",
                 param};
  }
  return prompt;
}

// SentencePiece puts a space in front of a text: it and a line break that
// stands before the text are cut off again.
std::vector<int32_t> PromptBuilder::AnswerTokens(std::string_view text) const {
  if (text.empty()) return {};
  if (!tokenizer->adds_space_prefix()) return tokenizer->Encode(text);
  const std::vector<int32_t> ids = tokenizer->Encode("\n" + std::string(text));
  size_t bytes = 0, at = 0;
  while (at < ids.size() && bytes < 2)
    bytes += tokenizer->Bytes(ids[at++]).size();
  if (bytes != 2) return tokenizer->Encode(text);
  return {ids.begin() + static_cast<ptrdiff_t>(at), ids.end()};
}

Result<std::vector<int32_t>> PromptBuilder::LabelTokens(
    const std::vector<std::string>& labels) const {
  std::vector<int32_t> ids;
  for (const std::string& label : labels) {
    int32_t id = tokenizer->Find(label);
    if (id < 0) {
      const std::vector<int32_t> encoded = tokenizer->Encode(label);
      id = encoded.size() == 1 ? encoded[0] : -1;
    }
    if (id < 0) {
      return Error{ErrorCode::kInvalidArgument,
                   "probe label '" + label + "' is not a single token", ""};
    }
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   "probe label '" + label + "' is the same token as another",
                   ""};
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace aio::engine
