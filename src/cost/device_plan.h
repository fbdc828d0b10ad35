// SPDX-License-Identifier: Apache-2.0
//
// Which variants of a device are worth keeping at work for the traffic it has.
//
// One more request never sees this: joining a model that is at work is nearly
// free, so two models stay at work where one would do, each step of which holds
// up everybody. What requests can do without is only seen for all of them
// together (and so are views: one sequence that reads 8 bits makes a step read
// them for all, and then nobody gains by reading 4): for each set of variants,
// what a token of the traffic would take.
//
// Thread safety: pure functions. Cost: O(2^variants * classes).
// See docs/cost_model.md, "The device's plan".
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cost/step_cost.h"

namespace aio::cost {

struct PlanVariant {
  const StepCost* steps = nullptr;  // REQUIRED
  size_t model = 0;                 // views of one are stepped together
  bool coarse = false;              // reads 4 bits
  int sequences_max = 32;           // of the model at once; others wait
};

// Requests that the same variants are good enough for.
struct TrafficClass {
  std::vector<bool> good;  // [variant]
  double share = 1;        // of the requests, relative to the other classes'
  double prompt_tokens = 1, output_tokens = 1;  // means
};

// More are not planned: all stay at work.
inline constexpr size_t kPlanVariantsMost = 6;

// Device seconds of an average request, with `in_flight` of them at once, if
// only the variants `at_work` are; infinite if some class has nobody then.
double SecondsARequest(std::span<const PlanVariant> variants,
                       std::span<const TrafficClass> classes,
                       const std::vector<bool>& at_work, double in_flight);

// [variant] whether to keep it at work: those that classes go to where they may
// go anywhere, or fewer if that saves 2 % or more. All where there is no
// traffic, and for one request at a time: it holds nobody up, and its own price
// is better than the mean of its class.
std::vector<bool> VariantsAtWork(std::span<const PlanVariant> variants,
                                 std::span<const TrafficClass> classes,
                                 double in_flight);

}  // namespace aio::cost
