// SPDX-License-Identifier: Apache-2.0
#include "base/asio_executor.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <thread>

#include "base/manual_executor.h"

namespace aio {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;

TEST(AsioExecutorTest, TasksOfOneExecutorNeverOverlap) {
  boost::asio::io_context context;
  AsioExecutor executor(context.get_executor());
  int unguarded = 0;
  for (int i = 0; i < 2000; ++i) executor.Post([&] { ++unguarded; });
  std::thread other([&] { context.run(); });
  context.run();
  other.join();
  EXPECT_EQ(unguarded, 2000);
}

TEST(AsioExecutorTest, ForgottenTimersKeepNobodyWaiting) {
  boost::asio::io_context context;
  AsioExecutor executor(context.get_executor());
  std::string ran;
  executor.PostAt(executor.Now(), [&] { ran += "due"; });
  executor.PostAt(executor.Now() + 1h, [&] { ran += "not due"; });
  while (ran.empty()) context.run_one();
  executor.ForgetTimers();
  executor.PostAt(executor.Now() + 1h, [&] { ran += "later"; });
  context.run();
  EXPECT_EQ(ran, "due");
}

TEST(ManualExecutorTest, RunsInTimeOrderAndTiesInPostingOrder) {
  ManualExecutor executor;
  std::string order;
  executor.PostAt(Time(2ms), [&] { order += 'c'; });
  executor.PostAt(Time(1ms), [&] {
    order += 'b';
    executor.PostAt(Time(2ms), [&] { order += 'd'; });
  });
  executor.Post([&] { order += 'a'; });
  executor.Advance(1ms);
  EXPECT_EQ(order, "ab");
  executor.Advance(1ms);
  EXPECT_EQ(order, "abcd");
}

}  // namespace
}  // namespace aio
