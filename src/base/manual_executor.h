// SPDX-License-Identifier: Apache-2.0
//
// An Executor turned by hand, for tests: nothing runs until Run() or
// Advance(), time moves only in Advance(), ties run in the order posted.
//
// Thread safety: none.
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

  // Runs what is due now, and what that posts for now. Returns how many ran.
  int Run() {
    int count = 0;
    while (!tasks_.empty() && tasks_.begin()->first.first <= now_) {
      auto node = tasks_.extract(tasks_.begin());
      node.mapped()();
      ++count;
    }
    return count;
  }

  // Moves time forward, stopping at each task on the way.
  void Advance(Duration d) {
    const Time end = now_ + d;
    Run();
    while (!tasks_.empty() && tasks_.begin()->first.first <= end) {
      now_ = tasks_.begin()->first.first;
      Run();
    }
    now_ = end;
  }

 private:
  Time now_{};
  uint64_t sequence_ = 0;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> tasks_;
};

}  // namespace aio
