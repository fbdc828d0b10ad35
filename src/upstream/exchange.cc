// SPDX-License-Identifier: Apache-2.0
#include "upstream/exchange.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/string.hpp>
#include <charconv>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "openai/error.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Error texts are quoted in ours; a megabyte of HTML is not.
constexpr size_t kErrorBodyBytesMax = 64 << 10;
// Behind the last event: the end of the last chunk, if the server is one whose
// connections can be used again.
constexpr size_t kRestBytesMax = 4 << 10;
constexpr Duration kRestTimeout = std::chrono::seconds(1);
// A server may want to be left alone for long, but not for ever.
constexpr int kRetryAfterSecondsMax = 60;

Error Unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message), ""};
}

Error Corrupt(std::string message) {
  return Error{ErrorCode::kCorrupt, std::move(message), ""};
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

std::string HeadOf(const Call& call, const Endpoint& endpoint) {
  std::string head;
  head.reserve(512);
  const auto line = [&](std::string_view name, std::string_view value) {
    if (IsHeaderValue(value)) {
      head.append(name).append(": ").append(value).append("\r\n");
    }
  };
  head.append(call.method).append(" ").append(call.target);
  head.append(" HTTP/1.1\r\n");
  line("Host", endpoint.authority);
  line("User-Agent", "aio/" AIO_VERSION);
  line("Authorization", call.authorization);
  line("X-Request-Id", call.request_id);
  if (call.method == "POST") {
    line("Accept", call.streamed ? "text/event-stream, application/json"
                                 : "application/json");
    line("Content-Type", "application/json");
    line("Content-Length", std::to_string(call.body.size()));
  }
  return head.append("\r\n");
}

// Whole seconds; dates are left alone.
std::optional<Duration> RetryAfter(const std::string& value) {
  int seconds = 0;
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, seconds);
  if (error != std::errc() || at != end || seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, kRetryAfterSecondsMax));
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

Exchange::Exchange(asio::any_io_executor strand, Executor* clock, Limits limits,
                   std::shared_ptr<Pool> pool, Call call)
    : strand_(std::move(strand)),
      clock_(clock),
      limits_(limits),
      pool_(std::move(pool)),
      call_(std::move(call)) {}

void Exchange::Listen(OnMessage on_message, OnEnd on_end) {
  on_message_ = std::move(on_message);
  on_end_ = std::move(on_end);
}

