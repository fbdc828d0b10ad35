// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"
#include "config/units.h"
#include "server/context.h"
#include "server/reply.h"
#include "server/session.h"

namespace aio::server {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

namespace {

// After accept() fails for want of a resource, before the next try.
constexpr std::chrono::milliseconds kAcceptPause{100};
// What a cancelled request has to say its last words.
constexpr std::chrono::seconds kLastWords{1};

Error Failed(const std::string& what, const error_code& error) {
  return Error{ErrorCode::kUnavailable, what + ": " + error.message(),
               "server.listen"};
}

std::string Text(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port());
}

}  // namespace

class Server::Impl : public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(Parts parts, config::Server options)
      : context_(
            std::make_shared<Context>(std::move(parts), std::move(options))),
        strand_(net::make_strand(context_->parts.io)),
        acceptor_(strand_),
        timer_(strand_) {}

  Result<void> Start() {
    RETURN_IF_ERROR(LoadKeys());
    ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve());
    if (!endpoint.address().is_loopback() && context_->keys()->empty()) {
      return Error{ErrorCode::kDenied,
                   "refusing to listen on " + Text(endpoint) +
                       ", which others can reach, without API keys: set "
                       "server.api_keys or listen on 127.0.0.1",
                   "server.listen"};
    }
    RETURN_IF_ERROR(Listen(endpoint));
    net::co_spawn(strand_, Accept(shared_from_this()), net::detached);
    return {};
  }

  Result<void> LoadKeys() {
    const std::string& file = context_->options.api_keys;
    if (file.empty()) return {};
    const MutexLock lock(loading_);
    std::vector<std::string> names;
    for (const auto& v : context_->parts.orchestrator->variants()) {
      names.push_back(v.name);
    }
    ASSIGN_OR_RETURN(Keys keys, Keys::Load(file, names));
    keys.Continue(*context_->keys(), std::chrono::steady_clock::now());
    context_->SetKeys(std::make_shared<const Keys>(std::move(keys)));
    return {};
  }

  // Ends everything at once.
  void Abandon() {
    context_->draining = true;
    net::post(strand_, [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
      for (const auto& session : self->Sessions()) session->Close();
    });
  }

  const tcp::endpoint& endpoint() const { return endpoint_; }

  void Drain(std::function<void()> done) {
    if (context_->draining.exchange(true)) return;
    net::post(strand_, [self = shared_from_this(), done = std::move(done)] {
      error_code ignored;
      self->acceptor_.close(ignored);
      net::co_spawn(self->strand_, DrainAll(self, done), net::detached);
    });
  }

 private:
  Result<tcp::endpoint> Resolve() {
    ASSIGN_OR_RETURN(const config::Endpoint wanted,
                     config::ParseEndpoint(context_->options.listen));
    error_code error;
    tcp::resolver resolver(context_->parts.io);
    const auto found = resolver.resolve(
        wanted.host, std::to_string(wanted.port),
        tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) {
      return Failed("cannot resolve '" + wanted.host + "'", error);
    }
    return found.begin()->endpoint();
  }

  Result<void> Listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) {
      acceptor_.set_option(net::socket_base::reuse_address(true), error);
    }
    if (!error) acceptor_.bind(endpoint, error);
    if (!error)
      acceptor_.listen(net::socket_base::max_listen_connections, error);
    if (!error) endpoint_ = acceptor_.local_endpoint(error);
    if (error) return Failed("cannot listen on " + Text(endpoint), error);
    return {};
  }

  static net::awaitable<void> Accept(std::shared_ptr<Impl> self) {
    while (self->acceptor_.is_open()) {
      const Parts& parts = self->context_->parts;
      tcp::socket socket(parts.threads
                             ? net::any_io_executor(net::make_strand(parts.io))
                             : parts.io);
      error_code error;
      co_await self->acceptor_.async_accept(
          socket, net::redirect_error(net::use_awaitable, error));
      if (!error) {
        self->Take(std::move(socket));
        continue;
      }
      if (error == net::error::operation_aborted) break;
      Log(LogLevel::kWarning, "accept_failed", {{"error", error.message()}});
      self->timer_.expires_after(kAcceptPause);
      co_await self->timer_.async_wait(
          net::redirect_error(net::use_awaitable, error));
    }
  }

  void Take(tcp::socket socket) {
    const auto limit = static_cast<size_t>(context_->options.connections_max);
    auto session = std::shared_ptr<Session>();
    {
      MutexLock lock(mutex_);
      if (sessions_.size() < limit && !context_->draining) {
        session = std::make_shared<Session>(context_, std::move(socket));
        sessions_.emplace(session.get(), session);
      }
    }
    if (session == nullptr) return Refuse(std::move(socket));
    session->Start([self = shared_from_this(), key = session.get()] {
      self->Remove(key);
    });
  }

  // One write that may not wait: a client that does not get it sees a closed
  // connection, which says as much.
  void Refuse(tcp::socket socket) {
    context_->traffic.Refused();
    Reply reply =
        ErrorReply(Error{ErrorCode::kUnavailable, "too many connections", ""});
    Transport transport;
    transport.keep_alive = false;
    transport.length = reply.body.size();
    const std::string text = HeadText(reply, transport) + reply.body;
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(net::buffer(text), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void Remove(Session* key) {
    bool last = false;
    {
      MutexLock lock(mutex_);
      sessions_.erase(key);
      last = sessions_.empty();
    }
    if (!last || !context_->draining) return;
    net::post(strand_, [self = shared_from_this()] { self->timer_.cancel(); });
  }

  std::vector<std::shared_ptr<Session>> Sessions() {
    MutexLock lock(mutex_);
    std::vector<std::shared_ptr<Session>> sessions;
    for (const auto& [key, session] : sessions_) sessions.push_back(session);
    return sessions;
  }

  // Waits until no connection is left, or for `limit`.
  static net::awaitable<void> Empty(std::shared_ptr<Impl> self,
                                    Duration limit) {
    const Time until = std::chrono::steady_clock::now() + limit;
    while (!self->Sessions().empty() &&
           std::chrono::steady_clock::now() < until) {
      self->timer_.expires_at(until);
      error_code ignored;
      co_await self->timer_.async_wait(
          net::redirect_error(net::use_awaitable, ignored));
    }
  }

  static net::awaitable<void> DrainAll(std::shared_ptr<Impl> self,
                                       std::function<void()> done) {
    for (const auto& session : self->Sessions()) session->Drain();
    co_await Empty(self, self->context_->options.drain_timeout);
    for (const auto& session : self->Sessions()) {
      session->Stop(
          Error{ErrorCode::kUnavailable, "the server is shutting down", ""});
    }
    co_await Empty(self, kLastWords);
    for (const auto& session : self->Sessions()) session->Close();
    co_await Empty(self, kLastWords);
    done();
  }

  std::shared_ptr<Context> context_;
  net::strand<net::any_io_executor> strand_;
  tcp::acceptor acceptor_;
  net::steady_timer timer_;
  tcp::endpoint endpoint_;
  Mutex loading_;  // one file of keys after the other
  Mutex mutex_;
  std::map<Session*, std::shared_ptr<Session>> sessions_ GUARDED_BY(mutex_);
};

Server::Server(Parts parts, config::Server options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {}

Server::~Server() { impl_->Abandon(); }

Result<void> Server::Start() { return impl_->Start(); }

Result<void> Server::ReloadKeys() {
  Result<void> loaded = impl_->LoadKeys();
  if (!loaded) {
    Log(LogLevel::kError, "keys not reloaded; the old ones stay",
        {{"error", loaded.error().message}});
  } else {
    Log(LogLevel::kInfo, "keys reloaded");
  }
  return loaded;
}

std::string Server::address() const { return Text(impl_->endpoint()); }

uint16_t Server::port() const { return impl_->endpoint().port(); }

void Server::Drain(std::function<void()> done) {
  impl_->Drain(std::move(done));
}

}  // namespace aio::server
