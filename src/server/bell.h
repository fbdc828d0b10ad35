// SPDX-License-Identifier: Apache-2.0
//
// How other threads wake a coroutine: they ring, it waits for the ring or for a
// point in time. Rings before a wait are not lost and do not add up.
//
// Thread safety: Ring from any thread; Wait on the executor given, by one
// coroutine at a time. Held by shared pointer, since a ring may come late.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "base/executor.h"

namespace aio::server {

class Bell : public std::enable_shared_from_this<Bell> {
 public:
  // `executor` runs one task at a time (a strand).
  explicit Bell(boost::asio::any_io_executor executor)
      : executor_(std::move(executor)), timer_(executor_) {}

  void Ring();
  // Returns when rung, at `until`, or sometimes earlier: the caller looks for
  // itself what there is to do.
  boost::asio::awaitable<void> Wait(Time until);

 private:
  boost::asio::any_io_executor executor_;
  boost::asio::steady_timer timer_;
  std::atomic<bool> rung_{false};
};

}  // namespace aio::server
