// SPDX-License-Identifier: Apache-2.0
#include "eval/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace aio::eval {
namespace {

// Answers every request with its task's id on another thread, once `hold` many
// wait; "fail" in the id fails it.
class Server {
 public:
  ~Server() {
    for (std::thread& t : threads_) t.join();
  }
  void Ask(const Task& task, const std::string& contender, AskDone done) {
    MutexLock lock(mutex_);
    asked.push_back(contender + "/" + task.id);
    waiting_.push_back({task.id, std::move(done)});
    running_max = std::max(running_max, ++running_);
    if (static_cast<int>(waiting_.size()) >= hold) Release();
  }
  void Cancel() {
    MutexLock lock(mutex_);
    ++cancels;
    for (auto& [id, done] : waiting_) {
      Later([done = std::move(done)] {
        done(Error{ErrorCode::kCancelled, "cancelled", ""});
      });
    }
    waiting_.clear();
  }

  int hold = 1;
  std::vector<std::string> asked;
  int running_max = 0;
  int cancels = 0;

 private:
  void Release() REQUIRES_LOCK(mutex_) {
    for (auto& [id, done] : waiting_) {
      Later([this, id = id, done = std::move(done)] {
        {
          MutexLock lock(mutex_);
          --running_;
        }
        if (id.find("fail") != std::string::npos) {
          return done(Error{ErrorCode::kUnavailable, "no " + id, ""});
        }
        Reply reply;
        reply.text = id;
        reply.served = "small";
        reply.usage.completion_tokens = 2;
        done(std::move(reply));
      });
    }
    waiting_.clear();
  }
  void Later(std::function<void()> work) REQUIRES_LOCK(mutex_) {
    threads_.emplace_back(std::move(work));
  }

  Mutex mutex_;
  int running_ GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<std::string, AskDone>> waiting_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

class RunTest : public testing::Test {
 protected:
  void AddTask(const std::string& id) {
    Task task;
    task.id = id;
    task.intent = core::Label::kCode;
    tasks_.push_back(task);
  }
  std::vector<Job> Jobs(const std::vector<std::string>& contenders) {
    std::vector<Job> jobs;
    for (const std::string& c : contenders) {
      for (const Task& task : tasks_) jobs.push_back({&task, c});
    }
    return jobs;
  }
  Parts MakeParts() {
    Parts parts;
    parts.ask = [this](const Task& task, const std::string& contender,
                       AskDone done) {
      server_.Ask(task, contender, std::move(done));
    };
    parts.cancel = [this] { server_.Cancel(); };
    parts.check = [](const Task& task,
                     std::string_view answer) -> Result<Verdict> {
      if (task.id.find("broken") != std::string::npos) {
        return Error{ErrorCode::kUnavailable, "no python", ""};
      }
      return Verdict{answer == task.id && task.id != "wrong", ""};
    };
    parts.record = [this](const Record& record) -> Result<void> {
      records_[record.contender + "/" + record.task] = record;
      return {};
    };
    return parts;
  }

