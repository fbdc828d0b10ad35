// SPDX-License-Identifier: Apache-2.0
//
// The orchestrator on real threads: callers, executor and backends each on
// their own. Meant for ThreadSanitizer; every request must still end exactly
// once.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "base/asio_executor.h"
#include "base/log.h"
#include "base/random.h"
#include "orchestrator/orchestrator.h"
#include "policy/policies.h"

namespace aio::orchestrator {
namespace {

// Answers on its own strand; about a third of the attempts fail, some of them
// half way, by a draw from the request's id.
class ThreadedBackend : public core::Backend {
 public:
  explicit ThreadedBackend(Executor* executor) : executor_(executor) {}
  core::Snapshot View(std::string_view) const override {
    core::Snapshot s;
    s.admissions = admissions_;
    return s;
  }
  void Peek(std::shared_ptr<const core::Request>, std::string_view,
            std::optional<core::Thinking>, PeekDone done) override {
    executor_->Post([done] {
      core::PromptSize size;
      size.tokens = 5;
      done(size);
    });
  }
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override {
    const uint64_t draw =
        RandomBits(std::hash<std::string>()(request->id), plan.variant.size(),
                   plan.variant == "large");
    executor_->Post([this, request, plan, sink, draw] {
      ++admissions_;
      if (draw % 5 == 0) {
        return sink->OnDone(Error{ErrorCode::kUnavailable, "down", ""});
      }
      sink->OnStart({plan.variant, plan.strategy, "f", "", "", 0});
      core::Delta delta;
      delta.text = "x";
      sink->OnDelta(delta);
      executor_->Post(
          [this, request, sink, draw] { End(*request, sink, draw); });
    });
  }
  void Cancel(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    cancelled_.insert(std::string(id));
  }
  void Score(core::ScoreRequest, Time, ScoreDone done) override {
    done(Error{ErrorCode::kUnsupported, "", ""});
  }

 private:
  void End(const core::Request& request,
           const std::shared_ptr<core::Sink>& sink, uint64_t draw) {
    bool cancelled;
    {
      const std::lock_guard lock(mutex_);
      cancelled = cancelled_.count(request.id) > 0;
    }
    if (cancelled) {
      sink->OnDone(Error{ErrorCode::kCancelled, "cancelled", ""});
    } else if (draw % 7 == 0) {
      sink->OnDone(Error{ErrorCode::kUnavailable, "cut", ""});
    } else {
      core::Done done;
      done.finish = {core::FinishReason::kStop};
      done.usage.completion_tokens = 1;
      sink->OnDone(done);
    }
  }

  Executor* executor_;
  std::atomic<uint64_t> admissions_ = 0;
  std::mutex mutex_;
  std::set<std::string> cancelled_;
};

class CountingSink : public core::Sink {
 public:
  explicit CountingSink(std::atomic<int>* ends) : ends_(ends) {}
  void OnStart(const core::Served&) override { starts_ += 1; }
  void OnDelta(core::Delta) override { EXPECT_EQ(starts_, 1); }
  void OnDone(Result<core::Done>) override {
    EXPECT_LE(starts_, 1);
    EXPECT_EQ(++dones_, 1);
    ++*ends_;
  }

 private:
  std::atomic<int>* ends_;
  int starts_ = 0, dones_ = 0;
};

class ThreadsTest : public testing::TestWithParam<bool> {};

// With `leaves`, the orchestrator goes while requests run.
TEST_P(ThreadsTest, EveryRequestEndsOnceWhoeverCallsFromWhere) {
  const bool leaves = GetParam();
  constexpr int kCallers = 2, kEach = 200;
  SetLogLevel(LogLevel::kOff);
  Metrics metrics;
  std::atomic<int> ends = 0;
  boost::asio::thread_pool threads(3);
  AsioExecutor strand(threads.get_executor());
  AsioExecutor backend_strand(threads.get_executor());
  auto backend = std::make_shared<ThreadedBackend>(&backend_strand);
  Parts parts;
  parts.executor = &strand;
  parts.metrics = &metrics;
  parts.variants = {{"small", "", backend, 4096, 1, 0},
                    {"large", "", backend, 4096, 2, 0}};
  policy::Options choices;
  choices.variants = {{"small", 1}, {"large", 2}};
  parts.policy = *policy::Make("random", choices);
  ModelCost cost;
  cost.steps.table.columns = {1};
  cost.steps.table.seconds = {0.01};
  parts.costs.devices = {{cost, cost}};
  parts.costs.variants = {VariantCost{0, 0}, VariantCost{0, 1}};
  std::atomic<int> lines = 0;
  parts.decision_log = [&lines](std::string) { ++lines; };
  Options options;
  options.requests_max = 100;
  options.peek_deadline = Duration::zero();
  options.guard.share = 1;
  auto orchestrator = std::make_unique<Orchestrator>(parts, options);

  std::vector<std::thread> callers;
  for (int c = 0; c < kCallers; ++c) {
    callers.emplace_back([&, c] {
      for (int i = 0; i < kEach; ++i) {
        auto request = std::make_shared<core::Request>();
        request->id = std::to_string(c) + "-" + std::to_string(i);
        request->model = "auto";
        orchestrator->Handle(request, std::make_shared<CountingSink>(&ends));
        if (i % 3 == 0) orchestrator->Cancel(request->id);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  if (leaves) orchestrator.reset();
  threads.join();  // until nothing is left to do
  EXPECT_EQ(ends, kCallers * kEach);
  if (!leaves) {
    EXPECT_EQ(lines, kCallers * kEach);
  }
}

INSTANTIATE_TEST_SUITE_P(Lifetime, ThreadsTest, testing::Bool());

}  // namespace
}  // namespace aio::orchestrator
