// SPDX-License-Identifier: Apache-2.0
//
// What the steps of a server take that cannot be asked: learned from how long
// its answers took, beginning with a guess. Two straight lines, each a ridge
// regression towards the guess that forgets:
//
//   seconds per token = a + b * (requests at once - 1) + k * context tokens
//   seconds to the first token = c + p * prompt tokens
//
// Errors count relative to the guess, so a slow server is learned as fast as a
// quick one.
//
// Thread safety: none. Cost: a few dozen operations a sample.
// See docs/fleet.md.
#pragma once

#include <array>
#include <cstddef>

#include "cost/step_cost.h"

namespace aio::cost {

// Ridge regression of N coefficients towards `prior`. Samples count the less
// the older they are, and so does the prior; what is left of it decides in
// which direction nothing was seen, at the scale of what was.
template <size_t N>
class ForgettingFit {
 public:
  using Vector = std::array<double, N>;

  // `weight`: of how many samples the prior is worth; `keep`: of each sample's
  // weight, what the next leaves.
  ForgettingFit(const Vector& prior, double weight, double keep)
      : prior_(prior),
        weight_(weight),
        keep_(keep),
        seen_(weight),
        said_(weight) {}

  // What is not finite teaches nothing.
  void Add(const Vector& x, double y);
  Vector Coefficients() const;

 private:
  Vector prior_;
  double weight_, keep_;
  double seen_, said_;  // sums of y, and of what the prior says
  std::array<Vector, N> xx_{};
  Vector xy_{};
};

class LearnedSteps {
 public:
  struct Options {
    double memory = 64;  // samples; larger: smoother and slower to follow
    double prior = 4;    // samples that the guess is worth
  };
  // `guess` at 1 to `sequences_max` requests at once.
  LearnedSteps(const StepCost& guess, int sequences_max, Options options);
  LearnedSteps(const StepCost& guess, int sequences_max)
      : LearnedSteps(guess, sequences_max, Options()) {}

  // Of an answer: means over its life, of all requests there together.
  struct Answer {
    double requests = 1;
    double context_tokens = 0;
    double seconds_per_token = 0;
  };
  void Learn(const Answer& answer);
  // A prompt that none was ahead of; `tokens` of it were new.
  void LearnPrompt(int tokens, double seconds);

  StepCost Now() const;

 private:
  const int sequences_max_;
  const double unit_;  // seconds: the guess for one request at once
  ForgettingFit<3> token_;
  ForgettingFit<2> prompt_;
};

// Where nothing is known: a 7B on an accelerator, about.
StepCost UnknownSteps();

}  // namespace aio::cost
