// SPDX-License-Identifier: Apache-2.0
//
// Server-sent events (WHATWG HTML, section 9.2), both directions. The encoder
// writes what OpenAI's API writes; the decoder takes whatever a remote server
// sends, cut at any byte.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio::openai {

// `data: <data>` and a blank line. REQUIRES: no line break in `data` (JSON as
// we write it has none).
std::string SseData(std::string_view data);

// Ends every stream of the API.
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
// A comment: readers skip it, proxies and clients see a live connection.
inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";

struct SseEvent {
  std::string event;  // empty: "message"
  std::string data;   // the lines of all `data` fields, joined by \n
};

// Incremental decoder. Lines may end in LF, CR LF or CR, a pair also across a
// border; comments, `id`, `retry` and unknown fields are skipped; an event
// without data is no event; an event not followed by a blank line is dropped,
// as the standard wants.
//
// Invariants: holds at most `event_bytes_max` bytes between two calls.
// Cost: each byte is copied at most twice.
class SseDecoder {
 public:
  explicit SseDecoder(size_t event_bytes_max = size_t{1} << 20)
      : event_bytes_max_(event_bytes_max) {}

  // Appends the events that `bytes` completes to `events`. kCorrupt if an event
  // is larger than the limit, for this call and every later one.
  Result<void> Feed(std::string_view bytes, std::vector<SseEvent>* events);

 private:
  void EndLine(std::vector<SseEvent>* events);
  void Field(std::string_view name, std::string_view value);

  size_t event_bytes_max_;
  std::string line_;        // of an unfinished line
  SseEvent event_;          // of an unfinished event; each data line ends in \n
  bool after_cr_ = false;   // the last byte was CR: a LF belongs to it
  bool first_line_ = true;  // may begin with a byte order mark
  bool too_large_ = false;
};

}  // namespace aio::openai
