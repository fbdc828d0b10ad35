// SPDX-License-Identifier: Apache-2.0
//
// The text of HTTP/1.1 responses.
//
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace aio::server {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Reply {
  int status = 200;
  std::string type = "application/json";
  Fields fields;  // beside those that every response has
  std::string body;
};

// How the end of the body is told.
enum class Framing : uint8_t { kLength, kChunked, kUntilClose };

struct Transport {
  Framing framing = Framing::kLength;
  bool keep_alive = true;
  size_t length = 0;  // of the body, with kLength
};

// Status line and headers. Values from outside are made harmless: what is no
// printable ASCII becomes '?', so that nobody can add a header or a body.
std::string HeadText(const Reply& reply, const Transport& transport);

std::string HeaderValue(std::string_view value);

// One piece of a chunked body. REQUIRES: not empty, which would end the body.
void AppendChunk(std::string_view data, std::string* out);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// An error in OpenAI's shape with the status of its code; `code` replaces the
// table's own `error.code`.
// `retry_seconds` goes with errors that a retry may mend.
Reply ErrorReply(const Error& error, int retry_seconds = 1);
Reply ErrorReply(int status, const Error& error, std::string_view code);

}  // namespace aio::server
