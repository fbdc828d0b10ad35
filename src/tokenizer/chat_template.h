// SPDX-License-Identifier: Apache-2.0
//
// A conversation as the prompt its model was trained on, by the chat template
// in the model's file: Jinja as Hugging Face's transformers runs it.
//
// The prompt comes in spans that say who wrote them. Trusted are the literal
// text of the template, the begin and end tokens of the file, and the words
// "system", "user", "assistant", "developer" and "tool" where they are a
// message's role (some templates write '<|' + role + '|>'). All else that a
// request brings is untrusted, through every filter and slice, so that special
// tokens in a message stay text.
//
// Thread safety: const after Parse; any number of threads may render.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jinja/limits.h"
#include "tokenizer/span.h"

namespace aio::jinja {
struct Program;
}  // namespace aio::jinja

namespace aio::tokenizer {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct TemplateOptions {
  // The texts of the begin and end token, as the file has them; a template
  // sees them as bos_token and eos_token.
  std::string bos;
  std::string eos;
  jinja::TemplateLimits limits;
  // Whether Parse renders two short conversations; false where the first real
  // rendering may as well be the one to fail.
  bool probe = true;
};

struct RenderInput {
  // Where the template refuses or drops messages of the role "system", a first
  // one goes in front of the second's text, a line break between them, as
  // llama.cpp does it.
  std::vector<ChatMessage> messages;
  // Whether to end with the words that begin the assistant's turn.
  bool add_generation_prompt = true;
  // Further variables, such as enable_thinking. Each replaces one of the same
  // name: "messages" here replaces those above, for messages with more parts,
  // and comes to the template as it is.
  boost::json::object extra;
  // What strftime_now() tells, in the zone the caller wants.
  std::chrono::local_seconds now{};
};

class ChatTemplate {
 public:
  // Parses, and renders two short conversations to see that the template can
  // be evaluated. kCorrupt for a text that is no template, kUnsupported for
  // what this evaluator cannot do; the message names the line.
  static Result<ChatTemplate> Parse(std::string_view source,
                                    TemplateOptions options);

  // kInvalidArgument with the template's own words if it refuses the
  // conversation (raise_exception), or with the line if it fails on it.
  Result<Spans> Render(const RenderInput& input) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Program> program,
               TemplateOptions options)
      : program_(std::move(program)), options_(std::move(options)) {}
  // `raised` tells whether an error is the template's own.
  Result<Spans> Render(const RenderInput& input, bool* raised) const;
  // The text of a conversation, nothing if the template refuses it.
  Result<std::string> Try(std::vector<ChatMessage> messages) const;
  Result<void> Probe();

  std::shared_ptr<const jinja::Program> program_;
  TemplateOptions options_;
  // What a conversation without tools has as `tools`: None, as Hugging Face
  // passes it, unless the template fails on that; then an empty list.
  bool empty_tools_ = false;
  bool takes_system_ = true;  // or refuses or drops that role
};

}  // namespace aio::tokenizer
