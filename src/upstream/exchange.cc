// SPDX-License-Identifier: Apache-2.0
#include "upstream/exchange.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <exception>
#include <utility>
#include <vector>

#include "openai/error.h"
#include "openai/sse.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// Error texts are quoted in ours; a megabyte of HTML is not.
constexpr size_t kErrorBodyBytesMax = 64 << 10;
constexpr size_t kChunkBytes = 16 << 10;

auto Into(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

Error Unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message), ""};
}

Error Corrupt(std::string message) {
  return Error{ErrorCode::kCorrupt, std::move(message), ""};
}

// What an error while reading says: bytes that are no HTTP are kCorrupt, a
// connection that ended is not.
Error ReadError(const error_code& error) {
  static const auto& category =
      make_error_code(http::error::bad_version).category();
  const bool ended = error == http::error::end_of_stream ||
                     error == http::error::partial_message;
  if (error.category() == category && !ended) {
    return Corrupt("the upstream does not speak HTTP: " + error.message());
  }
  return Unavailable("the upstream cut its answer: " + error.message());
}

bool IsType(std::string_view header, std::string_view type) {
  return boost::beast::iequals(header.substr(0, header.find(';')), type);
}

// Whether a string may stand in a header line.
bool IsHeaderValue(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c <= '~';
  });
}

http::request<http::string_body> MakeRequest(Call* call) {
  http::request<http::string_body> request{
      http::verb::post, call->endpoint.path + call->target, 11};
  request.set(http::field::host, call->endpoint.authority);
  request.set(http::field::user_agent, "aio/" AIO_VERSION);
  request.set(http::field::content_type, "application/json");
  request.set(http::field::accept, "text/event-stream, application/json");
  request.set(http::field::connection, "close");
  if (IsHeaderValue(call->authorization)) {
    request.set(http::field::authorization, call->authorization);
  }
  if (IsHeaderValue(call->request_id)) {
    request.set("X-Request-Id", call->request_id);
  }
  request.body() = std::move(call->body);
  request.prepare_payload();
  return request;
}

}  // namespace

Error ForClients(Error error) {
  switch (error.code) {
    case ErrorCode::kDenied:
      error.message = "the upstream refuses our key: " + error.message;
      error.code = ErrorCode::kUnavailable;
      break;
    case ErrorCode::kNotFound:
      error.message = "the upstream knows no such model: " + error.message;
      error.code = ErrorCode::kUnavailable;
      break;
    case ErrorCode::kCancelled:
      error.message = "the upstream gave up: " + error.message;
      error.code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  return error;
}

Exchange::Exchange(asio::any_io_executor io, Executor* clock, Limits limits,
                   Call call)
    : strand_(asio::make_strand(std::move(io))),
      clock_(clock),
      limits_(limits),
      call_(std::move(call)),
      resolver_(strand_),
      socket_(strand_) {}

void Exchange::Listen(OnMessage on_message, OnEnd on_end) {
  on_message_ = std::move(on_message);
  on_end_ = std::move(on_end);
}

void Exchange::Start() {
  auto self = shared_from_this();
  asio::co_spawn(
      strand_, [self]() -> asio::awaitable<void> { co_await self->Run(); },
      [self](const std::exception_ptr& failure) {
        if (!failure) return;
        self->Finish(
            Error{ErrorCode::kInternal, "reading an upstream failed", ""});
      });
}

void Exchange::Stop(Error error) {
  asio::post(strand_, [self = shared_from_this(), error = std::move(error)] {
    self->Finish(error);
  });
}

void Exchange::Finish(Result<void> result) {
  if (std::exchange(over_, true)) return;
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
  // on_message_ stays: this may be called from inside it, and it is destroyed
  // with this object, which nothing but the coroutine then holds.
  const OnEnd on_end = std::exchange(on_end_, nullptr);
  on_end(std::move(result));
}

void Exchange::Enter(Duration timeout, Error on_timeout) {
  on_timeout_ = std::move(on_timeout);
  Extend(timeout);
}

void Exchange::Extend(Duration timeout) {
  phase_end_ = std::min(end_, clock_->Now() + timeout);
  if (phase_end_ < watched_) Watch();
}

// One pending task for many phases: it looks again when its time has come.
void Exchange::Watch() {
  watched_ = phase_end_;
  clock_->PostAt(watched_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self) asio::post(self->strand_, [self] { self->Check(); });
  });
}

void Exchange::Check() {
  if (over_) return;
  const Time now = clock_->Now();
  if (now >= end_) {
    Finish(Error{ErrorCode::kDeadline,
                 "the upstream took longer than the request may", ""});
  } else if (now >= phase_end_) {
    Finish(on_timeout_);
  } else if (now >= watched_) {
    Watch();
  }
}

