// SPDX-License-Identifier: Apache-2.0
//
// The steps that engines run, kept for whoever compares what they took with
// what was said of them.
//
// Thread safety: any thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cost/step_fit.h"
#include "engine/engine.h"

namespace aio::cli {

using Steps = std::map<std::string, std::vector<cost::TimedStep>>;  // by model

class StepLog {
 public:
  void Add(const engine::StepRecord& record) {
    MutexLock lock(mutex_);
    steps_[std::string(record.model)].push_back({record.size, record.seconds});
  }
  // Since they were last taken.
  Steps Take() {
    MutexLock lock(mutex_);
    return std::exchange(steps_, {});
  }
  double Seconds() const {
    MutexLock lock(mutex_);
    double seconds = 0;
    for (const auto& [model, steps] : steps_) {
      for (const cost::TimedStep& step : steps) seconds += step.seconds;
    }
    return seconds;
  }

 private:
  mutable Mutex mutex_;
  Steps steps_ GUARDED_BY(mutex_);
};

}  // namespace aio::cli
