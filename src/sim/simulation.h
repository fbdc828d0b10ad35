// SPDX-License-Identifier: Apache-2.0
//
// A workload through the production orchestrator, policies and scheduler on
// simulated devices: clients that stream, give up and come back, on virtual
// time. The same options give the same report, to the byte.
//
// Thread safety: none; Run is one call.
// See docs/simulator.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/quality.h"
#include "sim/report.h"
#include "sim/sim_backend.h"
#include "sim/workload.h"

namespace aio::sim {

struct SimDevice {
  std::string name;
  std::vector<SimModel> models;
  SimBackend::Options options;
  // Whether its figures come from a machine that they were compared with.
  bool calibrated = false;
  std::string errors;  // how far they were from it, if it is calibrated
};

// Something that happens to a device.
struct Fault {
  enum class What : uint8_t { kGone, kBack, kSpeed };
  Time when{};
  size_t device = 0;
  What what = What::kGone;
  double speed = 1;  // of kSpeed
};

struct SimulationOptions {
  std::vector<SimDevice> devices;
  std::vector<std::string> variants;  // in the order of the orchestrator
  std::string policy = "paper";
  std::string small, large;  // of the policy; empty: by bytes
  core::QualityTable quality;
  WorkloadOptions workload;
  std::vector<Fault> faults;
  int requests_max = 1 << 20;  // in flight; past it 429
  // How often the text probe names the right intent, and how sure it says it
  // is. The defaults are ours on prompts of its own sources (docs/probe.md).
  double probe_right = 0.93;
  double probe_sure = 0.9;
  uint64_t seed = 1;
  // Called now and then with the requests that have ended.
  std::function<void(int done)> progress;
};

// kInvalidArgument for a policy or variants that are not there.
Result<Report> Simulate(SimulationOptions options);

// What sending `share` of the requests to the smaller of two models can gain at
// most in tokens a second over the larger alone, where each step of `columns`
// sequences takes what their tables say: 1.24 is 24 %.
double RoutingCeiling(const StepCost& small, const StepCost& large,
                      double share, int columns);

}  // namespace aio::sim
