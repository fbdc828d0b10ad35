// SPDX-License-Identifier: Apache-2.0
//
// The other end of one connection: reads requests and writes bytes, each under
// its time and size limits. A client that breaks a time limit loses its
// connection; one that breaks a size limit or the protocol is told why first.
//
// Thread safety: none; every call on the connection's strand, one read and one
// write at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "server/bell.h"
#include "server/traffic.h"

namespace aio::server {

// A request without its body.
struct RequestHead {
  std::string method;
  std::string path;  // decoded, without the query
  std::string authorization;
  bool keep_alive = true;
  bool chunks = true;  // the client understands a chunked answer (HTTP/1.1)
};

// Why no request could be read. Status 0: there is nobody to tell.
struct Refusal {
  int status = 0;
  std::string message;
};

class Peer : public std::enable_shared_from_this<Peer> {
 public:
  // `options` and `traffic` must outlive this. The socket's executor is the
  // connection's strand.
  Peer(boost::asio::ip::tcp::socket socket, const config::Server& options,
       Traffic* traffic);

  boost::asio::any_io_executor executor() { return stream_.get_executor(); }

  // Waits for a request and reads its header; nothing is wrong with it if no
  // refusal is returned.
  boost::asio::awaitable<std::optional<Refusal>> ReadHead(RequestHead* head);
  // The body of that request; sends "100 Continue" first where the client waits
  // for it.
  boost::asio::awaitable<std::optional<Refusal>> ReadBody(std::string* body);

  // True if the request at hand has a body that nobody has read.
  bool body_pending() const { return parser_ && !parser_->is_done(); }

  // False if the connection broke or the client did not read in time.
  boost::asio::awaitable<bool> Write(std::string_view data);

  // Reads ahead until Unwatch, so that a client that goes away is noticed while
  // its request runs: `gone` is then called, once, on the strand. A client that
  // closes only its sending side counts as gone, too.
  void Watch(std::function<void()> gone);
  boost::asio::awaitable<void> Unwatch();

  // Ends a connection so that a last response can still be read: unread input
  // would make the system reset the connection and drop the response.
  boost::asio::awaitable<void> Linger();
  // Ends a wait for the next request; does nothing while one is read or runs.
  void CloseIfIdle();
  // Ends the connection and every pending operation at once.
  void Close();
  bool open() const { return stream_.socket().is_open(); }
  // A write did, and has ended the connection.
  bool timed_out() const { return timed_out_; }

 private:
  using Parser =
      boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<bool> WaitForBytes();
  Refusal Refuse(const boost::system::error_code& error,
                 std::string_view phase);
  bool Fill(RequestHead* head) const;
  static boost::asio::awaitable<void> ReadAhead(std::shared_ptr<Peer> self,
                                                std::function<void()> gone);

  const config::Server& options_;
  Traffic* traffic_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;  // read and not yet parsed
  std::optional<Parser> parser_;      // of the request at hand
  std::shared_ptr<Bell> watch_ended_;
  bool watching_ = false;  // an end of the connection is news
  bool reading_ = false;   // ReadAhead runs
  bool idle_ = false;
  bool timed_out_ = false;
};

}  // namespace aio::server
