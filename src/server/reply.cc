// SPDX-License-Identifier: Apache-2.0
#include "server/reply.h"

#include <boost/beast/http/status.hpp>
#include <charconv>
#include <ctime>

#include "base/check.h"
#include "openai/error.h"

namespace aio::server {
namespace {

constexpr size_t kHeaderValueBytesMax = 512;

std::string_view Reason(int status) {
  namespace http = boost::beast::http;
  if (status == 499) return "Client Closed Request";
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return {reason.data(), reason.size()};
}

// RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string Date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  const size_t size =
      std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text, size);
}

void AppendField(std::string_view name, std::string_view value,
                 std::string* out) {
  *out += name;
  *out += ": ";
  *out += value;
  *out += "\r\n";
}

}  // namespace

std::string HeaderValue(std::string_view value) {
  std::string out(value.substr(0, kHeaderValueBytesMax));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return out;
}

std::string HeadText(const Reply& reply, const Transport& transport) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " ";
  out += Reason(reply.status);
  out += "\r\n";
  AppendField("Server", "aio/" AIO_VERSION, &out);
  AppendField("Date", Date(), &out);
  AppendField("Content-Type", reply.type, &out);
  for (const auto& [name, value] : reply.fields) {
    AppendField(name, HeaderValue(value), &out);
  }
  if (transport.framing == Framing::kLength) {
    AppendField("Content-Length", std::to_string(transport.length), &out);
  } else if (transport.framing == Framing::kChunked) {
    AppendField("Transfer-Encoding", "chunked", &out);
  }
  AppendField("Connection", transport.keep_alive ? "keep-alive" : "close",
              &out);
  out += "\r\n";
  return out;
}

void AppendChunk(std::string_view data, std::string* out) {
  CHECK(!data.empty());
  char hex[2 * sizeof(size_t)];
  const auto end = std::to_chars(hex, hex + sizeof(hex), data.size(), 16).ptr;
  out->append(hex, end);
  *out += "\r\n";
  *out += data;
  *out += "\r\n";
}

Reply ErrorReply(const Error& error, int retry_seconds) {
  Reply reply;
  reply.status = openai::HttpStatus(error);
  reply.body = openai::ErrorJson(error);
  if (error.code == ErrorCode::kOverloaded ||
      error.code == ErrorCode::kUnavailable) {
    reply.fields.emplace_back("Retry-After", std::to_string(retry_seconds));
  }
  if (reply.status == 401) {
    reply.fields.emplace_back("WWW-Authenticate", "Bearer");
  }
  return reply;
}

Reply ErrorReply(int status, const Error& error, std::string_view code) {
  Reply reply;
  reply.status = status;
  reply.body = openai::ErrorJson(error, code);
  return reply;
}

}  // namespace aio::server
