// SPDX-License-Identifier: Apache-2.0
#include "sim/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace aio::sim {
namespace {

// Of the closed loop whose throughput is called capacity.
constexpr int kCapacityClients = 16;

std::string Static(const std::string& variant) { return "static:" + variant; }

// "marginal@0.92" for a floor that is not the first.
std::string AtFloor(const std::string& name, double floor, bool first) {
  return first ? name : fmt::format("{}@{:.2f}", name, floor);
}

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

// Only what the contender may use is on the device; the rest of the memory
// stays as it is.
std::vector<SimDevice> DevicesOf(const std::vector<SimDevice>& all,
                                 const std::vector<std::string>& variants) {
  std::vector<SimDevice> devices;
  for (SimDevice device : all) {
    for (SimModel& model : device.models) {
      std::erase_if(model.views, [&](const SimView& view) {
        return !Has(variants, view.variant);
      });
      if (!Has(variants, model.draft)) model.draft.clear();
    }
    std::erase_if(device.models,
                  [](const SimModel& model) { return model.views.empty(); });
    if (!device.models.empty()) devices.push_back(std::move(device));
  }
  return devices;
}

SimulationOptions OptionsOf(const GridOptions& grid, const Contender& contender,
                            const GridLoad& load, double capacity) {
  SimulationOptions options = grid.base;
  options.devices = DevicesOf(grid.base.devices, contender.variants);
  options.variants = contender.variants;
  options.policy = contender.policy;
  const bool both = contender.variants.size() > 1;
  options.small = both ? grid.variants.small : contender.variants.front();
  options.large = both ? grid.variants.large : contender.variants.front();
  options.quality_floor = contender.quality_floor;
  options.oracle = contender.oracle;
  if (!contender.model_probe) options.model_probe.reset();
  options.workload.strategy = contender.strategy;
  options.workload.clients = load.clients;
  options.workload.rate = load.clients > 0 ? 0 : load.share * capacity;
  if (load.bursts) options.workload.arrivals = grid.arrivals;
  options.progress = nullptr;
  return options;
}

std::vector<GridLoad> LoadsOf(const GridOptions& options) {
  std::vector<GridLoad> loads;
  for (const int clients : options.clients)
    loads.push_back({clients, 0, false});
  for (const bool bursts : {false, true}) {
    if (bursts && options.arrivals.empty()) continue;
    for (const double share : options.shares) {
      loads.push_back({0, share, bursts});
    }
  }
  return loads;
}

// All cells, on so many threads; the first error ends it.
class Cells {
 public:
  Cells(const GridOptions& options, Grid* grid)
      : options_(options), grid_(*grid) {
    for (size_t l = 0; l < grid_.loads.size(); ++l) {
      grid_.reports.emplace_back(grid_.contenders.size());
    }
  }
  Result<void> Run() {
    std::vector<std::thread> threads;
    for (int i = 1; i < options_.threads; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    MutexLock lock(mutex_);
    if (error_) return *error_;
    return {};
  }

 private:
  void Work() {
    const size_t columns = grid_.contenders.size();
    const size_t count = grid_.loads.size() * columns;
    for (size_t i = next_++; i < count; i = next_++) {
      auto report =
          Simulate(OptionsOf(options_, grid_.contenders[i % columns],
                             grid_.loads[i / columns], grid_.capacity));
      MutexLock lock(mutex_);
      if (error_) return;
      if (!report) {
        error_ = report.error();
        return;
      }
      grid_.reports[i / columns][i % columns] = *std::move(report);
      ++done_;
      if (options_.progress) {
        options_.progress(done_, static_cast<int>(count));
      }
    }
  }

  const GridOptions& options_;
  Grid& grid_;
  std::atomic<size_t> next_ = 0;
  Mutex mutex_;
  int done_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

size_t IndexOf(const Grid& grid, const std::string& name) {
  const auto found = std::ranges::find(grid.contenders, name, &Contender::name);
  CHECK(found != grid.contenders.end());
  return static_cast<size_t>(found - grid.contenders.begin());
}

double Ratio(const Report& report, const Report& other) {
  const double base = other.all.tokens_per_second;
  return base > 0 ? report.all.tokens_per_second / base : 0;
}

bool AsGood(const ReportRow& other, const ReportRow& mine) {
  for (size_t i = 0; i < core::kLabels; ++i) {
    if (!other.quality_of[i] || !mine.quality_of[i]) continue;
    if (*other.quality_of[i] < *mine.quality_of[i] - 2 * kQualityEqual) {
      return false;
    }
  }
  return other.quality >= mine.quality - kQualityEqual;
}

bool IsMarginal(const Contender& c) {
  return c.policy.starts_with("marginal") && !c.oracle;
}

}  // namespace

std::string GridLoad::Name() const {
  if (clients > 0) {
    return fmt::format("{} client{}", clients, clients == 1 ? "" : "s");
  }
  return fmt::format("{:g} {}", share, bursts ? "bursts" : "Poisson");
}

std::vector<Contender> Contenders(const GridVariants& variants,
                                  const std::vector<double>& floors,
                                  bool probe) {
  using core::Strategy;
  const std::vector<std::string> ends = {variants.small, variants.large};
  std::vector<std::string> all = ends;
  all.insert(all.end(), variants.others.begin(), variants.others.end());
  std::vector<Contender> out;
  for (const std::string& name : all) {
    out.push_back({.name = Static(name),
                   .policy = Static(name),
                   .variants = {name},
                   .strategy = Strategy::kPlain});
  }
  out.push_back({.name = "small+lookup",
                 .policy = Static(variants.small),
                 .variants = {variants.small},
                 .strategy = Strategy::kAuto});
  out.push_back({.name = "random",
                 .policy = "random",
                 .variants = ends,
                 .strategy = Strategy::kPlain});
  out.push_back({.name = "paper",
                 .policy = "paper",
                 .variants = ends,
                 .strategy = Strategy::kPlain,
                 .model_probe = probe});
  for (const char* policy :
       {"marginal:own", "marginal:own+system", "marginal:own+system+others"}) {
    out.push_back({.name = policy,
                   .policy = policy,
                   .variants = all,
                   .quality_floor = floors.front(),
                   .model_probe = probe});
  }
  if (probe) {
    out.push_back({.name = "marginal, no probe",
                   .policy = "marginal",
                   .variants = all,
                   .quality_floor = floors.front()});
  }
  for (const bool oracle : {false, true}) {
    for (const double floor : floors) {
      const bool first = floor == floors.front();
      out.push_back(
          {.name = AtFloor(oracle ? "oracle" : "marginal", floor, first),
           .policy = "marginal",
           .variants = all,
           .quality_floor = floor,
           .model_probe = probe && !oracle,
           .oracle = oracle});
    }
  }
  return out;
}

Result<Grid> RunGrid(GridOptions options) {
  Grid grid;
  grid.device = options.base.devices.front().name;
  grid.workload = options.base.workload.name;
  grid.variants = options.variants;
  grid.contenders = options.contenders;
  grid.loads = LoadsOf(options);
  const Contender& large =
      grid.contenders[IndexOf(grid, Static(options.variants.large))];
  ASSIGN_OR_RETURN(
      const Report full,
      Simulate(OptionsOf(options, large, {kCapacityClients, 0, false}, 0)));
  grid.capacity = full.seconds > 0
                      ? static_cast<double>(full.all.finished) / full.seconds
                      : 0;
  RETURN_IF_ERROR(Cells(options, &grid).Run());
  return grid;
}

GridVerdict VerdictOf(const Grid& grid, size_t load, size_t contender) {
  const std::vector<Report>& row = grid.reports[load];
  const Report& mine = row[contender];
  const Report& large = row[IndexOf(grid, Static(grid.variants.large))];
  GridVerdict v;
  v.over_large = Ratio(mine, large);
  v.over_paper = Ratio(mine, row[IndexOf(grid, "paper")]);
  v.quality_gap = mine.all.quality - large.all.quality;
  v.over_best = 1;
  v.best = grid.contenders[contender].name;
  const Contender& me = grid.contenders[contender];
  for (size_t c = 0; c < row.size(); ++c) {
    const Contender& other = grid.contenders[c];
    if (other.oracle) {
      if (other.quality_floor == me.quality_floor && IsMarginal(me)) {
        v.over_oracle = Ratio(mine, row[c]);
      }
      continue;
    }
    if (!AsGood(row[c].all, mine.all)) continue;
    const double over = Ratio(mine, row[c]);
    if (over >= v.over_best) continue;
    v.over_best = over;
    v.best = other.name;
  }
  return v;
}

std::vector<GridSummary> SummariesOf(const Grid& grid) {
  std::vector<GridSummary> out;
  for (size_t c = 0; c < grid.contenders.size(); ++c) {
    if (!IsMarginal(grid.contenders[c])) continue;
    GridSummary s;
    s.contender = grid.contenders[c].name;
    s.best_worst = s.oracle_worst = s.quality_least = 1e9;
    for (size_t l = 0; l < grid.loads.size(); ++l) {
      const GridVerdict v = VerdictOf(grid, l, c);
      const int clients = grid.loads[l].clients;
      if (v.over_best < s.best_worst) {
        s.best_worst = v.over_best;
        s.best_load = grid.loads[l].Name();
        s.best_name = v.best;
      }
      s.oracle_worst = std::min(s.oracle_worst, v.over_oracle);
      s.quality_least = std::min(s.quality_least, v.quality_gap);
      if (clients == 1) s.large_at_one = v.over_large;
      if (clients >= 4 && clients <= 16) {
        s.paper_most = std::max(s.paper_most, v.over_paper);
      }
      const Report& r = grid.reports[l][c];
      const double requests_seconds =
          r.all.total.mean * static_cast<double>(r.all.total.count);
      if (requests_seconds > 0) {
        s.probe_most =
            std::max(s.probe_most, r.model_probe_seconds / requests_seconds);
      }
    }
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace aio::sim
