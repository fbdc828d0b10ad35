// SPDX-License-Identifier: Apache-2.0
//
// A value that another thread will give to a waiting coroutine. The first value
// counts.
//
// Thread safety: Set from any thread; Get from one coroutine on the executor.
// Held by shared pointer, since a value may come when nobody waits any more.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "server/bell.h"

namespace aio::server {

template <typename T>
class Later {
 public:
  explicit Later(boost::asio::any_io_executor executor)
      : bell_(std::make_shared<Bell>(std::move(executor))) {}

  void Set(T value) {
    {
      MutexLock lock(mutex_);
      if (!value_) value_ = std::move(value);
    }
    bell_->Ring();
  }

  // The value, or nothing at `until`.
  boost::asio::awaitable<std::optional<T>> Get(Time until) {
    std::optional<T> value = Take();
    while (!value && std::chrono::steady_clock::now() < until) {
      co_await bell_->Wait(until);
      value = Take();
    }
    co_return value;
  }

 private:
  std::optional<T> Take() {
    MutexLock lock(mutex_);
    return std::exchange(value_, std::nullopt);
  }

  const std::shared_ptr<Bell> bell_;
  Mutex mutex_;
  std::optional<T> value_ GUARDED_BY(mutex_);
};

}  // namespace aio::server
