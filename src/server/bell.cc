// SPDX-License-Identifier: Apache-2.0
#include "server/bell.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace aio::server {

namespace net = boost::asio;

void Bell::Ring() {
  if (rung_.exchange(true)) return;
  net::post(executor_, [self = shared_from_this()] { self->timer_.cancel(); });
}

net::awaitable<void> Bell::Wait(Time until) {
  if (rung_.exchange(false)) co_return;
  timer_.expires_at(until);
  boost::system::error_code ignored;
  co_await timer_.async_wait(net::redirect_error(net::use_awaitable, ignored));
  rung_.store(false);
}

}  // namespace aio::server
