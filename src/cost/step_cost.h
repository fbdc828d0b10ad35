// SPDX-License-Identifier: Apache-2.0
//
// What a model's steps take on a device, in seconds, by what is in them: where
// the simulator has no forward pass to run. docs/simulator.md says what is left
// out.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cost/step_table.h"

namespace aio::cost {

// What is in a step.
struct StepSize {
  int columns = 1;
  int64_t context_tokens = 0;  // of all its sequences
  bool prefill = false;        // some sequence has more than one column
  bool coarse = false;         // all columns have 4 bits of nested weights
  int longest = 1;             // columns of one sequence
  // Of sequences with several columns: each column with each token up to it.
  double pairs = 0;

  // One slice more: `count` columns from position `begin`.
  void Add(int begin, int count) {
    context_tokens += begin + count;
    if (count == 1) return;
    prefill = true;
    longest = std::max(longest, count);
    pairs += (begin + 0.5 * count) * count;
  }
};

struct StepCost {
  // By columns, at an empty context; `coarse`: of steps that read 4 bits only.
  StepTable table;
  std::optional<StepTable> coarse = {};
  // Launching a step takes so long whatever is in it; the device works beside.
  double host_seconds = 0;
  // Columns that a step of decoding may have, ascending: others are padded up
  // to the next (graphs that were captured); past the last, or empty: any.
  std::vector<int> sizes = {};

  // A step with prompts takes what one prompt of as many columns would, but for
  // the pairs: several prompts have fewer, and chunks of long ones more. Never
  // less than its longest slice alone.
  double Seconds(const StepSize& step) const;
};

}  // namespace aio::cost
