// SPDX-License-Identifier: Apache-2.0
//
// Where the time of a forward pass goes, by kinds of work that follow each
// other on one thread.
//
// Thread safety: none; one thread's.
// Cost: reads the clock once a lap, nothing if it is off.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "model/forward.h"

namespace aio::model {

enum class Stage : uint8_t { kMatMul, kAttention, kNorms, kMeeting };
inline constexpr std::array<const char*, 4> kStageNames = {
    "matmul", "attention", "norms, rope, codes", "waiting for threads"};

class StageClock {
 public:
  explicit StageClock(bool on) : on_(on) {}
  void Start() {
    if (on_) last_ = std::chrono::steady_clock::now();
  }
  // What has passed since the last call belongs to `stage`.
  void Lap(Stage stage) {
    if (!on_) return;
    const auto now = std::chrono::steady_clock::now();
    seconds_[static_cast<size_t>(stage)] +=
        std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  std::vector<StageTime> Times() const {
    std::vector<StageTime> times;
    for (size_t i = 0; i < seconds_.size() && on_; ++i) {
      times.push_back({kStageNames[i], seconds_[i]});
    }
    return times;
  }

 private:
  bool on_;
  std::chrono::steady_clock::time_point last_;
  std::array<double, kStageNames.size()> seconds_{};
};

}  // namespace aio::model
