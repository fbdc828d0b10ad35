// SPDX-License-Identifier: Apache-2.0
//
// What one more request costs on a device that is at work: the difference that
// it makes to the steps of its model, the time it takes itself, and how long it
// holds up the others. docs/cost_model.md derives the formulas.
//
// A device's models share its time by their weights (sched/turns.h), and a step
// reads its model's weights once however many sequences are in it. So who joins
// a batch pays for its own columns and context, and who wakes a model for all
// of a step.
//
// Thread safety: pure functions. Cost: O(n log n) in the requests on the
// device.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cost/step_cost.h"

namespace aio::cost {

// A request that is on a model already, running or waiting.
struct Load {
  double tokens_left = 1;      // of its answer, expected
  double context_tokens = 0;   // read by each of its steps
  int prompt_tokens = 0;       // that no step has taken yet
  double prefill_seconds = 0;  // of these, if alone
  bool coarse = false;         // reads 4 bits of nested weights
};

// Weights of a device, which one step reads for all variants that are views of
// them, and who is on them.
struct ModelLoad {
  const StepCost* steps = nullptr;  // REQUIRED
  int sequences_max = 32;           // at once; others wait
  int columns_max = 512;            // of a step
  double slowdown_max = 1.5;        // of steps that prompts ride on
  double slice_seconds = 0.08;      // of a turn of the device
  double turn_weight = 1;           // which shares its time by it
  // Until a step of it may begin that takes in who comes now; negative: nobody
  // can tell.
  double step_in_seconds = -1;
  double run_seconds = 0;  // from then on, before another has its turn
  std::vector<Load> loads;          // oldest first
  // Requests that come to it, as of late: who joins a model that was idle
  // shares what waking it costs.
  double arrivals_per_second = 0;
  double life_seconds = 0;  // of a request there, as of late; 0: not known
};

// A request as far as its price depends on it.
struct Ask {
  size_t model = 0;          // of the device's
  bool coarse = false;       // reads 4 bits of nested weights
  int cached_tokens = 0;     // of the prompt
  int new_tokens = 1;        // of it, to be computed
  double output_tokens = 1;  // expected
  double tokens_per_step = 1;
};

// Seconds.
struct Price {
  double prefill = 0;  // of the device, for the prompt
  double step = 0;     // of the device, for one step of the answer
  double steps = 0;    // of the answer
  double queue = 0;    // until its prompt begins
  double ttft = 0;     // own: queue and prompt, the device shared with others
  double token = 0;    // own: between two tokens
  double others = 0;   // what all others wait longer, summed over them

  double system() const { return prefill + steps * step; }
  double own() const { return ttft + steps * step_own + stairs; }
  double step_own = 0;  // own: between two steps
  // Own: what it would take longer with fewer others, where steps are stairs.
  // Nobody may count on it, so that a busy device never looks the better one.
  double stairs = 0;
};

// REQUIRES: ask.model of `device`; ask's counts not negative.
Price PriceOf(std::span<const ModelLoad> device, const Ask& ask);

// What computing `tokens` of a prompt behind `cached` ones takes alone.
double PrefillSeconds(const ModelLoad& model, bool coarse, int cached,
                      int tokens);

}  // namespace aio::cost
