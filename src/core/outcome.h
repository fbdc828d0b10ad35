// SPDX-License-Identifier: Apache-2.0
//
// How a request ended and what it took. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/result.h"
#include "core/intent.h"
#include "core/request.h"
#include "core/thinking.h"

namespace aio::core {

enum class FinishReason : uint8_t { kStop, kLength };

// Exact counters of one request over all its choices.
struct Usage {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // prompt tokens whose KV already existed
  int completion_tokens = 0;
  int drafted_tokens = 0;   // proposed by speculation
  int accepted_tokens = 0;  // of those, kept
  int64_t bytes_read = 0;   // weights and KV, this request's share of a step
  int64_t weight_bytes_read = 0;  // of those, weights
};

// One per request, at its end: what `cost` learns from and the decision log
// ends with.
struct Outcome {
  std::string variant;
  Strategy strategy = Strategy::kPlain;
  Label intent = Label::kChat;
  std::optional<Thinking> thinking;  // as it was told; absent: not known
  Usage usage;
  int choices = 1;   // usage counts the tokens of all of them
  bool cut = false;  // a choice ended at max_tokens: its length is a lower bound
  std::optional<ErrorCode> error;  // absent: it finished
  Duration to_first_token{};       // from Start; zero if there was none
  Duration total{};                // from Start to OnDone
};

}  // namespace aio::core
