// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server: sockets in, orchestrator behind, OpenAI's API in between.
//
//   POST /v1/chat/completions  /v1/completions  /v1/embeddings  /v1/route
//   GET  /v1/models  /v1/models/{id}  /health  /ready  /metrics
//   GET  /v1/fleet   POST /v1/fleet/drain   who serves, and who shall not
//
// Each connection is a coroutine on a strand of `io`; nothing here starts a
// thread or blocks one. Everything under /v1/ needs an API key if there are
// any; the rest says nothing about prompts and is open.
//
// Thread safety: Start once, then Drain and ReloadKeys from any thread. `io`
// may be run by any number of threads.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "orchestrator/orchestrator.h"

namespace aio::server {

// The pointers must outlive every task of `io`.
struct Parts {
  boost::asio::any_io_executor io;
  // Whether several threads run `io`: each connection then needs a strand.
  bool threads = true;
  // Parses large bodies, so that they do not hold up the streams of others;
  // empty: `io` does.
  boost::asio::any_io_executor workers;
  orchestrator::Orchestrator* orchestrator = nullptr;
  Metrics* metrics = nullptr;
  // Whether /ready says yes (draining says no by itself); empty: always.
  std::function<bool()> ready;
  bool log_prompts = false;  // requests and answers go to the log
};

class Server {
 public:
  Server(Parts parts, config::Server options);
  // Closes every connection. REQUIRES: the context of `io` still exists.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens. kDenied for an address that is not loopback while there are no
  // API keys; kNotFound for a missing key file; kUnavailable if the address
  // cannot be had.
  Result<void> Start();
  // The address listened on, "127.0.0.1:8080", and its port; after Start.
  std::string address() const;
  uint16_t port() const;

  // Reads the file of keys again: what it says counts for requests that come
  // from now on; keys that stay go on with what they have used. On an error,
  // which is logged too, everything is as before. No file: nothing to do.
  Result<void> ReloadKeys();

  // Stops accepting; running requests may finish for options.drain_timeout,
  // then they are cancelled. Calls `done` on `io` when the last connection has
  // ended. Further calls do nothing.
  void Drain(std::function<void()> done);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace aio::server
