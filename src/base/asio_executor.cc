// SPDX-License-Identifier: Apache-2.0
#include "base/asio_executor.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>

namespace aio {
namespace asio = boost::asio;

AsioExecutor::AsioExecutor(asio::any_io_executor context)
    : strand_(asio::make_strand(std::move(context))) {}

Time AsioExecutor::Now() const { return std::chrono::steady_clock::now(); }

void AsioExecutor::Post(std::function<void()> work) {
  asio::post(strand_, std::move(work));
}

void AsioExecutor::PostAt(Time when, std::function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(strand_, when);
  timer->async_wait([timer, work = std::move(work)](auto error) {
    if (!error) work();
  });
}

}  // namespace aio
