// SPDX-License-Identifier: Apache-2.0
//
// The Sink of one request: takes what backends say on their threads and hands
// it over in batches to the connection's coroutine. What waits here is bounded;
// a reader that is slower than its answer overflows it and is given up.
//
// Thread safety: the Sink's methods and Stop from any thread; Take and Wait
// from the connection's coroutine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "core/backend.h"
#include "server/bell.h"

namespace aio::server {

class Inbox : public core::Sink {
 public:
  struct Batch {
    std::optional<core::Served> served;
    std::vector<core::Delta> deltas;
    std::optional<Result<core::Done>> done;
    bool overflow = false;
    std::optional<Error> stop;  // why to give up before the end
  };

  // `overflow` is called once, from a backend's thread, when several deltas
  // wait that are more than `bytes_max` together.
  Inbox(boost::asio::any_io_executor executor, int64_t bytes_max,
        std::function<void()> overflow);

  void OnStart(const core::Served& served) override;
  void OnDelta(core::Delta delta) override;
  void OnDone(Result<core::Done> done) override;

  // Makes the coroutine give up: the client went away, the server shuts down.
  // The first reason counts.
  void Stop(Error why);

  // Everything since the last Take.
  Batch Take();
  boost::asio::awaitable<void> Wait(Time until) { return bell_->Wait(until); }

 private:
  const std::shared_ptr<Bell> bell_;
  const int64_t bytes_max_;
  const std::function<void()> overflow_;
  Mutex mutex_;
  Batch batch_ GUARDED_BY(mutex_);
  int64_t bytes_ GUARDED_BY(mutex_) = 0;  // about what batch_ takes on the wire
};

}  // namespace aio::server
