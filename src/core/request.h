// SPDX-License-Identifier: Apache-2.0
//
// A request for tokens, after the wire format is gone: what the orchestrator
// routes and a backend answers. Plain data; never changed once handed on.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/features.h"
#include "core/intent.h"
#include "core/thinking.h"

namespace aio::core {

enum class Role : uint8_t { kSystem, kUser, kAssistant, kTool };
inline std::string_view Name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "";
}

struct Message {
  Role role = Role::kUser;
  std::string content;  // UTF-8; content parts of type text already joined
};

// How the variant's tokens are drawn. Defaults are OpenAI's.
struct Sampling {
  float temperature = 1;         // 0: greedy, whatever the rest says
  int top_k = 0;                 // 0: no limit
  float top_p = 1;               // nucleus; 1: off
  float min_p = 0;               // relative to the best token; 0: off
  float repetition_penalty = 1;  // over prompt and output; 1: off
  float presence_penalty = 0;    // over the output
  float frequency_penalty = 0;   // over the output
  std::optional<uint64_t> seed;  // absent: drawn by the orchestrator
  bool logprobs = false;
  int top_logprobs = 0;  // alternatives per token, 0..20
  // For measuring: what is drawn, whatever the logits say. Empty: nothing. No
  // client can set it.
  std::vector<int32_t> forced;
};

// How a variant decodes: one token a step; with drafts from the request's own
// text, or from a smaller resident variant; or, step by step, whichever of them
// the column budget says is quickest. The answer is the same bytes.
enum class Strategy : uint8_t { kPlain, kLookup, kDraft, kAuto };
inline std::string_view Name(Strategy strategy) {
  switch (strategy) {
    case Strategy::kAuto:
      return "auto";
    case Strategy::kPlain:
      return "plain";
    case Strategy::kLookup:
      return "lookup";
    case Strategy::kDraft:
      return "draft";
  }
  return "";
}

// What a user may ask for, and what it means. A name is the same in a request,
// in a flag and in a table.
inline constexpr std::array<std::string_view, 4> kSpeculationNames = {
    "auto", "off", "lookup", "draft"};
inline std::optional<Strategy> SpeculationNamed(std::string_view name) {
  constexpr std::array kMeant = {Strategy::kAuto, Strategy::kPlain,
                                 Strategy::kLookup, Strategy::kDraft};
  for (size_t i = 0; i < kMeant.size(); ++i) {
    if (kSpeculationNames[i] == name) return kMeant[i];
  }
  return std::nullopt;
}

// What the client may say to the orchestrator itself (request field "aio").
struct Hints {
  std::optional<double> quality;     // floor relative to the best variant, 0..1
  std::optional<Label> intent;       // pins the intent: no probe runs
  std::string variant;               // pins the variant; empty: routed
  std::optional<Strategy> strategy;  // absent: the policy's choice
  // Whether only variants may serve whose answer to a seed is always the same.
  bool deterministic = false;
  // Whether a larger variant may take over (docs/escalation.md): also when text
  // has been shown, or not at all. Absent: only before that.
  std::optional<bool> escalate;
};

// Thread safety: const after construction. Shared by pointer between the
// orchestrator, the backends and the engine, so a prompt is held once.
struct Request {
  std::string id;     // unique; becomes x-request-id
  std::string model;  // "auto", or a variant's name
  bool chat = true;   // messages through the chat template, else `prompt` as is
  std::vector<Message> messages;
  // The last message is what a tool said to the answer before it.
  bool tool_result = false;
  std::string prompt;                  // completions and embeddings only
  std::vector<int32_t> prompt_tokens;  // of these; wins over `prompt`
  std::optional<int> max_tokens;       // absent: until the context is full
  int choices = 1;                     // `n`
  // Whether the reader sees text as it comes, not all of it at the end.
  bool streamed = true;
  std::vector<std::string> stop;
  Sampling sampling;
  Hints hints;
  std::optional<Thinking> thinking;  // as the client says; absent: it does not
  // It was said by a word in the last message (ThinkingSaid), which models that
  // do not know it take for text; else by a field.
  bool thinking_in_text = false;
  // Whose request: a hash of the API key, 0 without keys. Salts what is cached.
  uint64_t tenant = 0;
  // What whoever answers must be able to do.
  Features needs = Bit(Feature::kChat);
  // It asks for what only somebody else's server may know (Variant::passes):
  // what all others answer to it.
  std::optional<Error> foreign;
  // The tenant's share where requests of several wait, relative to theirs; > 0.
  double weight = 1;
  // The names of the only variants that may answer; null: all.
  std::shared_ptr<const std::vector<std::string>> allowed;
  // The JSON as received, so that an upstream sees fields we do not know.
  std::string raw_json;
};

// Whether a list of the only ones allowed has that variant; null: all are.
inline bool Allows(
    const std::shared_ptr<const std::vector<std::string>>& allowed,
    std::string_view variant) {
  return allowed == nullptr ||
         std::ranges::find(*allowed, variant) != allowed->end();
}

}  // namespace aio::core