asio::awaitable<void> Exchange::Run() {
  end_ = std::min(call_.deadline, clock_->Now() + limits_.total_timeout);
  watched_ = Time::max();
  Enter(limits_.connect_timeout,
        Unavailable("connecting to the upstream took too long"));
  if (over_) co_return;
  const bool connected = co_await Connect();
  if (!connected) co_return;
  Enter(limits_.response_timeout,
        Error{ErrorCode::kDeadline,
              "the upstream did not begin to answer in time", ""});
  const bool sent = co_await Send();
  if (sent) co_await Receive();
}

asio::awaitable<bool> Exchange::Connect() {
  error_code error;
  const auto found = co_await resolver_.async_resolve(
      call_.endpoint.host, call_.endpoint.port, Into(error));
  if (over_) co_return false;
  if (!error) co_await asio::async_connect(socket_, found, Into(error));
  if (over_) {
    // A connection may be made in the moment it is no longer wanted.
    error_code ignored;
    socket_.close(ignored);
    co_return false;
  }
  if (error) {
    Finish(Unavailable("cannot connect to the upstream: " + error.message()));
    co_return false;
  }
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  co_return true;
}

asio::awaitable<bool> Exchange::Send() {
  error_code error;
  const auto request = MakeRequest(&call_);
  co_await http::async_write(socket_, request, Into(error));
  // A server may refuse a long body by answering before it has read it all, so
  // a failed write is no verdict yet: what can be read decides.
  co_return !over_;
}

asio::awaitable<void> Exchange::Receive() {
  error_code error;
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
  parser.body_limit(boost::none);  // counted below
  co_await http::async_read_header(socket_, buffer_, parser, Into(error));
  if (over_) co_return;
  if (error) {
    Finish(ReadError(error));
    co_return;
  }
  chunk_.resize(kChunkBytes);
  Enter(limits_.idle_timeout,
        Error{ErrorCode::kDeadline,
              "the upstream stopped in the middle of its answer", ""});
  const std::string type(parser.get()[http::field::content_type]);
  if (parser.get().result_int() != 200 || IsType(type, "application/json")) {
    co_await ReceiveBody(&parser);
  } else if (IsType(type, "text/event-stream")) {
    co_await ReceiveStream(&parser);
  } else {
    Finish(Corrupt("the upstream answers with content type \"" +
                   type.substr(0, 100) + "\", which is no event stream"));
  }
}

asio::awaitable<std::string_view> Exchange::Read(Parser* parser) {
  while (!parser->is_done()) {
    auto& body = parser->get().body();
    body.data = chunk_.data();
    body.size = chunk_.size();
    error_code error;
    co_await http::async_read_some(socket_, buffer_, *parser, Into(error));
    if (over_) co_return std::string_view();
    if (error && error != http::error::need_buffer) {
      Finish(ReadError(error));
      co_return std::string_view();
    }
    const size_t count = chunk_.size() - body.size;
    if (count > 0) {
      Extend(limits_.idle_timeout);
      co_return std::string_view(chunk_.data(), count);
    }
  }
  co_return std::string_view();
}

asio::awaitable<void> Exchange::ReceiveStream(Parser* parser) {
  openai::SseDecoder decoder(limits_.event_bytes_max);
  std::vector<openai::SseEvent> events;
  size_t total = 0;
  while (!over_) {
    const std::string_view bytes = co_await Read(parser);
    if (over_) co_return;
    if (bytes.empty()) {
      Finish({});
      co_return;
    }
    total += bytes.size();
    if (total > limits_.answer_bytes_max) {
      Finish(Corrupt("the upstream's answer is larger than " +
                     std::to_string(limits_.answer_bytes_max) + " bytes"));
      co_return;
    }
    events.clear();
    const Result<void> fed = decoder.Feed(bytes, &events);
    for (const openai::SseEvent& event : events) {
      const Result<bool> last = on_message_(event.data);
      if (last && !*last) continue;
      Finish(last ? Result<void>() : Result<void>(last.error()));
      co_return;
    }
    if (!fed) Finish(fed.error());
  }
}

asio::awaitable<void> Exchange::ReceiveBody(Parser* parser) {
  const int status = static_cast<int>(parser->get().result_int());
  const size_t bytes_max =
      status == 200 ? limits_.body_bytes_max : kErrorBodyBytesMax;
  std::string body;
  while (body.size() <= bytes_max) {
    const std::string_view bytes = co_await Read(parser);
    if (over_) co_return;
    if (bytes.empty()) break;
    body += bytes;
  }
  if (status != 200) {
    body.resize(std::min(body.size(), bytes_max));
    Finish(ForClients(openai::ParseError(status, body)));
  } else if (body.size() > bytes_max) {
    Finish(Corrupt("the upstream's answer is larger than " +
                   std::to_string(bytes_max) + " bytes"));
  } else {
    const Result<bool> read = on_message_(body);
    Finish(read ? Result<void>() : Result<void>(read.error()));
  }
}

}  // namespace aio::upstream
