// SPDX-License-Identifier: Apache-2.0
#include "server/peer.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/url/parse.hpp>
#include <chrono>
#include <limits>
#include <utility>

namespace aio::server {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr size_t kReadBytes = 4096;
// Requests sent ahead of an answer wait in the system's buffer past this.
constexpr size_t kReadAheadMax = 64 << 10;
constexpr std::chrono::seconds kLinger{2};

bool IsHttpError(const error_code& error) {
  return error.category() ==
         http::make_error_code(http::error::bad_method).category();
}

std::string Text(boost::core::string_view text) {
  return std::string(text.data(), text.size());
}

}  // namespace

Peer::Peer(net::ip::tcp::socket socket, const config::Server& options,
           Traffic* traffic)
    : options_(options),
      traffic_(traffic),
      stream_(std::move(socket)),
      buffer_(static_cast<size_t>(options.header_bytes_max) + kReadAheadMax +
              kReadBytes) {
  error_code ignored;
  auto& s = stream_.socket();
  s.set_option(net::ip::tcp::no_delay(true), ignored);
  // What the system buffers counts towards what a slow reader may cost us; its
  // own limit grows to megabytes.
  s.set_option(
      net::socket_base::send_buffer_size(static_cast<int>(std::clamp<int64_t>(
          options.write_buffer_bytes_max, 4 << 10, 256 << 10))),
      ignored);
}

net::awaitable<std::optional<Refusal>> Peer::ReadHead(RequestHead* head) {
  if (buffer_.size() == 0) {
    const bool more = co_await WaitForBytes();
    if (!more) co_return Refusal();
  }
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(std::min<int64_t>(
      options_.header_bytes_max, std::numeric_limits<uint32_t>::max())));
  parser_->body_limit(static_cast<uint64_t>(options_.body_bytes_max));
  stream_.expires_after(options_.header_timeout);
  error_code error;
  co_await http::async_read_header(
      stream_, buffer_, *parser_,
      net::redirect_error(net::use_awaitable, error));
  if (error) co_return Refuse(error, "header");
  if (!Fill(head)) co_return Refusal{400, "the request's target is no path"};
  co_return std::nullopt;
}

net::awaitable<bool> Peer::WaitForBytes() {
  idle_ = true;
  stream_.expires_after(options_.idle_timeout);
  error_code error;
  const size_t size = co_await stream_.async_read_some(
      buffer_.prepare(kReadBytes),
      net::redirect_error(net::use_awaitable, error));
  idle_ = false;
  buffer_.commit(size);
  if (error == beast::error::timeout) traffic_->Timeout("idle");
  co_return !error;
}

bool Peer::Fill(RequestHead* head) const {
  const auto& request = parser_->get();
  const auto target = request.target();
  const auto url = boost::urls::parse_origin_form(
      boost::core::string_view(target.data(), target.size()));
  if (!url) return false;
  const auto method = request.method_string();
  const auto authorization = request[http::field::authorization];
  head->method = Text({method.data(), method.size()});
  head->path = url->path();
  head->authorization = Text({authorization.data(), authorization.size()});
  head->keep_alive = request.keep_alive();
  head->chunks = request.version() >= 11;
  return true;
}

net::awaitable<std::optional<Refusal>> Peer::ReadBody(std::string* body) {
  const auto expect = parser_->get()[http::field::expect];
  if (!expect.empty() && !parser_->is_done()) {
    if (!beast::iequals(expect, "100-continue")) {
      co_return Refusal{417, "only 100-continue can be expected"};
    }
    const bool sent = co_await Write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return Refusal();
  }
  stream_.expires_after(options_.body_timeout);
  error_code error;
  co_await http::async_read(stream_, buffer_, *parser_,
                            net::redirect_error(net::use_awaitable, error));
  if (error) co_return Refuse(error, "body");
  *body = std::move(parser_->get().body());
  co_return std::nullopt;
}

Refusal Peer::Refuse(const error_code& error, std::string_view phase) {
  if (error == beast::error::timeout) {
    traffic_->Timeout(phase);
    return {};  // Beast has closed the socket
  }
  if (error == http::error::header_limit ||
      error == http::error::buffer_overflow) {
    return {431, "the request's header is larger than " +
                     std::to_string(options_.header_bytes_max) + " bytes"};
  }
  if (error == http::error::body_limit) {
    return {413, "the request's body is larger than " +
                     std::to_string(options_.body_bytes_max) + " bytes"};
  }
  if (error == http::error::end_of_stream ||
      error == http::error::partial_message || !IsHttpError(error)) {
    return {};  // gone
  }
  return {400, "this is no HTTP request: " + error.message()};
}

net::awaitable<bool> Peer::Write(std::string_view data) {
  stream_.expires_after(options_.write_timeout);
  error_code error;
  co_await net::async_write(stream_, net::buffer(data.data(), data.size()),
                            net::redirect_error(net::use_awaitable, error));
  if (error == beast::error::timeout) {
    timed_out_ = true;
    traffic_->Timeout("write");
  }
  co_return !error;
}

void Peer::Watch(std::function<void()> gone) {
  watching_ = reading_ = true;
  watch_ended_ = std::make_shared<Bell>(executor());
  net::co_spawn(executor(), ReadAhead(shared_from_this(), std::move(gone)),
                net::detached);
}

net::awaitable<void> Peer::ReadAhead(std::shared_ptr<Peer> self,
                                     std::function<void()> gone) {
  error_code error;
  while (self->watching_ && !error && self->buffer_.size() < kReadAheadMax) {
    // Before each read: a write in between sets the time limit of both.
    self->stream_.expires_never();
    const size_t size = co_await self->stream_.async_read_some(
        self->buffer_.prepare(kReadBytes),
        net::redirect_error(net::use_awaitable, error));
    self->buffer_.commit(size);
  }
  if (error && self->watching_) gone();
  self->reading_ = false;
  self->watch_ended_->Ring();
}

net::awaitable<void> Peer::Unwatch() {
  if (std::exchange(watching_, false)) stream_.cancel();
  while (reading_) co_await watch_ended_->Wait(Time::max());
}

net::awaitable<void> Peer::Linger() {
  error_code error;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, error);
  stream_.expires_after(kLinger);
  // As much as a body that was just too large: its sender reads only then.
  int64_t left = options_.body_bytes_max * 2;
  buffer_.clear();
  while (!error && left > 0) {
    left -= static_cast<int64_t>(co_await stream_.async_read_some(
        buffer_.prepare(kReadBytes),
        net::redirect_error(net::use_awaitable, error)));
  }
  Close();
}

void Peer::CloseIfIdle() {
  if (idle_) Close();
}

void Peer::Close() { stream_.close(); }

}  // namespace aio::server
