// SPDX-License-Identifier: Apache-2.0
//
// OpenAiBackend on several threads, for the thread sanitizer as much as for the
// claims below.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/asio_executor.h"
#include "upstream/openai_backend.h"
#include "upstream/scripted_upstream.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;

struct CountingSink : core::Sink {
  explicit CountingSink(std::atomic<int>* ends) : ends(ends) {}
  void OnStart(const core::Served&) override { EXPECT_FALSE(over.load()); }
  void OnDelta(core::Delta) override { EXPECT_FALSE(over.load()); }
  void OnDone(Result<core::Done>) override {
    EXPECT_FALSE(over.exchange(true)) << "ended twice";
    ends->fetch_add(1);
    ends->notify_all();
  }
  std::atomic<int>* ends;
  std::atomic<bool> over = false;
};

// A context and its threads.
class Threads {
 public:
  explicit Threads(int count) : guard_(io_.get_executor()) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
  }
  ~Threads() {
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }
  asio::io_context& io() { return io_; }

 private:
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::vector<std::thread> threads_;
};

TEST(OpenAiBackendThreadsTest, EveryRequestEndsOnceWhoeverCancels) {
  constexpr int kRequests = 60;
  asio::io_context server_io;
  ScriptedUpstream upstream(&server_io);
  for (int i = 0; i < kRequests; ++i) {
    upstream.AddStream(
        "data: {\"choices\":[{\"index\":0,\"text\":\"a\","
        "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
  }
  OpenAiBackend::Options options;
  options.url = upstream.url();
  options.variants = {{"v", "m"}};
  std::thread server([&] { server_io.run(); });
  {
    Threads threads(3);
    AsioExecutor clock(threads.io().get_executor());
    const auto backend =
        OpenAiBackend::Make(options, threads.io().get_executor(), &clock);
    ASSERT_TRUE(backend);
    std::atomic<int> ends = 0;
    for (int i = 0; i < kRequests; ++i) {
      auto request = std::make_shared<core::Request>();
      request->id = std::to_string(i);
      core::Plan plan;
      plan.variant = "v";
      (*backend)->Start(request, plan, std::make_shared<CountingSink>(&ends));
      if (i % 3 == 0) (*backend)->Cancel(request->id);
      EXPECT_LE((*backend)->View("v").running, kRequests);
    }
    for (int seen = ends; seen < kRequests; seen = ends) ends.wait(seen);
    EXPECT_EQ((*backend)->View("v").running, 0);
    EXPECT_EQ((*backend)->View("v").admissions, uint64_t{kRequests});
  }
  server_io.stop();
  server.join();
}

}  // namespace
}  // namespace aio::upstream
