// SPDX-License-Identifier: Apache-2.0
#include "upstream/connection.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

namespace aio::upstream {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

auto Into(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

}  // namespace

Result<TlsContext> MakeTls(const std::string& ca_file) {
  auto context =
      std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  context->set_options(
      asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
      asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
      asio::ssl::context::no_tlsv1_1);
  error_code error;
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca_file, error);
  }
  if (error) {
    return Error{ErrorCode::kInvalidArgument,
                 ca_file + ": no certificates can be read: " + error.message(),
                 "tls_ca"};
  }
  context->set_verify_mode(asio::ssl::verify_peer, error);
  return context;
}

Connection::Connection(asio::any_io_executor io, TlsContext tls)
    : context_(std::move(tls)) {
  if (context_) {
    tls_.emplace(std::move(io), *context_);
  } else {
    plain_.emplace(std::move(io));
  }
}

asio::awaitable<error_code> Connection::Connect(std::vector<Address> addresses,
                                                std::string host) {
  error_code error;
  co_await asio::async_connect(socket(), addresses, Into(error));
  if (error) co_return error;
  error_code ignored;
  socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  if (!tls_) co_return error;
  SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  tls_->set_verify_callback(asio::ssl::host_name_verification(host), error);
  if (error) co_return error;
  co_await tls_->async_handshake(asio::ssl::stream_base::client, Into(error));
  co_return error;
}

asio::awaitable<error_code> Connection::Write(std::string_view head,
                                              std::string_view body) {
  const std::array<asio::const_buffer, 2> both = {
      asio::buffer(head.data(), head.size()),
      asio::buffer(body.data(), body.size())};
  error_code error;
  if (tls_) {
    co_await asio::async_write(*tls_, both, Into(error));
  } else {
    co_await asio::async_write(*plain_, both, Into(error));
  }
  co_return error;
}

asio::awaitable<size_t> Connection::Read(asio::mutable_buffer into,
                                         error_code* error) {
  if (tls_) co_return co_await tls_->async_read_some(into, Into(*error));
  co_return co_await plain_->async_read_some(into, Into(*error));
}

void Connection::Close() {
  error_code ignored;
  socket().close(ignored);
}

// Bytes that nobody asked for are no answer to what comes next; a TLS one may
// have been sent a notice, so it is let go of, too.
bool Connection::Quiet() {
  if (!socket().is_open()) return false;
  char byte = 0;
  const ssize_t got =
      ::recv(socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace aio::upstream
