// SPDX-License-Identifier: Apache-2.0
//
// Virtual time: an Executor whose clock jumps from one task to the next. Tasks
// of one moment run in the order in which they were posted, so the same inputs
// give the same run.
//
// Thread safety: none. Cost: O(log tasks) each.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/executor.h"

namespace aio::sim {

class EventQueue : public Executor {
 public:
  Time Now() const override { return now_; }
  void Post(std::function<void()> work) override {
    PostAt(now_, std::move(work));
  }
  void PostAt(Time when, std::function<void()> work) override {
    events_.push({when < now_ ? now_ : when, posted_++, std::move(work)});
  }

  // Runs the next task; false if there is none.
  bool Step() {
    if (events_.empty()) return false;
    // The top is const, and moving from it does not change its place.
    Event& top = const_cast<Event&>(events_.top());
    now_ = top.when;
    const std::function<void()> work = std::move(top.work);
    events_.pop();
    work();
    return true;
  }
  int64_t ran() const { return posted_ - static_cast<int64_t>(events_.size()); }

 private:
  struct Event {
    Time when;
    int64_t number;
    std::function<void()> work;
    bool operator<(const Event& other) const {  // the queue's top is the last
      return std::pair(when, number) > std::pair(other.when, other.number);
    }
  };
  std::priority_queue<Event> events_;
  Time now_{};
  int64_t posted_ = 0;
};

}  // namespace aio::sim
