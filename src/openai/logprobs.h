// SPDX-License-Identifier: Apache-2.0
//
// Log probabilities in the two shapes of the API.
//
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/backend.h"

namespace aio::openai {

// {content: [{token, logprob, bytes, top_logprobs}], refusal: null}.
void AppendChatLogprobs(const std::vector<core::TokenLogprob>& tokens,
                        std::string* out);

// {tokens, token_logprobs, top_logprobs, text_offset}. Offsets count characters
// of the answer's text from `offset` on; the prompt is not counted.
void AppendCompletionLogprobs(const std::vector<core::TokenLogprob>& tokens,
                              int64_t offset, std::string* out);

// How many characters begin in `bytes`, which may start inside one.
int64_t Characters(std::string_view bytes);

}  // namespace aio::openai
