// SPDX-License-Identifier: Apache-2.0
//
// What a simulation is made of: models loaded on this machine, with the step
// tables that were measured, or a profile of a device that is elsewhere.
//
// Thread safety: free functions.
// See docs/simulator.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "config/config.h"
#include "engine/engine.h"
#include "sim/simulation.h"

namespace aio::cli {

// As the engine would run it. kUnavailable if its steps have no table.
Result<sim::SimModel> SimModelOf(const engine::Model& model);

// The local variants of a config, each device loaded for its step tables and
// let go; calibrated as far as `aio bench sim-error` has been run.
// kInvalidArgument if there are none, or upstreams among them.
struct SimSetup {
  std::vector<sim::SimDevice> devices;
  std::vector<std::string> variants;
  int vocabulary = 0;  // of the model that has the fewest tokens; 0: unknown
  std::vector<std::string> keys;  // [device] of its calibration
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;  // of the first model
  core::QualityTable quality;  // as published, of a device that is elsewhere
};
Result<SimSetup> SetupOfConfig(config::Config config, const Say& say);

// Models of these shapes, "openpangu-1b", side by side on a profile's device,
// with KV in `memory_bytes` less their weights. kNotFound names the nearest.
Result<SimSetup> SetupOfProfile(const std::string& profile,
                                const std::vector<std::string>& shapes,
                                int64_t memory_bytes);

// A trace of Azure's. Errors name the file, and `field` as what is at fault.
Result<std::vector<sim::WorkloadOptions::TraceLine>> ReadTrace(
    const std::string& path, const std::string& field);

}  // namespace aio::cli
