// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_mixed_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <fstream>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "cli/sim_models.h"
#include "eval/json_text.h"
#include "sim/grid.h"
#include "sim/profiles.h"

namespace aio::cli {
namespace {

constexpr std::string_view kCpu = "cpu";

Result<sim::GridVariants> VariantsOf(const sim::SimulationOptions& setup,
                                     const config::Policy& policy) {
  policy::Options rule = sim::RuleOf(setup);
  rule.small = policy.small;
  rule.large = policy.large;
  ASSIGN_OR_RETURN(const policy::Ends ends, EndsToCompare(rule));
  sim::GridVariants out;
  out.small = ends.small;
  out.large = ends.large;
  for (const std::string& name : setup.variants) {
    if (name != out.small && name != out.large) out.others.push_back(name);
  }
  return out;
}

Result<std::vector<double>> ArrivalsOf(const std::string& path) {
  if (path.empty()) return std::vector<double>();
  ASSIGN_OR_RETURN(const auto trace, ReadTrace(path, "bursts"));
  std::vector<double> seconds;
  for (const auto& line : trace) seconds.push_back(line.seconds);
  return seconds;
}

// Intents that nobody has measured count as qa: a contender that leaves them to
// a variant of unknown quality would be compared with nothing.
void FillQuality(core::QualityTable* table, std::vector<std::string>* notes) {
  const auto qa = static_cast<size_t>(core::Label::kQa);
  bool filled = false;
  for (auto& [variant, row] : *table) {
    for (auto& quality : row) {
      if (quality || !row[qa]) continue;
      quality = row[qa];
      filled = true;
    }
  }
  if (filled) {
    notes->push_back("assumed: intents without a measured quality have qa's");
  }
}

// Everything of a grid but its workload.
Result<sim::GridOptions> DeviceOf(const GridFlags& flags,
                                  const std::string& name,
                                  std::vector<std::string>* notes) {
  sim::GridOptions out;
  config::Policy policy;
  config::Probe probe;
  SimSetup setup;
  if (name == kCpu) {
    ASSIGN_OR_RETURN(config::Config config,
                     FindConfig(flags.config, flags.sets));
    policy = config.policy;
    probe = config.probe;
    // Measured in this run, whatever was kept of others.
    for (auto& [key, device] : config.devices) device.step_cache = "off";
    const auto say = [](const std::string& line) { std::cerr << line << "\n"; };
    ASSIGN_OR_RETURN(setup, SetupOfConfig(std::move(config), say));
    setup.quality = policy.quality;
    notes->push_back(
        "step tables of this machine, measured before; errors of the "
        "simulator: aio bench sim-error");
  } else {
    const auto bytes = static_cast<int64_t>(flags.memory_gib * (1 << 30));
    ASSIGN_OR_RETURN(setup, SetupOfProfile(name, flags.models, bytes));
    notes->push_back("assumed: " +
                     std::string(sim::FindProfile(name)->assumptions));
  }
  out.base.devices = std::move(setup.devices);
  out.base.variants = std::move(setup.variants);
  ASSIGN_OR_RETURN(out.variants, VariantsOf(out.base, policy));
  if (!setup.quality.contains(out.variants.large)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("no quality of '{}' is known: contenders can only "
                             "be compared at equal quality; name a "
                             "policy.quality_table",
                             out.variants.large),
                 "policy.quality_table"};
  }
  FillQuality(&setup.quality, notes);
  out.base.quality = std::move(setup.quality);
  out.base.objective = policy.objective;
  out.base.seed = flags.seed;
  out.base.model_probe =
      sim::SimModelProbe{.variant = out.variants.small,
                         .deadline = probe.deadline,
                         .deadline_share = probe.deadline_share};
  out.contenders = sim::Contenders(out.variants, flags.floors, true);
  out.threads =
      static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return out;
}

Result<std::vector<sim::Grid>> Grids(const GridFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<double> arrivals,
                   ArrivalsOf(flags.bursts));
  std::vector<sim::Grid> grids;
  for (const std::string& name : flags.devices) {
    std::vector<std::string> notes;
    ASSIGN_OR_RETURN(sim::GridOptions options, DeviceOf(flags, name, &notes));
    options.arrivals = arrivals;
    for (const std::string& workload : flags.workloads) {
      ASSIGN_OR_RETURN(options.base.workload, sim::NamedWorkload(workload));
      options.base.workload.requests = flags.requests;
      options.base.workload.divide = flags.divide;
      options.base.workload.seed = flags.seed;
      std::optional<Progress> bar;
      options.progress = [&](int done, int all) {
        if (!bar) bar.emplace(0, all);
        bar->Reach(done, fmt::format("simulations, {} on {}", workload, name));
      };
      ASSIGN_OR_RETURN(sim::Grid grid, sim::RunGrid(options));
      grid.notes = notes;
      grids.push_back(std::move(grid));
    }
  }
  return grids;
}

Result<void> Print(const GridFlags& flags,
                   const std::vector<sim::Grid>& grids) {
  if (flags.as_json) {
    boost::json::array list;
    for (const sim::Grid& grid : grids) list.push_back(sim::GridJson(grid));
    std::cout << eval::JsonText(
        boost::json::object{{"benchmark", "mixed, simulated"},
                            {"requests", flags.requests},
                            {"divide", flags.divide},
                            {"seed", flags.seed},
                            {"grids", std::move(list)}});
  } else {
    for (const sim::Grid& grid : grids) {
      std::cout << sim::GridTable(grid) << "\n";
    }
  }
  std::cout.flush();
  if (!std::cout) return Error{ErrorCode::kUnavailable, "cannot write", ""};
  if (flags.html.empty()) return {};
  std::ofstream page(flags.html, std::ios::binary);
  page << sim::GridHtml(grids);
  page.close();
  if (page) return {};
  return Error{ErrorCode::kUnavailable, "cannot write " + flags.html, "html"};
}

}  // namespace

int MixedGrid(const GridFlags& flags) {
  SetLogLevel(LogLevel::kError);
  const auto run = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<sim::Grid> grids, Grids(flags));
    return Print(flags, grids);
  };
  const auto done = run();
  if (done) return 0;
  std::cerr << "aio bench mixed: " << done.error().message << "\n";
  const ErrorCode code = done.error().code;
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kNotFound
             ? 2
             : 1;
}

}  // namespace aio::cli
