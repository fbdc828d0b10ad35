// SPDX-License-Identifier: Apache-2.0
//
// The JSON bodies sent to an upstream: a client's request with what belongs to
// us taken out, and the one-token question that scores labels.
//
// Thread safety: free functions, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/request.h"
#include "core/thinking.h"

namespace aio::upstream {

// What a server is told of thinking, and how. By a word it is told only not to.
struct Telling {
  core::ThinkingSwitch how = core::ThinkingSwitch::kNone;
  std::optional<core::Thinking> thinking = {};
};

// The client's own JSON, byte for byte, with `model` replaced, `aio` removed
// and, if it asks for a stream, that stream's usage asked for. What the client
// did not say is left to the upstream, the seed too. A request without JSON
// (the command line's) is written from its fields.
// REQUIRES: raw_json is the text of a JSON object, or empty.
std::string ServingBody(const core::Request& request, std::string_view model,
                        const Telling& telling = {});

// Behind the endpoint's path.
std::string TargetOf(const core::Request& request);

// How the suffix of a ScoreRequest is put to an upstream whose template we
// cannot reach.
enum class SuffixForm : uint8_t {
  // An unfinished assistant message, with the switches by which vLLM and SGLang
  // continue it; llama-server continues it without. Equal to what a local
  // backend scores.
  kContinued,
  // The last line of the user's turn. An approximation that every server takes:
  // the label is then the first token of an answer to it.
  kInUserTurn,
};

// One token with 20 alternatives after `request` and `suffix`. Of a prompt of
// more than `bytes_max` bytes only the last message is sent, head and tail.
// kUnsupported for a prompt given as token ids.
Result<std::string> ScoringBody(const core::Request& request,
                                std::string_view model, std::string_view suffix,
                                SuffixForm form, size_t bytes_max);

// What a prompt is estimated from: the bytes of its text, and a constant per
// message for its role and marks.
int64_t PromptBytes(const core::Request& request);

}  // namespace aio::upstream
