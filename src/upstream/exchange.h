// SPDX-License-Identifier: Apache-2.0
//
// One request to an upstream and its answer read as it comes: server-sent
// events, or one body. Transport only; what the messages mean is the caller's
// business.
//
// Goes over an idle connection of the pool, or over a new one, which it leaves
// there if the answer ends where HTTP says it ends. An idle connection that
// turns out to be closed before a byte of an answer costs another connection,
// not the request.
//
// Every wait is bounded: connecting, the response's header, each read, and the
// whole; Check, which its owner calls now and then, sees to it. So is every
// size. However it ends, `on_end` runs exactly once, and no `on_message` after
// it. Errors never name the upstream's address: they reach clients, who need
// not know it.
//
// Thread safety: Stop and Check from any thread; the callbacks run on `strand`,
// one after the other.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "openai/sse.h"
#include "upstream/connection.h"
#include "upstream/pool.h"
#include "upstream/response_reader.h"

namespace aio::upstream {

struct Limits {
  // Connecting, TLS included; past it kUnavailable. Short, so that a dead
  // machine is noticed before its users leave, and longer than the second after
  // which a lost first packet is sent again.
  Duration connect_timeout = std::chrono::seconds(2);
  // From there to the header of a stream. Some servers send it only when the
  // first token exists, so it must cover a long queue and a long prompt.
  Duration first_byte_timeout = std::chrono::seconds(120);
  // Between two reads of the answer; keep-alive comments count as life.
  Duration idle_timeout = std::chrono::seconds(60);
  // The whole exchange, however lively; and until the header of an answer that
  // is no stream, as that comes when all is said.
  Duration total_timeout = std::chrono::seconds(600);

  size_t header_bytes_max = 16 << 10;
  size_t body_bytes_max = 64 << 20;    // of an answer that is no stream
  size_t event_bytes_max = 1 << 20;    // of one event of a stream
  size_t answer_bytes_max = 64 << 20;  // of a stream, in all
};

// What to send.
struct Call {
  std::string_view method = "POST";
  std::string target;         // the whole path
  std::string authorization;  // header value, or empty
  std::string request_id;     // header value, or empty
  std::string body;           // JSON
  bool streamed = true;       // the answer is to begin long before its end
  bool any_type = false;      // one body, whatever the server calls it
  Time deadline = Time::max();
};

// How an exchange went.
struct Ended {
  // Without an error: the answer ended where HTTP says it ends, or on_message
  // said so.
  Result<void> result;
  bool connected = false;  // false: the upstream has never heard of it
  int status = 0;          // 0: no header came
  std::optional<Duration> retry_after = {};
};

// An upstream's error as our own client should see it: our key and our
// configuration are not the client's fault, so what says that they are wrong
// (401, 403, 404) becomes kUnavailable. The upstream's words are kept.
Error ForClients(Error error);

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // One event's data, or the whole plain body. True: it was the last.
  using OnMessage = std::function<Result<bool>(std::string_view data)>;
  using OnEnd = std::function<void(Ended)>;

  // `strand`: an executor whose tasks never overlap. `clock` must outlive the
  // exchange and the tasks it posts there.
  Exchange(boost::asio::any_io_executor strand, Executor* clock, Limits limits,
           std::shared_ptr<Pool> pool, Call call);

  // Both callbacks are set before another thread may Stop it.
  void Listen(OnMessage on_message, OnEnd on_end);
  // REQUIRES: called once, after Listen.
  void Start();
  // Ends it with `error` and closes the connection, unless it is over.
  void Stop(Error error);
  // Ends it if it is late.
  void Check(Time now);

 private:
  // Whose error it is, or whether another connection is to be tried.
  enum class Heard : uint8_t { kAll, kNothing };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<bool> Connect();
  boost::asio::awaitable<void> Send();
  boost::asio::awaitable<Heard> Receive();
  boost::asio::awaitable<Heard> ReceiveHeader();
  boost::asio::awaitable<void> ReceiveStream();
  boost::asio::awaitable<void> ReceiveBody();
  boost::asio::awaitable<void> ReceiveRest();
  // Reads more into the reader. False at the end of the response, and once the
  // exchange is over.
  boost::asio::awaitable<bool> Read();
  Result<void> Take();
  // True: it was the last event.
  Result<bool> Hear(std::string_view bytes, openai::SseDecoder* decoder);

  // Enters a phase that may last `timeout` and fails with `on_timeout`.
  void Enter(Duration timeout, Error on_timeout);
  void Extend(Duration timeout);
  void Expire();
  void Finish(Result<void> result);
  void Release();

  const boost::asio::any_io_executor strand_;
  Executor* const clock_;
  const Limits limits_;
  const std::shared_ptr<Pool> pool_;
  Call call_;
  OnMessage on_message_;
  OnEnd on_end_;

  std::unique_ptr<Connection> connection_;
  std::optional<ResponseReader> reader_;
  std::string chunk_;  // what was read, and is not taken yet, up to `filled_`
  size_t filled_ = 0;
  Ended ended_;
  bool over_ = false;
  bool answered_ = false;  // a byte of the answer has come

  Time end_{};                                // of the whole exchange
  std::atomic<Time> phase_end_{Time::max()};  // of this phase
  Error on_timeout_{ErrorCode::kDeadline, "", ""};
};

}  // namespace aio::upstream
