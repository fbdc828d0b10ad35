// SPDX-License-Identifier: Apache-2.0
//
// Real children of a real shell, on an event loop that is run by hand.
#include "upstream/process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/asio_executor.h"
#include "upstream/scripted_upstream.h"

namespace aio::upstream {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

TEST(BackoffTest, DoublesUntilItHasLivedForAWhile) {
  Backoff backoff;
  EXPECT_EQ(backoff.After(0s), 1s);
  EXPECT_EQ(backoff.After(5s), 2s);
  EXPECT_EQ(backoff.After(5s), 4s);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.After(0s), 60s);
  EXPECT_EQ(backoff.After(0s), 60s);
  EXPECT_EQ(backoff.After(60s), 1s);
}

class ProcessTest : public testing::Test {
 protected:
  ProcessTest() : clock_(io_.get_executor()), health_(&io_) {
    folder_ = std::filesystem::temp_directory_path() /
              ("aio-process-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~ProcessTest() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<Process> Make(const std::string& script) {
    Process::Options options;
    options.name = "child";
    options.command = {"sh", "-c", script};
    const std::string url = health_.url();
    options.port = std::stoi(url.substr(url.rfind(':') + 1));
    options.stop_timeout = 100ms;
    options.backoff.shortest = 1ms;
    return std::make_shared<Process>(options, io_.get_executor(), &clock_,
                                     &metrics_);
  }
  void RunUntil(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      if (io_.stopped()) io_.restart();
      io_.run_one_for(20ms);
    }
    ASSERT_TRUE(condition());
  }
  std::string File(const std::string& name) const {
    std::ifstream in(folder_ / name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::string Path(const std::string& name) const { return folder_ / name; }
  void Stop(const std::shared_ptr<Process>& process) {
    bool stopped = false;
    process->Stop([&] { stopped = true; });
    RunUntil([&] { return stopped; });
  }
  static bool Lives(const std::string& pid) {
    return !pid.empty() && ::kill(std::stoi(pid), 0) == 0;
  }

  boost::asio::io_context io_;
  AsioExecutor clock_;
  Metrics metrics_;
  ScriptedUpstream health_;
  std::filesystem::path folder_;
};

TEST_F(ProcessTest, IsReadyWhenItsPortSaysSoAndEndsWithAllItHasStarted) {
  health_.AddAnswer("503 Service Unavailable", "text/plain", "loading");
  health_.AddAnswer("200 OK", "text/plain", "");
  std::optional<bool> ready;
  const auto process = Make("sleep 1000 & echo $! > " + Path("grandchild") +
                            "; echo $$ > " + Path("child") + "; wait");
  process->Start([&](bool is) { ready = is; });
  RunUntil([&] { return ready.has_value(); });
  EXPECT_TRUE(*ready);
  EXPECT_GE(health_.requests().size(), 2u) << "it was asked twice";
  const std::string child = File("child");
  const std::string grandchild = File("grandchild");
  EXPECT_TRUE(Lives(child));
  EXPECT_TRUE(Lives(grandchild));
  Stop(process);
  EXPECT_FALSE(Lives(child));
  RunUntil([&] { return !Lives(grandchild); });
}

TEST_F(ProcessTest, IsStartedAgainWhenItEnds) {
  const auto process = Make("echo x >> " + Path("starts") + "; exit 3");
  std::optional<bool> ready;
  process->Start([&](bool is) { ready = is; });
  RunUntil([&] { return File("starts").size() >= 6; });
  EXPECT_EQ(ready, false);
  Stop(process);
  EXPECT_NE(metrics_.Export().find("aio_process_restarts_total"),
            std::string::npos);
}

TEST_F(ProcessTest, IsKilledIfItDoesNotStop) {
  const auto process = Make("trap '' TERM; echo $$ > " + Path("child") +
                            "; while true; do sleep 0.01; done");
  process->Start([](bool) {});
  RunUntil([&] { return !File("child").empty(); });
  Stop(process);
  EXPECT_FALSE(Lives(File("child")));
}

TEST_F(ProcessTest, SaysThatACommandDoesNotExist) {
  Process::Options options;
  options.name = "nothing";
  options.command = {"/no/such/engine"};
  options.port = 1;
  const auto process =
      std::make_shared<Process>(options, io_.get_executor(), &clock_, nullptr);
  std::optional<bool> ready;
  process->Start([&](bool is) { ready = is; });
  RunUntil([&] { return ready.has_value(); });
  EXPECT_FALSE(*ready);
  Stop(process);
}

TEST_F(ProcessTest, TheNextStartsOnceTheOneBeforeIsReady) {
  for (int i = 0; i < 2; ++i) {
    health_.AddAnswer("503 Service Unavailable", "text/plain", "loading");
  }
  for (int i = 0; i < 2; ++i) health_.AddAnswer("200 OK", "text/plain", "");
  const auto first = Make("echo 1 >> " + Path("order") + "; sleep 1000");
  const auto second = Make("echo 2 >> " + Path("order") + "; sleep 1000");
  bool done = false;
  StartInOrder({first, second}, [&] { done = true; });
  RunUntil([&] { return health_.requests().size() == 2; });
  RunUntil([&] { return File("order") == "1\n"; });
  RunUntil([&] { return done; });
  RunUntil([&] { return File("order") == "1\n2\n"; });
  Stop(first);
  Stop(second);
}

}  // namespace
}  // namespace aio::upstream
