// SPDX-License-Identifier: Apache-2.0
//
// What `aio bench sim-error` has found of this machine's models, for `aio
// simulate`: what steps took, and how far the simulator was from the engine.
//
// Thread safety: free functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sim/simulation.h"

namespace aio::cli {

struct Calibration {
  std::vector<cost::StepCost> costs;  // [model of the device] tables alone
  double request_seconds = 0;         // SimBackend::Options
  sim::FigureErrors errors;           // the largest of the workloads
};

// Kept under a key that names machine, build and models.
Result<Calibration> ReadCalibration(const std::string& key);
Result<void> WriteCalibration(const std::string& key, const Calibration& c);

// To a device with as many models as it was measured with; else no change.
void Apply(const Calibration& calibration, sim::SimDevice* device);

}  // namespace aio::cli
