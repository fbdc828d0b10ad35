// SPDX-License-Identifier: Apache-2.0
//
// Step costs held against steps that were run, and put right by them.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "cost/step_cost.h"

namespace aio::cost {

struct TimedStep {
  StepSize size;
  double seconds = 0;
};

struct StepErrors {
  int64_t steps = 0;
  double ratio = 1;  // all their seconds over all that was said
  double off = 0;    // median of how far a step is from what was said, a share
};
StepErrors ErrorsOf(const StepCost& cost, std::span<const TimedStep> steps);

// `cost` whose tables say what these steps took: at each width (of prompts, half
// octave) that enough steps had, the mean of how much longer they took (not the median: a queue
// feels the slow ones too); between such widths by a line over the logarithm,
// beyond them as the nearest. What a pair takes is fitted to steps with several
// prompts, or with chunks behind a context, if there are enough. Floors and
// context stay. Without such a width, `cost`.
StepCost Corrected(StepCost cost, std::span<const TimedStep> steps);

}  // namespace aio::cost
