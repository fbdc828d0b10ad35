// SPDX-License-Identifier: Apache-2.0
//
// One answered task, as data and as a line of JSON. docs/eval.md has the
// fields.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "core/outcome.h"

namespace aio::eval {

// How much likelier the tokens of an answer were than the next best, on average
// (docs/escalation.md).
struct Margin {
  double first = 0;  // of the first 16 tokens
  double least = 0;  // of any 16 in a row
};

// One answered task. Seconds are as the caller of the server sees them.
struct Record {
  std::string task;
  std::string contender;  // a variant's name, or "policy:<kind>"
  core::Label intent = core::Label::kChat;  // the task's own
  bool right = false;
  std::string why;    // the checker's line, where the answer is wrong
  std::string error;  // of the request or the checker; empty: none
  std::string answer;
  std::string served;  // the variant that answered; empty: unknown
  std::string sensed;  // the intent as the probes said it; empty: unknown
  std::string finish;  // "stop" or "length"
  core::Usage usage;
  int session = 0;           // which run of the program measured it, from 0
  double begun = 0;          // seconds from the session's begin
  double seconds = 0;        // to the last token
  double first_seconds = 0;  // to the first token
  double probe_seconds = 0;
  std::optional<Margin> margin;  // absent: nobody asked, or knows
};

// What must be the same for two results to belong together.
struct Header {
  std::string tasks_hash;
  int tasks = 0;
  // contender -> what identifies the model that answers it.
  std::map<std::string, std::string> fingerprints;
  // What changes the numbers: max_tokens, parallel, the policy's settings.
  std::map<std::string, std::string> settings;
};

// Lines end in their line break; what is parsed has none. kCorrupt names the
// field at fault.
std::string HeaderLine(const Header& header);
Result<Header> ParseHeader(std::string_view line);
std::string RecordLine(const Record& record);
Result<Record> ParseRecord(std::string_view line);

}  // namespace aio::eval
