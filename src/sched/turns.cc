// SPDX-License-Identifier: Apache-2.0
#include "sched/turns.h"

#include <algorithm>
#include <optional>

namespace aio::sched {
namespace {

// Weight of the newest step in the mean of their times.
constexpr double kStepWeight = 0.1;

}  // namespace

int Turns::Next(const std::function<bool(int model)>& has_work) {
  const int count = static_cast<int>(models_.size());
  std::optional<Duration> level;
  std::vector<bool> work;
  for (int i = 0; i < count; ++i) {
    Model& m = models_[static_cast<size_t>(i)];
    work.push_back(has_work(i));
    m.active = m.active && work.back();
    if (m.active) level = std::min(level.value_or(m.used), m.used);
  }
  const int last = last_;
  const Model* next = nullptr;
  for (int i = 1; i <= count; ++i) {
    const int at = (last + i) % count;
    if (!work[static_cast<size_t>(at)]) continue;
    Model& m = models_[static_cast<size_t>(at)];
    if (!m.active && level) {
      m.used = std::clamp(m.used, *level, *level + slice_);
    }
    m.active = true;
    if (next != nullptr && next->used <= m.used) continue;
    next = &m;
    last_ = at;
  }
  return next == nullptr ? -1 : last_;
}

void Turns::Charge(int model, Duration used, bool step_over) {
  Model& m = models_[static_cast<size_t>(model)];
  m.used += used;
  m.step_used += used;
  if (!step_over) return;
  const double took = Seconds(m.step_used);
  m.step_seconds = m.step_seconds == 0 ? took
                                       : m.step_seconds * (1 - kStepWeight) +
                                             took * kStepWeight;
  m.step_used = Duration(0);
}

double Turns::StepsPerCycle(int model) const {
  const double mine = models_[static_cast<size_t>(model)].step_seconds;
  double slowest = mine;
  for (const Model& other : models_) {
    if (other.active) slowest = std::max(slowest, other.step_seconds);
  }
  return mine > 0 ? slowest / mine : 1;
}

}  // namespace aio::sched
