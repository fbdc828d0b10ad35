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
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/quality.h"
#include "policy/policies.h"
#include "sim/report.h"
#include "sim/sensing.h"
#include "sim/sim_backend.h"
#include "sim/workload.h"

namespace aio::sim {

struct SimDevice {
  std::string name;
  double price = 1;  // of a second
  std::vector<SimModel> models;
  SimBackend::Options options;
  // How far its figures were from those of the machine itself; absent: they
  // were never compared.
  std::optional<FigureErrors> errors;
};

// Something that happens to a device.
struct Fault {
  enum class What : uint8_t { kGone, kBack, kSpeed };
  Time when{};
  size_t device = 0;
  What what = What::kGone;
  double speed = 1;  // of kSpeed
};

// A prefill of `variant`, which pays for it, and what it says.
struct SimModelProbe {
  std::string variant;
  int tokens_max = 256;       // longer prompts: head and tail
  Duration deadline{};        // 0: none
  double deadline_share = 0;  // orchestrator::Options::probe_deadline_share
  std::vector<ProbeBin> bins = ModelProbeBins();
};

struct SimulationOptions {
  std::vector<SimDevice> devices;
  std::vector<std::string> variants;  // in the order of the orchestrator
  std::string policy = "paper";
  std::string small, large;  // of the policy; empty: by bytes
  double quality_floor = 0.97;
  std::string objective = "tradeoff";
  core::QualityTable quality;
  WorkloadOptions workload;
  std::vector<Fault> faults;
  int requests_max = 1 << 20;  // in flight; past it 429
  std::vector<ProbeBin> text_probe = TextProbeBins();
  // Asked where the policy wants it; absent: there is none.
  std::optional<SimModelProbe> model_probe;
  // Whether intents and lengths are known, which no policy can: for comparison.
  bool oracle = false;
  uint64_t seed = 1;
  // One JSON line per request (orchestrator/decision_log.h); may be empty.
  std::function<void(std::string)> decision_log;
  // Called now and then with the requests that have ended.
  std::function<void(int done)> progress;
};

// What its policy is made with.
policy::Options RuleOf(const SimulationOptions& options);

// kInvalidArgument for a policy or variants that are not there.
Result<Report> Simulate(SimulationOptions options);

// What sending `share` of the requests to the smaller of two models can gain at
// most in tokens a second over the larger alone, where each step of `columns`
// sequences takes what their tables say: 1.24 is 24 %.
double RoutingCeiling(const cost::StepCost& small, const cost::StepCost& large,
                      double share, int columns);

}  // namespace aio::sim
