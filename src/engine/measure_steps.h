// SPDX-License-Identifier: Apache-2.0
//
// Measures a model's step table on the device it is loaded on, within a time
// limit. A small model's steps are timed whole. Of a large one only as many
// layers as do not fit the caches, then the last and the head; the time of the
// layers stands for those left out. One whole step checks that; if it says
// otherwise, more layers are timed.
//
// Thread safety: none; before the engine's thread starts. Overwrites KV pages.
// See docs/kv_cache.md.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "cost/step_table.h"
#include "model/forward.h"

namespace aio::engine {

struct MeasureOptions {
  // Nothing is begun that is thought to end later than this. What does not fit
  // is left out of the table, the widths that matter least first.
  double seconds_max = 2;
  // Enough samples of the widths were taken once this is spent on them, if each
  // has three: a small model must not start late.
  double seconds_enough = 0.1;
  int64_t cache_bytes = 0;  // of the last level; 0: a usual one
  int logits_max = 1;       // columns of a step that may ask for logits
  uint8_t bits = 8;         // the view of nested weights that columns take
};

struct MeasuredSteps {
  cost::StepTable table;
  int window = 0;  // layers timed of each step; all of them: whole steps
  double whole_ratio = 0;  // a whole step of one column over its estimate; 0:
                           // not checked, as it would take too long
  double seconds = 0;      // that measuring took
  bool wide = true;        // as wide as steps of prompts, or as there can be
  double spread = 1;       // of a width's samples the median over the best

  // Else something else had the machine meanwhile: it took steps that did not
  // agree, or the time for all but narrow ones.
  bool steady() const {
    const bool agrees =
        whole_ratio == 0 || (whole_ratio > 0.8 && whole_ratio < 1.25);
    return agrees && wide && spread < 1.5;
  }
};

// `now` tells seconds. kInternal if the clock runs backwards.
Result<MeasuredSteps> MeasureSteps(model::Forward* forward,
                                   const MeasureOptions& options,
                                   const std::function<double()>& now);

// Of one column, as of now: whether a table that was kept still holds. Four
// steps, or 20 ms of them. REQUIRES: the clock runs.
double StepSeconds(model::Forward* forward, const MeasureOptions& options,
                   const std::function<double()>& now);

}  // namespace aio::engine
