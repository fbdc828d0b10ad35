// SPDX-License-Identifier: Apache-2.0
//
// What `aio bench sim-error` has found of this machine's models, for `aio
// simulate`: what a step takes beside its table, and how far the simulator was
// from the engine.
//
// Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sim/simulation.h"

namespace aio::cli {

struct Calibration {
  // [model of the device] StepCost::step_seconds and row_seconds.
  std::vector<double> step_seconds, row_seconds;
  // The largest of the workloads, as shares; signs dropped.
  double tokens_per_second = 0, ttft_p50 = 0, ttft_p99 = 0, tpot_p50 = 0;
};

// Kept under a key that names machine, build and models.
Result<Calibration> ReadCalibration(const std::string& key);
Result<void> WriteCalibration(const std::string& key, const Calibration& c);

// Of a device with as many models as it was measured with; else not changed.
void Apply(const Calibration& calibration, sim::SimDevice* device);

}  // namespace aio::cli
