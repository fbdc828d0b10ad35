// SPDX-License-Identifier: Apache-2.0
//
// One JSON line per request: every input of its decisions and how it ended.
// Numbers that a policy computes with are written as hexadecimal floats
// ("0x1.8p-1"), so a decision can be replayed bit for bit. No prompt, no
// answer.
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
  core::Outcome outcome;     // of the last attempt
  std::optional<ErrorCode> error;
  Duration total{};  // from Handle
};

std::string DecisionLine(const LogEntry& entry);

// "0x1.8p-1"; inf and nan as such.
std::string HexFloat(double x);

}  // namespace aio::orchestrator
