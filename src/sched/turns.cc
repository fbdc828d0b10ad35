// SPDX-License-Identifier: Apache-2.0
#include "sched/turns.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace aio::sched {
namespace {

// Weight of the newest step in the mean of their times.
constexpr double kStepWeight = 0.1;
// Weight of now in the mean of a model's requests, per turn of the device: a
// few requests have so many steps.
constexpr double kRequestsWeight = 1 / 1024.0;
// No further are turns foreseen.
constexpr int kTurnsMost = 64;

Duration Times(Duration time, double factor) {
  return Duration(std::llround(static_cast<double>(time.count()) * factor));
}

}  // namespace

int Turns::Next(const std::function<int(int model)>& requests) {
  std::vector<bool> work;
  for (size_t i = 0; i < models_.size(); ++i) {
    Model& m = models_[i];
    const int now = requests(static_cast<int>(i));
    work.push_back(now > 0);
    if (now == 0) continue;
    m.requests = m.requests == 0
                     ? now
                     : m.requests + (now - m.requests) * kRequestsWeight;
    m.weight = std::sqrt(m.requests);
  }
  return Pick(work);
}

int Turns::Pick(const std::vector<bool>& work) {
  const int count = static_cast<int>(models_.size());
  std::optional<Duration> level;
  for (size_t i = 0; i < models_.size(); ++i) {
    Model& m = models_[i];
    m.active = m.active && work[i];
    if (m.active) level = std::min(level.value_or(m.used), m.used);
  }
  const int last = last_;
  const Model* next = nullptr;
  for (int i = 1; i <= count; ++i) {
    const int at = (last + i) % count;
    if (!work[static_cast<size_t>(at)]) continue;
    Model& m = models_[static_cast<size_t>(at)];
    if (!m.active && level) {
      m.used = std::clamp(m.used, *level, *level + Times(slice_, 1 / m.weight));
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
  m.used += Times(used, 1 / m.weight);
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
    std::vector<bool> work;
    for (const Duration time : left) work.push_back(time >= Duration(0));
    const int next = ahead.Pick(work);
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
    step.run = std::min(
        step.run, std::max(Times(ahead_of_us, Weight(model)), Duration(0)));
  }
  return step;
}

}  // namespace aio::sched
