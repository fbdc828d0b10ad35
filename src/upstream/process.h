// SPDX-License-Identifier: Apache-2.0
//
// An engine on this machine as a child process: started, waited for until it is
// ready, started again when it ends, and stopped with us. What it prints goes
// to the log, a line at a time.
//
// It leads a process group of its own, so that what it starts ends with it; and
// it is killed if we are, without a chance to stop it.
//
// Thread safety: any thread. Everything runs on a strand of `io`.
// See docs/fleet.md.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "upstream/pool.h"

namespace aio::upstream {

// How long to wait before the next start: doubled each time, from the shortest
// again once it has lived for `good`.
class Backoff {
 public:
  Duration shortest = std::chrono::seconds(1);
  Duration longest = std::chrono::seconds(60);
  Duration good = std::chrono::seconds(60);

  Duration After(Duration lived);

 private:
  int again_ = 0;
};

class Process : public std::enable_shared_from_this<Process> {
 public:
  struct Options {
    std::string name;                  // for the log and metrics
    std::vector<std::string> command;  // "{port}" stands for the port
    int port = 0;
    std::string ready = "/health";  // a GET that is answered 200 then
    Duration ready_timeout = std::chrono::seconds(600);
    Duration stop_timeout = std::chrono::seconds(10);
    Backoff backoff;
  };

  // `metrics` may be null.
  Process(Options options, boost::asio::any_io_executor io, Executor* clock,
          Metrics* metrics);

  // Starts it, and again whenever it ends. `first` is called once: true when it
  // is ready, false if it is not after ready_timeout or has ended before.
  void Start(std::function<void(bool)> first);
  // SIGTERM; SIGKILL after stop_timeout. Then `done`; at once if it does not
  // run.
  void Stop(std::function<void()> done);

 private:
  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<void> Live();
  boost::asio::awaitable<int> Wait();
  // `self` keeps this alive.
  boost::asio::awaitable<void> Read(std::shared_ptr<Process> self,
                                    boost::asio::readable_pipe pipe);
  boost::asio::awaitable<void> WaitUntilReady(std::shared_ptr<Process> self,
                                              pid_t pid);
  boost::asio::awaitable<void> Sleep(Duration duration);
  void Ask(std::function<void(bool)> answer);
  void Say(std::string_view line) const;
  void Tell(bool ready);
  void Signal(int signal) const;
  void HasStopped();

  const Options options_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  Executor* const clock_;
  Metrics* const metrics_;
  std::shared_ptr<Pool> pool_;
  Backoff backoff_;
  std::function<void(bool)> first_;
  std::function<void()> stopped_;
  pid_t pid_ = 0;  // 0: it does not run
  bool stopping_ = false;
};

// Starts them one after the other, each once the one before is ready or has
// failed: two that share a device measure what is free of it when they start.
void StartInOrder(std::vector<std::shared_ptr<Process>> processes,
                  std::function<void()> done);

}  // namespace aio::upstream
