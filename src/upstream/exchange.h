// SPDX-License-Identifier: Apache-2.0
//
// One POST to an upstream over a connection of its own, and its answer read as
// it comes: server-sent events, or one JSON body from a server that ignores
// `stream`. Transport only; what the messages mean is the caller's business.
//
// Every wait is bounded: connecting, the response's header, each read, and the
// whole. So is every size. However it ends, `on_end` runs exactly once, and no
// `on_message` after it. Errors never name the upstream's address: they reach
// clients, who need not know it.
//
// Thread safety: Stop from any thread; the callbacks run on the exchange's own
// strand, one after the other.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "upstream/endpoint.h"

namespace aio::upstream {

struct Limits {
  // Looking the name up and connecting; past it kUnavailable. Short, so that a
  // dead machine is noticed before its users leave.
  Duration connect_timeout = std::chrono::seconds(5);
  // From there to the response's header. Some servers send it only when the
  // first token exists, so it must cover a long queue and a long prompt.
  Duration response_timeout = std::chrono::seconds(120);
  // Between two reads of the answer; keep-alive comments count as life.
  Duration idle_timeout = std::chrono::seconds(60);
  // The whole exchange, however lively.
  Duration total_timeout = std::chrono::seconds(600);

  size_t header_bytes_max = 16 << 10;
  size_t body_bytes_max = 8 << 20;     // of an answer that is no stream
  size_t event_bytes_max = 1 << 20;    // of one event of a stream
  size_t answer_bytes_max = 64 << 20;  // of a stream, in all
};

// What to send, and where to.
struct Call {
  Endpoint endpoint;
  std::string target;         // "/chat/completions", after the endpoint's path
  std::string authorization;  // header value, or empty
  std::string request_id;     // header value, or empty
  std::string body;           // JSON
  Time deadline = Time::max();
};

// An upstream's error as our own client should see it: our key and our
// configuration are not the client's fault, so what says that they are wrong
// (401, 403, 404) becomes kUnavailable. The upstream's words are kept.
Error ForClients(Error error);

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // One event's data, or the whole plain body. True: it was the last, the rest
  // is not waited for.
  using OnMessage = std::function<Result<bool>(std::string_view data)>;
  // Without an error: the answer ended where HTTP says it ends, or on_message
  // said so.
  using OnEnd = std::function<void(Result<void>)>;

  // `clock` must outlive the exchange and the tasks it posts there.
  Exchange(boost::asio::any_io_executor io, Executor* clock, Limits limits,
           Call call);

  // Both callbacks are set before another thread may Stop it.
  void Listen(OnMessage on_message, OnEnd on_end);
  // REQUIRES: called once, after Listen.
  void Start();
  // Ends it with `error` and closes the connection, unless it is over.
  void Stop(Error error);

 private:
  using Parser =
      boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<bool> Connect();
  boost::asio::awaitable<bool> Send();
  boost::asio::awaitable<void> Receive();
  boost::asio::awaitable<void> ReceiveStream(Parser* parser);
  boost::asio::awaitable<void> ReceiveBody(Parser* parser);
  // The next bytes of the body, a view into chunk_; empty at its end or once
  // the exchange is over.
  boost::asio::awaitable<std::string_view> Read(Parser* parser);

  // Enters a phase that may last `timeout` and fails with `on_timeout`.
  void Enter(Duration timeout, Error on_timeout);
  // Allows the phase `timeout` more, from now.
  void Extend(Duration timeout);
  void Watch();
  void Check();
  void Finish(Result<void> result);

  boost::asio::strand<boost::asio::any_io_executor> strand_;
  Executor* const clock_;
  const Limits limits_;
  Call call_;
  OnMessage on_message_;
  OnEnd on_end_;

  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::string chunk_;
  bool over_ = false;

  Time end_{};        // of the whole exchange
  Time phase_end_{};  // of this phase, never after end_
  Time watched_{};    // when the next Check is due; max: none is
  Error on_timeout_{ErrorCode::kDeadline, "", ""};
};

}  // namespace aio::upstream
