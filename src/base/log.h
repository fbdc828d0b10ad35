// SPDX-License-Identifier: Apache-2.0
//
// The log: one line per event on standard error, `time level event key=value…`.
// The only singleton of the program. Prompts and answers are never passed to it
// unless the config asks (log.prompts).
//
// Thread safety: any thread, any time.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace aio {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// One field of a line. Values with spaces, quotes or control characters are
// quoted and escaped, so that one event is always one line.
struct LogField {
  std::string key;
  std::string value;
};

void SetLogLevel(LogLevel level);
// "debug", "info", "warning", "error", "off".
Result<LogLevel> ParseLogLevel(std::string_view name);
void Log(LogLevel level, std::string_view event,
         std::initializer_list<LogField> fields = {});

// The text Log would print after time and level; for tests.
std::string FormatLogLine(std::string_view event,
                          std::initializer_list<LogField> fields);

}  // namespace aio
