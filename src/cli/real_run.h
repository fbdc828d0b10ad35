// SPDX-License-Identifier: Apache-2.0
//
// A simulator's workload through the real engine: its clients on real time.
//
// Thread safety: runs the graph's io on the calling thread; one call at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "core/quality.h"
#include "sim/clients.h"

namespace aio::cli {

// As the engine takes it: in tokens, with what it is to say. `seed` tells texts
// apart: what was asked before is in the engine's cache and not in the
// simulator's. `vocabulary`: SimSetup's.
sim::WorkloadOptions Spelled(sim::WorkloadOptions workload, uint64_t seed,
                             int vocabulary);

struct RealRun {
  double seconds = 0;
  std::vector<sim::ReportRow> variants;  // in their order
  sim::ReportRow all;
};

struct RealOptions {
  std::string policy;
  sim::WorkloadOptions workload;  // spelled
  std::vector<std::string> variants;
  core::QualityTable quality;
  uint64_t seed = 1;
  std::function<void(int ended)> progress;  // may be empty
};

// kInternal if a request fails.
Result<RealRun> RunReal(Graph* graph, RealOptions options);

}  // namespace aio::cli
