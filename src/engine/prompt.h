// SPDX-License-Identifier: Apache-2.0
//
// From a request to the token ids that one model is given: chat template,
// special tokens only where the template wrote them, tokens, and the check that
// they fit.
//
// Thread safety: const after construction.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/backend.h"
#include "core/request.h"
#include "core/thinking.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/thinking.h"
#include "tokenizer/tokenizer.h"

namespace aio::engine {

// The tokens that a model is given, and where its answer begins.
struct Prompt {
  std::vector<int32_t> tokens;
  bool in_thought = false;
};

struct PromptBuilder {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  // Null: the file has none, and chat requests are refused.
  std::shared_ptr<const tokenizer::ChatTemplate> chat_template;
  int context_tokens_max = 0;
  // The date and time that a template may write; empty: 1970.
  std::function<std::chrono::local_seconds()> now;
  tokenizer::ThinkingStyle thinking = {};

  // Not empty, and at least one token short of the context. kInvalidArgument
  // naming `messages` or `prompt`; kUnsupported if there is no template.
  // `told`: whether to think; absent, or what the model does unless told, and
  // the prompt is as the template has it.
  Result<Prompt> Build(const core::Request& request,
                       std::optional<core::Thinking> told) const;
  // What the model can be told.
  core::ThinkingModes modes() const;
  // Ids of `text` as the answer that follows a prompt: no control tokens, and
  // no space in front that is not its own.
  std::vector<int32_t> AnswerTokens(std::string_view text) const;
  // Ids of single-token labels. kInvalidArgument if one is not a single token,
  // or two are the same.
  Result<std::vector<int32_t>> LabelTokens(
      const std::vector<std::string>& labels) const;

 private:
  tokenizer::RenderInput InputOf(const core::Request& request,
                                 std::optional<core::Thinking> told) const;
  Result<Prompt> Render(const core::Request& request,
                        std::optional<core::Thinking> told) const;
};

// A prompt, remembered between Peek and Start.
class PreparedPrompt : public core::Prepared {
 public:
  PreparedPrompt(std::string variant, Prompt prompt)
      : variant_(std::move(variant)), prompt_(std::move(prompt)) {}
  const std::string& variant() const { return variant_; }
  const Prompt& prompt() const { return prompt_; }

 private:
  std::string variant_;
  Prompt prompt_;
};

}  // namespace aio::engine
