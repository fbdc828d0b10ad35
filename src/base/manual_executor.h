// SPDX-License-Identifier: Apache-2.0
//
// An Executor turned by hand, for tests and simulations: nothing runs and no
// time passes until RunNext(), Run() or Advance(); ties run in the order
// posted.
//
// Thread safety: none. Cost: O(log tasks) each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "base/executor.h"

namespace aio {

class ManualExecutor : public Executor {
 public:
  Time Now() const override { return now_; }
  void Post(std::function<void()> work) override {
    PostAt(now_, std::move(work));
  }
  void PostAt(Time when, std::function<void()> work) override {
    tasks_.emplace(std::pair{when < now_ ? now_ : when, sequence_++},
                   std::move(work));
  }

  // Moves time to the next task, if it is not due yet, and runs it. False if
  // there is none.
  bool RunNext() {
    if (tasks_.empty()) return false;
    auto node = tasks_.extract(tasks_.begin());
    now_ = node.key().first;
    node.mapped()();
    return true;
  }

  // Runs what is due now, and what that posts for now. Returns how many ran.
  int Run() {
    int count = 0;
    while (!tasks_.empty() && tasks_.begin()->first.first <= now_) {
      RunNext();
      ++count;
    }
    return count;
  }

  // Moves time forward, stopping at each task on the way.
  void Advance(Duration d) {
    const Time end = now_ + d;
    Run();
    while (!tasks_.empty() && tasks_.begin()->first.first <= end) RunNext();
    now_ = end;
  }

  uint64_t posted() const { return sequence_; }  // tasks, so far

 private:
  Time now_{};
  uint64_t sequence_ = 0;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> tasks_;
};

}  // namespace aio
