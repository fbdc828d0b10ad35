// SPDX-License-Identifier: Apache-2.0
//
// One JSON line per request: every input of its decisions
// (orchestrator/decision_json.h) and how it ended. No prompt, no answer.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "core/outcome.h"
#include "orchestrator/flight.h"

namespace aio::orchestrator {

struct LogEntry {
  const Flight* flight = nullptr;
  std::string_view policy;
  std::string_view variant;  // that answered; empty if none
  std::string_view earlier;  // of the exchange it goes on from; empty if none
  core::Outcome outcome;     // of the last attempt
  std::optional<ErrorCode> error;
  Duration total{};  // from Handle
};

std::string DecisionLine(const LogEntry& entry);

}  // namespace aio::orchestrator
