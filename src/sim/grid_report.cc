// SPDX-License-Identifier: Apache-2.0
//
// A grid as tables and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <functional>
#include <utility>

#include "eval/table.h"
#include "sim/grid.h"

namespace aio::sim {
namespace {

namespace json = boost::json;

using Rows = std::vector<std::vector<std::string>>;

std::string Percent(double share) { return fmt::format("{:.1f}", 100 * share); }

double WeightsPerToken(const Report& r) {
  return r.all.output_tokens == 0
             ? 0
             : r.all.weight_bytes / static_cast<double>(r.all.output_tokens);
}

std::string Shares(const Report& r) {
  std::string out;
  for (const ReportRow& row : r.variants) {
    out += fmt::format("{}{:.0f}", out.empty() ? "" : "/", 100 * row.share);
  }
  return out;
}

// A row a contender and a column a load.
std::string Matrix(const Grid& grid,
                   const std::function<std::string(const Report&)>& cell) {
  std::vector<std::string> head = {"contender"};
  for (const GridLoad& load : grid.loads) head.push_back(load.Name());
  Rows rows = {std::move(head)};
  for (size_t c = 0; c < grid.contenders.size(); ++c) {
    std::vector<std::string> row = {grid.contenders[c].name};
    for (size_t l = 0; l < grid.loads.size(); ++l) {
      row.push_back(cell(grid.reports[l][c]));
    }
    rows.push_back(std::move(row));
  }
  return eval::AlignColumns(rows, 1);
}

std::string Details(const Grid& grid, size_t load) {
  Rows rows = {{"contender", "quality", "tok/s", "x large", "TTFT p50", "p99",
                "TPOT p50", "p99", "GB/tok", "shares", "probed", "ceiling"}};
  for (size_t c = 0; c < grid.contenders.size(); ++c) {
    const Report& r = grid.reports[load][c];
    const auto ms = [](double seconds) {
      return fmt::format("{:.4g} ms", 1e3 * seconds);
    };
    rows.push_back({grid.contenders[c].name, Percent(r.all.quality),
                    fmt::format("{:.4g}", r.all.tokens_per_second),
                    fmt::format("{:.2f}", VerdictOf(grid, load, c).over_large),
                    ms(r.all.ttft.p50), ms(r.all.ttft.p99), ms(r.all.tpot.p50),
                    ms(r.all.tpot.p99),
                    fmt::format("{:.3g}", WeightsPerToken(r) / 1e9), Shares(r),
                    fmt::format("{}", r.model_probes),
                    r.ceiling > 0 ? fmt::format("{:.2f}", r.ceiling) : "-"});
  }
  return eval::AlignColumns(rows, 1);
}

std::string SummaryText(const GridSummary& s) {
  return fmt::format(
      "{}: {:.2f}x static large with 1 client; at worst {:.2f}x the best of "
      "its quality ({}, behind {}); at most {:.2f}x paper with 4 to 16 "
      "clients; at worst {:.2f}x the oracle; quality {:+.1f} points of static "
      "large's at least; {:.2f} % of all time waiting for the model probe\n",
      s.contender, s.large_at_one, s.best_worst, s.best_load, s.best_name,
      s.paper_most, s.oracle_worst, 100 * s.quality_least, 100 * s.probe_most);
}

}  // namespace

std::string GridTable(const Grid& grid) {
  std::string out = fmt::format(
      "{} on {}; capacity {:.3g} requests a second (static large, 16 "
      "clients)\n",
      grid.workload, grid.device, grid.capacity);
  out += "\ntokens a second\n" + Matrix(grid, [](const Report& r) {
           return fmt::format("{:.4g}", r.all.tokens_per_second);
         });
  out += "\nexpected quality, %\n" +
         Matrix(grid, [](const Report& r) { return Percent(r.all.quality); });
  out += "\nseconds a request, mean\n" + Matrix(grid, [](const Report& r) {
           return fmt::format("{:.3g}", r.all.total.mean);
         });
  // With a few at once, what decides is what is running.
  for (size_t l = 0; l < grid.loads.size(); ++l) {
    if (grid.loads[l].clients != 4) continue;
    out +=
        "\n" + grid.loads[l].Name() + "; shares of " +
        fmt::format("{}\n", fmt::join(grid.contenders.back().variants, "/")) +
        Details(grid, l);
  }
  out += "\n";
  for (const GridSummary& s : SummariesOf(grid)) out += SummaryText(s);
  for (const std::string& note : grid.notes) out += note + "\n";
  return out;
}

json::object GridJson(const Grid& grid) {
  json::array loads;
  for (size_t l = 0; l < grid.loads.size(); ++l) {
    json::array contenders;
    for (size_t c = 0; c < grid.contenders.size(); ++c) {
      const GridVerdict v = VerdictOf(grid, l, c);
      const Report& r = grid.reports[l][c];
      json::object one = ReportJson(r);
      one["contender"] = grid.contenders[c].name;
      one["quality_floor"] = grid.contenders[c].quality_floor;
      one["weight_bytes_per_token"] = WeightsPerToken(r);
      one["over_static_large"] = v.over_large;
      one["over_paper"] = v.over_paper;
      one["over_best"] = v.over_best;
      one["best"] = v.best;
      one["over_oracle"] =
          v.over_oracle > 0 ? json::value(v.over_oracle) : json::value();
      contenders.push_back(std::move(one));
    }
    const GridLoad& load = grid.loads[l];
    loads.push_back(json::object{{"name", load.Name()},
                                 {"clients", load.clients},
                                 {"share", load.share},
                                 {"bursts", load.bursts},
                                 {"contenders", std::move(contenders)}});
  }
  json::array summaries;
  for (const GridSummary& s : SummariesOf(grid)) {
    summaries.push_back(json::object{{"contender", s.contender},
                                     {"best_worst", s.best_worst},
                                     {"best_load", s.best_load},
                                     {"best_name", s.best_name},
                                     {"paper_most", s.paper_most},
                                     {"oracle_worst", s.oracle_worst},
                                     {"large_at_one", s.large_at_one},
                                     {"quality_least", s.quality_least},
                                     {"probe_most", s.probe_most}});
  }
  json::array notes;
  for (const std::string& note : grid.notes) notes.push_back(json::value(note));
  return {{"device", grid.device},
          {"workload", grid.workload},
          {"capacity_requests_per_second", grid.capacity},
          {"loads", std::move(loads)},
          {"summaries", std::move(summaries)},
          {"notes", std::move(notes)}};
}

}  // namespace aio::sim