  std::vector<Task> tasks_;
  Server server_;
  std::map<std::string, Record> records_;
};

TEST_F(RunTest, PutsEveryTaskToEveryContender) {
  for (const char* id : {"a", "b", "wrong", "c"}) AddTask(id);
  RunOptions options;
  options.session = 3;
  Runner runner(MakeParts(), options);
  ASSERT_TRUE(runner.Run(Jobs({"x", "y"})));
  ASSERT_EQ(records_.size(), 8u);
  EXPECT_TRUE(records_["x/a"].right);
  EXPECT_FALSE(records_["y/wrong"].right);
  EXPECT_EQ(records_["y/c"].answer, "c");
  EXPECT_EQ(records_["y/c"].session, 3);
  EXPECT_EQ(records_["y/c"].usage.completion_tokens, 2);
  EXPECT_EQ(records_["y/c"].intent, core::Label::kCode);
  EXPECT_EQ(server_.running_max, 1);
  EXPECT_EQ(server_.asked.front(), "x/a");
  EXPECT_EQ(server_.asked.back(), "y/c");
}

TEST_F(RunTest, KeepsAsManyRequestsRunningAsItMay) {
  for (int i = 0; i < 9; ++i) AddTask(std::to_string(i));
  server_.hold = 3;  // nobody is answered before three have come
  RunOptions options;
  options.parallel = 3;
  options.checkers = 2;
  Runner runner(MakeParts(), options);
  ASSERT_TRUE(runner.Run(Jobs({"x"})));
  EXPECT_EQ(records_.size(), 9u);
  EXPECT_EQ(server_.running_max, 3);
}

TEST_F(RunTest, AFailedRequestOrCheckerIsAResultOfItsOwn) {
  for (const char* id : {"a", "fail", "broken", "b"}) AddTask(id);
  Runner runner(MakeParts(), {});
  ASSERT_TRUE(runner.Run(Jobs({"x"})));
  ASSERT_EQ(records_.size(), 4u);
  EXPECT_EQ(records_["x/fail"].error, "Unavailable: no fail");
  EXPECT_EQ(records_["x/broken"].error, "checker: no python");
  EXPECT_FALSE(records_["x/broken"].right);
  EXPECT_EQ(records_["x/broken"].answer, "broken");
  EXPECT_TRUE(records_["x/b"].right);
}

TEST_F(RunTest, StopsWhereAContenderAnswersNothing) {
  for (int i = 0; i < 50; ++i) AddTask("fail" + std::to_string(i));
  RunOptions options;
  options.failures_max = 5;
  Runner runner(MakeParts(), options);
  const auto ran = runner.Run(Jobs({"x"}));
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message,
            "the first 5 requests to 'x' failed, so no more are sent; the "
            "last: Unavailable: no fail4");
  EXPECT_EQ(records_.size(), 5u);
}

TEST_F(RunTest, GoesOnWhereAContenderHasAnsweredOnce) {
  AddTask("a");
  for (int i = 0; i < 50; ++i) AddTask("fail" + std::to_string(i));
  RunOptions options;
  options.failures_max = 5;
  Runner runner(MakeParts(), options);
  EXPECT_TRUE(runner.Run(Jobs({"x"})));
  EXPECT_EQ(records_.size(), 51u);
}

TEST_F(RunTest, StopCancelsWhatRunsAndRecordsNothingOfIt) {
  for (int i = 0; i < 9; ++i) AddTask(std::to_string(i));
  Parts parts = MakeParts();
  Runner* running = nullptr;
  parts.record = [&](const Record& record) -> Result<void> {
    records_[record.task] = record;
    server_.hold = 100;  // nobody is answered any more
    if (records_.size() == 2) running->Stop();
    return {};
  };
  RunOptions options;
  options.parallel = 2;
  options.checkers = 0;
  server_.hold = 2;
  Runner runner(std::move(parts), options);
  running = &runner;
  const auto ran = runner.Run(Jobs({"x"}));
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(server_.cancels, 1);
  EXPECT_EQ(records_.size(), 2u);
}

TEST_F(RunTest, AFullDiskEndsTheRunWithItsError) {
  for (int i = 0; i < 9; ++i) AddTask(std::to_string(i));
  Parts parts = MakeParts();
  int kept = 0;
  parts.record = [&](const Record&) -> Result<void> {
    if (++kept == 4) return Error{ErrorCode::kUnavailable, "full", ""};
    return {};
  };
  Runner runner(std::move(parts), {});
  const auto ran = runner.Run(Jobs({"x"}));
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "full");
  EXPECT_EQ(kept, 4);
}

TEST_F(RunTest, NothingToDoIsDone) {
  Runner runner(MakeParts(), {});
  EXPECT_TRUE(runner.Run({}));
}

}  // namespace
}  // namespace aio::eval
