// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is on a device that several models share by time: of those with
// work, the one that has used least. A model that was idle has earned nothing
// by it: it begins level with those at work. Nor does it pay for a time when it
// had the device to itself: it owes a slice at most.
//
// Thread safety: none; the engine thread only.
// Cost: Next is O(models).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/executor.h"

namespace aio::sched {

class Turns {
 public:
  // `slice`: what a model runs before others may.
  Turns(int models, Duration slice)
      : models_(static_cast<size_t>(models)), slice_(slice) {}

  // The model to go next; alike, the one after the last. -1: none has work.
  int Next(const std::function<bool(int model)>& has_work);
  // It has run so long. `step_over`: that was the end of its step.
  void Charge(int model, Duration used, bool step_over);
  // The turn under way: whose it is (-1: nobody's), how long it is in all, and
  // what is left of it.
  struct Turn {
    int model = -1;
    Duration whole{}, left{};
  };
  // When a model's next step begins, and how long it may then go on before
  // another has its turn.
  struct NextStep {
    Duration until{}, run = Duration::max();
  };
  // If all with work go on, and `model` has some. `steps`: what was left, when
  // the turn under way began, of each model's step under way; negative: has no
  // work; 0: between two steps.
  NextStep NextStepOf(int model, const Turn& turn,
                      std::span<const Duration> steps) const;
  // Equal time for all: while the slowest of those at work has one step, how
  // many has this one?
  double StepsPerCycle(int model) const;
  // Of a step of it, as of late; 0: it has had none.
  double StepSeconds(int model) const {
    return models_[static_cast<size_t>(model)].step_seconds;
  }

 private:
  struct Model {
    bool active = false;      // had work when last looked at
    Duration used{};          // device time, as far as turns are concerned
    Duration step_used{};     // of the step under way
    double step_seconds = 0;  // of a step, a mean that forgets
  };

  std::vector<Model> models_;
  Duration slice_;
  int last_ = 0;  // the model that ran last
};

}  // namespace aio::sched
