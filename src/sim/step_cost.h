// SPDX-License-Identifier: Apache-2.0
//
// What a model's steps take on a device, in seconds: the arithmetic that stands
// where a forward pass would run. docs/simulator.md says what it leaves out.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cost/step_table.h"

namespace aio::sim {

// What is in a step.
struct StepSize {
  int columns = 1;
  int64_t context_tokens = 0;  // of all its sequences
  int rows = 0;                // tokens drawn
  bool prefill = false;        // some sequence has more than one column
  bool coarse = false;         // all columns have 4 bits of nested weights
  // Of sequences with several columns, each with each token before its first:
  // what a chunk of a prompt computes beyond a prompt of its length.
  double pairs = 0;

  // One slice more: `count` columns from position `begin`.
  void Add(int begin, int count) {
    context_tokens += begin + count;
    if (count == 1) return;
    prefill = true;
    pairs += static_cast<double>(begin) * count;
  }
};

struct StepCost {
  // By columns, at an empty context; `coarse`: of steps that read 4 bits only.
  cost::StepTable table;
  std::optional<cost::StepTable> coarse = {};
  // Launching a step takes so long whatever is in it; the device works beside.
  double host_seconds = 0;
  // Added to each step, and for each token drawn: planning, sampling.
  double step_seconds = 0;
  double row_seconds = 0;
  double pair_seconds = 0;  // of StepSize::pairs
  // Columns that a step of decoding may have, ascending: others are padded up
  // to the next (graphs that were captured); past the last, or empty: any.
  std::vector<int> sizes = {};

  double Seconds(const StepSize& step) const;
};

}  // namespace aio::sim
