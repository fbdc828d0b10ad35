// SPDX-License-Identifier: Apache-2.0
//
// How wide a step is that carries prompts beside decoding: the scheduler plans
// by it, and prices expect it.
//
// Thread safety: pure function.
#pragma once

#include <algorithm>

#include "cost/step_table.h"

namespace aio::cost {

// Kernels pass over the weights for this many columns at once: up to the next
// multiple, a column costs next to nothing.
inline constexpr int kPassColumns = 8;
// A prompt beside decoding gets at least so many columns a step, even where the
// step table grants none: its user waits too, and its pages with it.
inline constexpr int kPrefillColumnsMin = 4;

// Columns of a step in which `decoding` sequences have one each, `factor` times
// as long as one without prompts; more where that leaves prompts too few.
inline int ColumnsWithPrompts(const StepTable& table, double factor,
                              int decoding) {
  const int least = (decoding + kPrefillColumnsMin + kPassColumns - 1) /
                    kPassColumns * kPassColumns;
  return std::max(table.ColumnsWithin(factor, decoding), least);
}

}  // namespace aio::cost
