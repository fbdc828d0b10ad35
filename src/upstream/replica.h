// SPDX-License-Identifier: Apache-2.0
//
// One server that is not ours: where it is, the connections to it, what runs
// there, and whether it is well (breaker.h). It counts what we have sent; what
// others send there it learns only from the server's own metrics.
//
// Thread safety: any thread. Callbacks run on the threads of `io`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "upstream/breaker.h"
#include "upstream/exchange.h"
#include "upstream/pool.h"

namespace aio::upstream {

class Replica : public std::enable_shared_from_this<Replica> {
 public:
  struct Options {
    Endpoint endpoint;
    TlsContext tls;       // of an https endpoint
    std::string api_key;  // sent as a bearer token; empty: none is sent
    Limits limits;
    int requests_max = 256;  // in flight; past it kOverloaded
    Breaker::Options breaker;
    // A GET that costs the server next to nothing; empty: none, and then only
    // requests tell how it is.
    std::string health_path;
    Duration health_every = std::chrono::seconds(2);
    Duration health_timeout = std::chrono::seconds(2);
    // Where the engine says how much it has to do, asked for with its health;
    // empty: nowhere.
    std::string metrics_path;
    // Whether several threads run `io`: exchanges then need strands.
    bool threads = true;
    // Both may be left out.
    Metrics* metrics = nullptr;
    Labels labels;
  };
  struct Job {
    std::string request_id;
    std::string_view method = "POST";
    std::string target;  // behind the endpoint's path
    std::string body;
    bool streamed = true;
    bool any_type = false;
    // Whose deadline is its own affair: that it was missed tells nothing about
    // the server.
    Time deadline = Time::max();
  };
  // Called once, at the end. What is wrong with the answer, also where the
  // exchange itself went well.
  using OnEnd = std::function<Result<void>(const Ended& ended)>;
  struct Snapshot {
    int running = 0;
    int others = 0;  // requests there that are not ours, as it has said last
    uint64_t admissions = 0;
    bool present = true;  // it has an address
    bool healthy = true;
    bool full = false;
  };

  // `clock` must outlive the replica and the tasks that it posts there.
  Replica(Options options, boost::asio::any_io_executor io, Executor* clock);

  // Where it is. Others than before are another server, of which nothing is
  // known: true.
  bool SetAddresses(std::vector<Connection::Address> addresses);
  // Checks its health from now on, until Close.
  void Watch();
  Snapshot View() const;

  // An error is returned, and then neither callback runs.
  Result<void> Run(Job job, Exchange::OnMessage on_message, OnEnd on_end);
  void Stop(std::string_view request_id, const Error& why);
  // Ends all that runs, and takes no more.
  void Close(const Error& why);

 private:
  struct Running {
    std::string request_id;
    // The exchange's coroutine owns it; so does nothing when `io` goes away.
    std::weak_ptr<Exchange> exchange;
  };

  boost::asio::any_io_executor Strand() const;
  Call CallOf(Job job) const;
  void Judge(const Ended& ended, bool own_deadline);
  void Count(const char* outcome) REQUIRES_LOCK(mutex_);
  void ShowState() REQUIRES_LOCK(mutex_);
  void Sweep();
  void CheckHealth();
  void Ask(std::string path, Exchange::OnMessage on_message,
           Exchange::OnEnd on_end);
  void TakeMetrics(std::string_view text);
  void HealthChecked(const Ended& ended);
  void StopAll(const Error& why);
  std::vector<std::shared_ptr<Exchange>> InFlight() const;

  const Options options_;
  const boost::asio::any_io_executor io_;
  Executor* const clock_;
  const std::shared_ptr<Pool> pool_;
  const std::shared_ptr<Pool> health_pool_;  // each check connects anew

  mutable Mutex mutex_;
  std::map<const Exchange*, Running> running_ GUARDED_BY(mutex_);
  uint64_t admissions_ GUARDED_BY(mutex_) = 0;
  Breaker breaker_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  bool sweeping_ GUARDED_BY(mutex_) = false;
  int unreachable_ GUARDED_BY(mutex_) = 0;  // checks in a row
  int others_ GUARDED_BY(mutex_) = 0;
  bool tells_ GUARDED_BY(mutex_) = true;  // it may have metrics
  // Ours; null without Options::metrics.
  prometheus::Gauge* in_flight_ = nullptr;
  prometheus::Gauge* state_ = nullptr;
  std::map<std::string_view, prometheus::Counter*> outcomes_ GUARDED_BY(mutex_);
};

}  // namespace aio::upstream
