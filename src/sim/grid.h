// SPDX-License-Identifier: Apache-2.0
//
// The comparison: one workload at several loads through several contenders on
// one simulated device, each pair a simulation of its own. All contenders get
// the same requests in the same order.
//
// Thread safety: RunGrid simulates on several threads and is one call; the rest
// are pure functions. The same options give the same grid, to the bit.
// See docs/mixed.md.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/report.h"
#include "sim/simulation.h"

namespace aio::sim {

struct Contender {
  std::string name;
  std::string policy;                 // "static:large"
  std::vector<std::string> variants;  // that it may choose from
  double quality_floor = 0.97;
  std::optional<core::Strategy> strategy = {};  // absent: drafts where they pay
  bool model_probe = false;                     // may be asked
  bool oracle = false;                          // knows intents and lengths
};

// What the variants of a device are to a comparison.
struct GridVariants {
  std::string small, large;
  std::vector<std::string> others;  // such as large at 4 bits
};

// Static ones, small with lookup, random, the paper's rule, marginal with its
// ablations and at each floor, and at each floor an oracle. The first floor is
// that of the ablations. With `probe`, those that can ask the model probe may.
std::vector<Contender> Contenders(const GridVariants& variants,
                                  const std::vector<double>& floors,
                                  bool probe);

struct GridLoad {
  int clients = 0;           // closed loop; else:
  double share = 0;          // of capacity, arriving by themselves,
  bool bursts = false;       // as bunched as another trace
  std::string Name() const;  // "4 clients", "0.7 Poisson", "0.7 bursts"
};

struct GridOptions {
  // Devices, variants, quality, workload, seed and probe; policy and all that a
  // contender says are its own.
  SimulationOptions base;
  GridVariants variants;
  std::vector<Contender> contenders;
  std::vector<int> clients = {1, 2, 4, 8, 16};
  std::vector<double> shares = {0.3, 0.5, 0.7, 0.9, 1.1, 1.5};
  std::vector<double> arrivals;  // of a trace with bursts; empty: Poisson alone
  int threads = 1;
  std::function<void(int done, int all)> progress;  // on any of the threads
};

struct Grid {
  std::string device, workload;
  GridVariants variants;
  // Requests a second of static large with 16 clients.
  double capacity = 0;
  std::vector<Contender> contenders;
  std::vector<GridLoad> loads;
  std::vector<std::vector<Report>> reports;  // [load][contender]
  std::vector<std::string> notes;            // what is assumed
};

Result<Grid> RunGrid(GridOptions options);

// What the grid says of the contender `c` under load `l`, in tokens a second
// over another's: 1.1 is ahead by 10 %.
struct GridVerdict {
  double over_large = 0;  // static large
  double over_paper = 0;
  // The best that knows no more than it and is as good: at most kQualityEqual
  // below on average, and twice that for any intent. 1 if it is itself.
  double over_best = 0;
  std::string best;
  double over_oracle = 0;  // at the same floor; 0: there is none
  double quality_gap = 0;  // of static large, over its own
};
inline constexpr double kQualityEqual = 0.005;
GridVerdict VerdictOf(const Grid& grid, size_t load, size_t contender);

// Over all loads, of one contender.
struct GridSummary {
  std::string contender;
  double best_worst = 0;     // least over_best
  std::string best_load;     // where, and
  std::string best_name;     // behind whom
  double paper_most = 0;     // most over_paper with 4 to 16 clients
  double oracle_worst = 0;   // least over_oracle
  double large_at_one = 0;   // over_large with one client
  double quality_least = 0;  // least quality less static large's
  double probe_most = 0;  // of all requests' time, waiting for the model probe
};
std::vector<GridSummary> SummariesOf(const Grid& grid);

std::string GridTable(const Grid& grid);
boost::json::object GridJson(const Grid& grid);
// A page of its own, nothing loaded from elsewhere.
std::string GridHtml(const std::vector<Grid>& grids);

}  // namespace aio::sim
