// SPDX-License-Identifier: Apache-2.0
//
// What a step of one model costs on this device, as measured: seconds by
// columns at an empty context, and what context and prefill add. Plain data and
// the arithmetic on it; who measures is elsewhere. Read by the scheduler, for
// how much prefill fits beside decoding, and by estimates.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace aio::cost {

struct StepTable {
  std::vector<int> columns;  // ascending, >= 1
  std::vector<double>
      seconds;  // [columns], never decreasing; at most a step each
  // KV of one context token read once, all sequences of a step together.
  double kv_seconds_per_context_token = 0;
  // Of one more column past the last entry, where a step is bound by compute.
  double prefill_seconds_per_token = 0;
  // Of a prompt's column with one token before it. Wide entries hold those of
  // one prompt that begins; StepCost counts the others.
  double pair_seconds = 0;

  // A step of `columns` whose sequences have `context_tokens` in all: linear
  // between entries, by the prefill rate past the last, the first below it.
  // REQUIRES: an entry; columns >= 1.
  double Seconds(int columns, int64_t context_tokens) const;
  // c(n) of the docs: a step of n columns over a step of one.
  double C(int n) const;
  // The largest multiple of 8 columns whose step takes at most `factor` times
  // one of `decode_columns`; 0 if not even 8 do. Both at an empty context,
  // which errs on the short side: context adds the same to either.
  int ColumnsWithin(double factor, int decode_columns) const;
};

// A table from measurements: times that noise made decrease are raised to the
// one before. kInvalidArgument if the lists differ in length, are empty or not
// ascending, or if a time is not finite, or negative.
Result<StepTable> Checked(StepTable measured);

}  // namespace aio::cost
