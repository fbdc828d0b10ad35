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

struct StepCost {
  // By columns, at an empty context; `coarse`: of steps that read 4 bits only.
  cost::StepTable table;
  std::optional<cost::StepTable> coarse = {};
  // Launching a step takes so long whatever is in it; the device works beside.
  double host_seconds = 0;
  // Added to each step, and for each token drawn: planning, sampling.
  double step_seconds = 0;
  double row_seconds = 0;
  // Columns that a step of decoding may have, ascending: others are padded up
  // to the next (graphs that were captured); past the last, or empty: any.
  std::vector<int> sizes = {};

  // `rows`: tokens drawn. `prefill`: some sequence has more than one column,
  // so nothing is padded.
  double Seconds(int columns, int64_t context_tokens, int rows, bool prefill,
                 bool is_coarse) const;
};

}  // namespace aio::sim
