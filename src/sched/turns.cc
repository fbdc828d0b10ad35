// SPDX-License-Identifier: Apache-2.0
#include "sched/turns.h"

#include <algorithm>
#include <optional>

namespace aio::sched {
namespace {

// Weight of the newest step in the mean of their times.
constexpr double kStepWeight = 0.1;
// No further are turns foreseen.
constexpr int kTurnsMost = 64;

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

Turns::NextStep Turns::NextStepOf(int model, const Turn& turn,
                                  std::span<const Duration> steps) const {
  Turns ahead = *this;
  std::vector<Duration> left(steps.begin(), steps.end());
  const auto ours = static_cast<size_t>(model);
  left[ours] = std::max(left[ours], Duration(0));
  const auto run = [&](size_t m, Duration time) {
    left[m] = std::max(left[m] - time, Duration(0));
    ahead.Charge(static_cast<int>(m), time, false);
  };
  NextStep step;
  if (turn.model >= 0) {
    run(static_cast<size_t>(turn.model), turn.whole);
    step.until = turn.left;
  }
  for (int i = 0; i < kTurnsMost; ++i) {
    const int next = ahead.Next(
        [&](int m) { return left[static_cast<size_t>(m)] >= Duration(0); });
    const auto n = static_cast<size_t>(next);
    if (n == ours && left[n] == Duration(0)) break;
    if (left[n] == Duration(0)) {
      const double step = models_[n].step_seconds;
      left[n] = step > 0 ? FromSeconds(step) : slice_;
    }
    const Duration time = std::min(left[n], slice_);
    run(n, time);
    step.until += time;
  }
  for (size_t m = 0; m < left.size(); ++m) {
    if (m == ours || left[m] < Duration(0)) continue;
    const Duration ahead_of_us =
        ahead.models_[m].used - ahead.models_[ours].used;
    step.run = std::min(step.run, std::max(ahead_of_us, Duration(0)));
  }
  return step;
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
