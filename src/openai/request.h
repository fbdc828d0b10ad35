// SPDX-License-Identifier: Apache-2.0
//
// The body of a POST as a core::Request. Every field is one of three: carried
// out, accepted because it asks for nothing that changes the answer, or
// foreign: what only an upstream may know, and an error that names it in
// `param` where none is there (core::Request::foreign). None is ignored
// silently.
//
// Carried out: model, messages (roles system, developer, user, assistant;
// content a string or text parts, joined by a line break), prompt (a string or
// token ids), input (of embeddings: only its size is looked at),
// max_completion_tokens, max_tokens, n, stop, temperature, top_p, top_k, min_p,
// repetition_penalty, presence_penalty, frequency_penalty, seed, logprobs,
// top_logprobs, stream, stream_options.include_usage, enable_thinking,
// chat_template_kwargs.enable_thinking, aio; and the words /think, /no_think
// and /auto_think at the end of a user's last message.
//
// Foreign, among all keys that are not named here: tools and what belongs to
// them, messages of role tool, parts that are no text, schemas and grammars.
//
// Accepted without effect: user, metadata, store, service_tier,
// safety_identifier, prompt_cache_key, prompt_cache_retention,
// parallel_tool_calls, stream_options.include_obfuscation, and
// reasoning_content of an assistant message (chat templates drop the thinking
// of earlier turns). Null is the same as absent everywhere. Of a key that
// occurs twice the last value counts.
//
// Thread safety: free functions, no state. Input is hostile.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "core/request.h"

namespace aio::openai {

struct Limits {
  int choices_max = 8;
  int stop_max = 16;
  int64_t stop_bytes_max = 1024;  // of one stop sequence
  int messages_max = 4096;
};

// kRoute takes either body, chat if it has `messages`, and needs no model.
enum class Kind : uint8_t { kChat, kCompletion, kEmbeddings, kRoute };

struct Parsed {
  core::Request request;  // id and tenant are left for the caller
  // How the answer is written; nobody below the server needs it.
  bool stream = false;
  bool include_usage = false;
};

// kInvalidArgument for what the API does not allow.
Result<Parsed> ParseRequest(Kind kind, std::string body, const Limits& limits);

}  // namespace aio::openai
