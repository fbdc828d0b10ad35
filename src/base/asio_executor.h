// SPDX-License-Identifier: Apache-2.0
//
// The production Executor: a strand of an Asio context, so its tasks never
// overlap however many threads run the context.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>

#include "base/executor.h"

namespace aio {

class AsioExecutor : public Executor {
 public:
  // `context` must outlive this object and every task posted to it.
  explicit AsioExecutor(boost::asio::any_io_executor context);

  Time Now() const override;
  void Post(std::function<void()> work) override;
  void PostAt(Time when, std::function<void()> work) override;

  // Forgets what PostAt was given and is not due yet, and what it will be
  // given: who waits until the context has no more work would wait for that,
  // too. Any thread.
  void ForgetTimers();

 private:
  struct Timers;

  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::shared_ptr<Timers> timers_;  // used on strand_ only
};

}  // namespace aio
