// SPDX-License-Identifier: Apache-2.0
//
// A connection to an upstream, plain or TLS, that outlives one exchange.
//
// Thread safety: none; used by one exchange at a time, on its strand. The
// socket's own executor may be another: completions run where the coroutine
// does.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace aio::upstream {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

// What certificates are checked against: those in `ca_file` (PEM), or what the
// system trusts if it is empty. kInvalidArgument if the file cannot be read.
Result<TlsContext> MakeTls(const std::string& ca_file);

class Connection {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Address = boost::asio::ip::tcp::endpoint;

  // `tls` null: plain.
  Connection(boost::asio::any_io_executor io, TlsContext tls);

  // Tries the addresses in order. Then, if it is a TLS one, shows `host` and
  // checks that the certificate is its.
  boost::asio::awaitable<boost::system::error_code> Connect(
      std::vector<Address> addresses, std::string host);
  boost::asio::awaitable<boost::system::error_code> Write(
      std::string_view head, std::string_view body);
  boost::asio::awaitable<size_t> Read(boost::asio::mutable_buffer into,
                                      boost::system::error_code* error);
  // Ends every pending operation.
  void Close();

  // Of one that was idle: neither closed nor spoken to by the other end.
  bool Quiet();

  bool reused = false;
  std::string buffer;  // memory for who reads; nothing is in it between two
  Time idle_since{};

 private:
  using Tls = boost::asio::ssl::stream<Socket>;
  Socket& socket() { return tls_ ? tls_->next_layer() : *plain_; }

  const TlsContext context_;
  std::optional<Socket> plain_;  // one of the two
  std::optional<Tls> tls_;
};

}  // namespace aio::upstream
