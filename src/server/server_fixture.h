// SPDX-License-Identifier: Apache-2.0
//
// For tests: a real server on a loopback port with a real orchestrator, a
// backend whose answers the test gives by hand from its own thread (as an
// engine thread would), and a plain blocking HTTP client.
//
// Thread safety: HoldBackend any thread; the rest the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/asio_executor.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/backend.h"
#include "core/echo_backend.h"
#include "orchestrator/orchestrator.h"
#include "server/server.h"

namespace aio::server {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Answers when the test says so. A request that is cancelled ends as a real
// engine would end it.
class HoldBackend : public core::Backend {
 public:
  struct Run {
    std::shared_ptr<const core::Request> request;
    core::Plan plan;
    std::shared_ptr<core::Sink> sink;

    void Say(const std::string& text) {
      if (!std::exchange(started, true)) {
        sink->OnStart({plan.variant, plan.strategy, "hold", "", "", 0});
      }
      core::Delta delta;
      delta.text = text;
      sink->OnDelta(std::move(delta));
    }
    void Finish() {
      core::Done done;
      done.finish = {core::FinishReason::kStop};
      std::exchange(sink, nullptr)->OnDone(done);
    }
    void Fail(ErrorCode code) {
      std::exchange(sink, nullptr)->OnDone(Error{code, "held", ""});
    }
    bool started = false;
  };

  core::Snapshot View(std::string_view) const override { return {}; }
  void Peek(std::shared_ptr<const core::Request>, std::string_view,
            std::optional<core::Thinking>, PeekDone done) override {
    done(core::PromptSize{1, 0, true, nullptr});
  }
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override {
    const std::lock_guard lock(mutex_);
    runs_.push_back({std::move(request), std::move(plan), std::move(sink)});
    changed_.notify_all();
  }
  void Cancel(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    cancels_.emplace_back(id);
    for (Run& run : runs_) {
      if (run.sink && run.request->id == id) run.Fail(ErrorCode::kCancelled);
    }
    changed_.notify_all();
  }
  void Score(core::ScoreRequest, Time, ScoreDone done) override {
    done(Error{ErrorCode::kUnsupported, "hold", ""});
  }

  // The next request to arrive; the test fails if none does.
  Run Next() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 20s, [&] { return !runs_.empty(); }));
    if (runs_.empty()) return {};
    Run run = std::move(runs_.front());
    runs_.erase(runs_.begin());
    return run;
  }
  bool WaitForCancel(const std::string& id) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] {
      for (const std::string& c : cancels_) {
        if (c == id) return true;
      }
      return false;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Run> runs_;  // those that Next has not handed out
  std::vector<std::string> cancels_;
};

struct Response {
  int status = 0;                             // 0: the connection ended first
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;                           // with chunks put together
};

// A blocking client that sends exactly the bytes it is told to.
class Client {
 public:
  explicit Client(uint16_t port, int receive_bytes = 0);
  void Send(std::string_view bytes);
  // Reads one response; `head` says that none has a body.
  Response Read(bool head = false);
  Response Ask(std::string_view method, const std::string& path,
               const std::string& body = "", const std::string& fields = "");
  // Until `text` has come in (true) or the connection has ended.
  bool ReadUntil(const std::string& text);
  // True if the server ends the connection.
  bool Ended();
  void Close();

 private:
  bool More();
  std::string Line();
  std::string Take(size_t size);
  std::string ReadChunks();

  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_;
  std::string data_;  // received and not yet read
};

std::string Post(const std::string& path, const std::string& body,
                 const std::string& fields = "");
std::string ChatBody(const std::string& text, const std::string& fields = "");

class ServerTest : public testing::Test {
 protected:
  ServerTest();
  ~ServerTest() override;

  // Everything but the server: parts_.
  void Make();
  // With the variants `echo` and `hold`; "auto" goes to the first.
  void Start();
  void Stop();
  Client Connect() { return Client(server_->port()); }
  // The value of a series of /metrics; -1 if there is none.
  double Metric(const std::string& series);
  // Asks /metrics again until the series has the value, for 20 s.
  bool Becomes(const std::string& series, double value);

  config::Server options_;
  Parts parts_;
  orchestrator::Options orchestrator_options_;
  orchestrator::TextProbe text_probe_;
  std::shared_ptr<HoldBackend> hold_ = std::make_shared<HoldBackend>();

  boost::asio::io_context io_;
  Metrics metrics_;
  std::optional<AsioExecutor> executor_;
  std::optional<orchestrator::Orchestrator> orchestrator_;
  std::optional<Server> server_;
  std::thread thread_;
};

}  // namespace aio::server