void Exchange::Start() {
  end_ = std::min(call_.deadline, clock_->Now() + limits_.total_timeout);
  phase_end_ = end_;
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

void Exchange::Check(Time now) {
  if (now < phase_end_.load()) return;
  asio::post(strand_, [self = shared_from_this()] { self->Expire(); });
}

void Exchange::Expire() {
  const Time now = clock_->Now();
  if (over_ || now < phase_end_.load()) return;
  if (now >= end_) {
    Finish(Error{ErrorCode::kDeadline,
                 "the upstream took longer than the request may", ""});
  } else {
    Finish(on_timeout_);
  }
}

// The connection is closed unless Release has given it back.
void Exchange::Finish(Result<void> result) {
  if (std::exchange(over_, true)) return;
  if (connection_) connection_->Close();
  ended_.result = std::move(result);
  // on_message_ stays: this may be called from inside it, and it is destroyed
  // with this object, which nothing but the coroutine then holds.
  const OnEnd on_end = std::exchange(on_end_, nullptr);
  on_end(ended_);
}

void Exchange::Release() {
  const bool whole = reader_->is_done() && reader_->keep_alive();
  if (connection_ && whole && filled_ == 0) {
    connection_->buffer = std::move(chunk_);
    pool_->Put(std::move(connection_), clock_->Now());
  }
}

void Exchange::Enter(Duration timeout, Error on_timeout) {
  on_timeout_ = std::move(on_timeout);
  Extend(timeout);
}

void Exchange::Extend(Duration timeout) {
  phase_end_ = std::min(end_, clock_->Now() + timeout);
}

asio::awaitable<void> Exchange::Run() {
  if (over_) co_return;
  connection_ = pool_->Take(clock_->Now());
  while (!over_) {
    if (!connection_) {
      const bool connected = co_await Connect();
      if (!connected) co_return;
    }
    ended_.connected = true;
    Enter(call_.streamed ? limits_.first_byte_timeout : limits_.total_timeout,
          Error{ErrorCode::kDeadline,
                "the upstream did not begin to answer in time", ""});
    co_await Send();
    const Heard heard = co_await Receive();
    if (heard == Heard::kAll) co_return;
    connection_.reset();
  }
}

asio::awaitable<bool> Exchange::Connect() {
  std::vector<Connection::Address> addresses = pool_->addresses();
  if (addresses.empty()) {
    Finish(Unavailable("the upstream's name has no address"));
    co_return false;
  }
  Enter(limits_.connect_timeout,
        Unavailable("connecting to the upstream took too long"));
  connection_ = pool_->New();
  const error_code error = co_await connection_->Connect(
      std::move(addresses), pool_->endpoint().host);
  if (over_) {
    // A connection may be made in the moment it is no longer wanted.
    connection_->Close();
    co_return false;
  }
  if (!error) co_return true;
  Finish(Unavailable("cannot connect to the upstream: " + error.message()));
  co_return false;
}

// A server may refuse a long body by answering before it has read it all, so a
// failed write is no verdict yet: what can be read decides.
asio::awaitable<void> Exchange::Send() {
  if (over_) co_return;
  co_await connection_->Write(HeadOf(call_, pool_->endpoint()), call_.body);
}

asio::awaitable<Exchange::Heard> Exchange::Receive() {
  const Heard heard = co_await ReceiveHeader();
  if (over_ || heard == Heard::kNothing) co_return heard;
  ended_.status = reader_->status();
  ended_.retry_after = RetryAfter(reader_->retry_after());
  Enter(limits_.idle_timeout,
        Error{ErrorCode::kDeadline,
              "the upstream stopped in the middle of its answer", ""});
  const std::string& type = reader_->type();
  if (call_.any_type || reader_->status() != 200 ||
      IsType(type, "application/json")) {
    co_await ReceiveBody();
  } else if (call_.streamed && IsType(type, "text/event-stream")) {
    co_await ReceiveStream();
  } else {
    Finish(Corrupt("the upstream answers with content type \"" +
                   type.substr(0, 100) + "\", which is " +
                   (call_.streamed ? "no event stream" : "no JSON")));
  }
  co_return heard;
}

asio::awaitable<Exchange::Heard> Exchange::ReceiveHeader() {
  reader_.emplace(limits_.header_bytes_max);
  // The connection's, so that not every exchange makes one anew.
  chunk_ = std::move(connection_->buffer);
  chunk_.resize(limits_.header_bytes_max + (4 << 10));
  filled_ = 0;
  while (!over_ && !reader_->has_header()) {
    error_code error;
    const size_t count = co_await connection_->Read(
        asio::buffer(chunk_.data() + filled_, chunk_.size() - filled_), &error);
    if (over_) break;
    if (error) {
      if (connection_->reused && !answered_) co_return Heard::kNothing;
      Finish(Unavailable("the upstream cut its answer: " + error.message()));
      break;
    }
    answered_ = true;
    filled_ += count;
    const Result<void> taken = Take();
    if (!taken) Finish(taken.error());
  }
  co_return Heard::kAll;
}

// What was read goes to the reader; what it leaves, to the front.
Result<void> Exchange::Take() {
  ASSIGN_OR_RETURN(const size_t taken,
                   reader_->Feed(std::string_view(chunk_.data(), filled_)));
  std::memmove(chunk_.data(), chunk_.data() + taken, filled_ - taken);
  filled_ -= taken;
  if (filled_ == chunk_.size()) {
    return Corrupt("the upstream does not speak HTTP: a line is too long");
  }
  return {};
}

asio::awaitable<bool> Exchange::Read() {
  if (over_ || reader_->is_done()) co_return false;
  error_code error;
  const size_t count = co_await connection_->Read(
      asio::buffer(chunk_.data() + filled_, chunk_.size() - filled_), &error);
  if (over_) co_return false;
  if (error == asio::error::eof) {
    const Result<void> ended = reader_->End();
    if (!ended) Finish(ended.error());
    co_return false;
  }
  if (error) {
    Finish(Unavailable("the upstream cut its answer: " + error.message()));
    co_return false;
  }
  Extend(limits_.idle_timeout);
  filled_ += count;
  const Result<void> taken = Take();
  if (!taken) Finish(taken.error());
  co_return !over_;
}

asio::awaitable<void> Exchange::ReceiveStream() {
  openai::SseDecoder decoder(limits_.event_bytes_max);
  size_t total = 0;
  bool more = true;
  while (more && !over_) {
    const std::string bytes = reader_->TakeBody();
    total += bytes.size();
    if (total > limits_.answer_bytes_max) {
      Finish(Corrupt("the upstream's answer is larger than " +
                     std::to_string(limits_.answer_bytes_max) + " bytes"));
      co_return;
    }
    const Result<bool> last = Hear(bytes, &decoder);
    if (!last) {
      Finish(last.error());
    } else if (*last) {
      co_await ReceiveRest();
    } else {
      more = co_await Read();
    }
  }
  if (over_) co_return;
  Release();
  Finish({});
}

Result<bool> Exchange::Hear(std::string_view bytes,
                            openai::SseDecoder* decoder) {
  std::vector<openai::SseEvent> events;
  const Result<void> fed = decoder->Feed(bytes, &events);
  for (const openai::SseEvent& event : events) {
    ASSIGN_OR_RETURN(const bool last, on_message_(event.data));
    if (last) return true;
  }
  if (!fed) return fed.error();
  return false;
}

// All is said: nobody waits for what is left, but a connection without it can
// be used again.
asio::awaitable<void> Exchange::ReceiveRest() {
  std::unique_ptr<Connection> connection;
  if (!reader_->is_done()) connection = std::move(connection_);
  Release();
  Finish({});
  if (!connection) co_return;
  const auto resting = std::make_shared<Connection*>(connection.get());
  clock_->PostAt(clock_->Now() + kRestTimeout,
                 [strand = strand_, weak = std::weak_ptr(resting)] {
                   const auto late = weak.lock();
                   if (!late) return;
                   asio::post(strand, [late] {
                     if (*late != nullptr) (*late)->Close();
                   });
                 });
  size_t rest = 0;
  error_code error;
  while (!error && !reader_->is_done() && rest < kRestBytesMax) {
    const size_t count = co_await connection->Read(
        asio::buffer(chunk_.data() + filled_, chunk_.size() - filled_), &error);
    rest += count;
    filled_ += count;
    if (!Take()) break;
  }
  *resting = nullptr;
  connection_ = std::move(connection);
  Release();
}

asio::awaitable<void> Exchange::ReceiveBody() {
  const int status = reader_->status();
  const size_t bytes_max =
      status == 200 ? limits_.body_bytes_max : kErrorBodyBytesMax;
  std::string body = reader_->TakeBody();
  bool more = true;
  while (more && body.size() <= bytes_max) {
    more = co_await Read();
    if (over_) co_return;
    body += reader_->TakeBody();
  }
  if (status != 200) {
    body.resize(std::min(body.size(), bytes_max));
    Release();
    Finish(ForClients(openai::ParseError(status, body)));
  } else if (body.size() > bytes_max) {
    Finish(Corrupt("the upstream's answer is larger than " +
                   std::to_string(bytes_max) + " bytes"));
  } else {
    const Result<bool> read = on_message_(body);
    if (read) Release();
    Finish(read ? Result<void>() : Result<void>(read.error()));
  }
}

}  // namespace aio::upstream
