// SPDX-License-Identifier: Apache-2.0
//
// A server on a loopback socket that answers as told: well, in pieces, not at
// all, or with rubbish. For tests.
//
// Thread safety: none; lives on the thread that runs `io`.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace aio::upstream {

class ScriptedUpstream {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  // kAgain: the next script is of the same connection.
  enum class Then { kClose, kReset, kStall, kAgain };
  // What a connection does once it has read a request.
  struct Script {
    std::vector<std::string>
        pieces;  // written one after the other, as they are
    Then then = Then::kClose;
  };

  explicit ScriptedUpstream(boost::asio::io_context* io)
      : acceptor_(*io, {boost::asio::ip::make_address("127.0.0.1"), 0}) {
    boost::asio::co_spawn(*io, Accept(), boost::asio::detached);
  }

  // The next request without a script is answered by this one.
  void Add(Script script) { scripts_.push_back(std::move(script)); }
  // A whole answer with a length.
  void AddAnswer(const std::string& status, const std::string& type,
                 const std::string& body) {
    Add({{"HTTP/1.1 " + status + "\r\nContent-Type: " + type +
          "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
          body}});
  }
  // A stream that ends where the connection does.
  static std::string StreamHead() {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; "
           "charset=utf-8\r\nConnection: close\r\n\r\n";
  }
  void AddStream(const std::string& events, Then then = Then::kClose) {
    Add({{StreamHead(), events}, then});
  }
  void StopListening() { acceptor_.close(); }

  std::string url() const {
    return "http://127.0.0.1:" +
           std::to_string(acceptor_.local_endpoint().port()) + "/v1";
  }
  const std::vector<Request>& requests() const { return requests_; }
  int connections() const { return connections_; }
  int scripts_done() const { return scripts_done_; }  // all pieces written
  int closed_by_peer() const { return closed_by_peer_; }

 private:
  using Socket = boost::asio::ip::tcp::socket;
  template <typename T = void>
  using Awaitable = boost::asio::awaitable<T>;

  static auto Into(boost::system::error_code& error) {
    return boost::asio::redirect_error(boost::asio::use_awaitable, error);
  }

  Awaitable<> Accept() {
    boost::system::error_code error;
    while (!error) {
      Socket socket = co_await acceptor_.async_accept(Into(error));
      if (error) co_return;
      ++connections_;
      boost::asio::co_spawn(acceptor_.get_executor(), Serve(std::move(socket)),
                            boost::asio::detached);
    }
  }

  Script NextScript() {
    if (scripts_.empty()) return {};
    Script script = std::move(scripts_.front());
    scripts_.pop_front();
    return script;
  }

  Awaitable<> Serve(Socket socket) {
    Script script;
    boost::system::error_code error;
    boost::beast::flat_buffer buffer;
    while (true) {
      boost::beast::http::request_parser<boost::beast::http::string_body>
          parser;
      co_await boost::beast::http::async_read(socket, buffer, parser,
                                              Into(error));
      if (error) co_return;
      requests_.push_back(parser.release());
      script = NextScript();
      for (const std::string& piece : script.pieces) {
        co_await boost::asio::async_write(socket, boost::asio::buffer(piece),
                                          Into(error));
        if (error) break;
      }
      ++scripts_done_;
      if (script.then != Then::kAgain || error) break;
    }
    if (script.then == Then::kReset) {
      socket.set_option(Socket::linger(true, 0), error);
    }
    if (script.then != Then::kStall) co_return;
    char byte = 0;
    co_await socket.async_read_some(boost::asio::buffer(&byte, 1), Into(error));
    if (error) ++closed_by_peer_;
  }

  boost::asio::ip::tcp::acceptor acceptor_;
  std::deque<Script> scripts_;
  std::vector<Request> requests_;
  int connections_ = 0;
  int scripts_done_ = 0;
  int closed_by_peer_ = 0;
};

}  // namespace aio::upstream
