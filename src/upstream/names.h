// SPDX-License-Identifier: Apache-2.0
//
// A host name looked up now and again, so that servers may come and go behind
// it. Nobody waits for a name server: what was found last stays until something
// else is found.
//
// Thread safety: Start once; `found` runs on the threads of `io`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "upstream/connection.h"

namespace aio::upstream {

// Finds the addresses of a name and a port, once; replaced in tests.
using LookedUp = std::function<void(Result<std::vector<Connection::Address>>)>;
using Lookup = std::function<void(const std::string& host,
                                  const std::string& port, LookedUp done)>;
// The system's resolver, on a thread that Asio keeps for it.
Lookup SystemLookup(boost::asio::any_io_executor io);

// Sorted, each once; IPv4 ones alone if there are any, since a server that has
// both is one server.
std::vector<Connection::Address> Distinct(
    std::vector<Connection::Address> addresses);

class Names : public std::enable_shared_from_this<Names> {
 public:
  using Found = std::function<void(std::vector<Connection::Address>)>;
  struct Options {
    std::string host, port;
    Duration every = std::chrono::seconds(30);
    // Until the first answer.
    Duration first_every = std::chrono::seconds(1);
  };
  Names(Options options, Lookup lookup, Executor* clock, Found found);

  // Looks it up now, and again for as long as this object lives.
  void Start();

 private:
  void LookUp();
  void Take(Result<std::vector<Connection::Address>> addresses);

  const Options options_;
  const Lookup lookup_;
  Executor* const clock_;
  const Found found_;
  bool known_ = false;  // on the clock's executor only, as `failed_`
  bool failed_ = false;
};

}  // namespace aio::upstream
