// SPDX-License-Identifier: Apache-2.0
//
// Where one replica of an upstream is, and the connections to it that wait for
// their next exchange. The one used last is used next, so that those in excess
// of what is needed grow old and are closed.
//
// Thread safety: any thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "upstream/connection.h"
#include "upstream/endpoint.h"

namespace aio::upstream {

class Pool {
 public:
  struct Options {
    Endpoint endpoint;
    TlsContext tls;      // null: plain
    int idle_max = 256;  // connections kept
    // Shorter than servers keep theirs, or requests meet a closing one; uvicorn
    // (vLLM, SGLang) closes after 5 s.
    Duration idle_for = std::chrono::seconds(4);
  };
  Pool(boost::asio::any_io_executor io, Options options);

  const Endpoint& endpoint() const { return options_.endpoint; }

  // Where to connect to; none: it is not known where, or there is no such
  // replica. Those that changed lose their idle connections.
  void SetAddresses(std::vector<Connection::Address> addresses);
  std::vector<Connection::Address> addresses() const;
  bool known() const;  // there is an address

  // An idle connection that is still good; null: there is none.
  std::unique_ptr<Connection> Take(Time now);
  std::unique_ptr<Connection> New() const;
  // One whose exchange has ended where HTTP says it ends.
  void Put(std::unique_ptr<Connection> connection, Time now);
  void Clear();

 private:
  void DropOld(Time now) REQUIRES_LOCK(mutex_);

  const boost::asio::any_io_executor io_;
  const Options options_;
  mutable Mutex mutex_;
  std::vector<Connection::Address> addresses_ GUARDED_BY(mutex_);
  // Oldest first.
  std::vector<std::unique_ptr<Connection>> idle_ GUARDED_BY(mutex_);
};

}  // namespace aio::upstream
