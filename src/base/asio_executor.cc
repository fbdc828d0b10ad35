// SPDX-License-Identifier: Apache-2.0
#include "base/asio_executor.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>
#include <utility>

namespace aio {
namespace asio = boost::asio;

struct AsioExecutor::Timers {
  bool forgotten = false;
  std::set<std::shared_ptr<asio::steady_timer>> pending;
};

AsioExecutor::AsioExecutor(asio::any_io_executor context)
    : strand_(asio::make_strand(std::move(context))),
      timers_(std::make_shared<Timers>()) {}

Time AsioExecutor::Now() const { return std::chrono::steady_clock::now(); }

void AsioExecutor::Post(std::function<void()> work) {
  asio::post(strand_, std::move(work));
}

void AsioExecutor::PostAt(Time when, std::function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(strand_, when);
  asio::post(strand_, [timers = timers_, timer, work = std::move(work)] {
    if (timers->forgotten) return;
    timers->pending.insert(timer);
    timer->async_wait([timers, timer, work](auto error) {
      timers->pending.erase(timer);
      if (!error) work();
    });
  });
}

void AsioExecutor::ForgetTimers() {
  asio::post(strand_, [timers = timers_] {
    timers->forgotten = true;
    for (const auto& timer : timers->pending) timer->cancel();
  });
}

}  // namespace aio
