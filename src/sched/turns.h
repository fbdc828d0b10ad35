// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is on a device that several models share by time: of those with
// work, the one that has used least for its weight. A model that was idle has
// earned nothing by it: it begins level with those at work. Nor does it pay for
// a time when it had the device to itself: it owes a slice at most.
//
// Weights. With n_m requests and the share x_m of the device, each request of m
// goes 1 / x_m times slower than if m had the device to itself; the sum over
// all requests, n_m / x_m over the models, is least where x_m is in proportion
// to the root of n_m. Equal shares would have a model with sixteen requests
// wait half of the time for one with one. n_m is a mean, over the last thousand
// turns or so, and not of now: what is said of a request when it comes is then
// still so when it goes.
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
  // `requests`: that a model is at work on; 0: has no work.
  int Next(const std::function<int(int model)>& requests);
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
  // Device time is shared in proportion to it; positive.
  double Weight(int model) const {
    return models_[static_cast<size_t>(model)].weight;
  }
  // Of a step of it, as of late; 0: it has had none.
  double StepSeconds(int model) const {
    return models_[static_cast<size_t>(model)].step_seconds;
  }

 private:
  struct Model {
    bool active = false;      // had work when last looked at
    double requests = 0;      // that it has, a mean that forgets; 0: none yet
    double weight = 1;        // by them
    Duration used{};          // device time / weight, as far as turns go
    Duration step_used{};     // of the step under way
    double step_seconds = 0;  // of a step, a mean that forgets
  };

  int Pick(const std::vector<bool>& work);

  std::vector<Model> models_;
  Duration slice_;
  int last_ = 0;  // the model that ran last
};

}  // namespace aio::sched
