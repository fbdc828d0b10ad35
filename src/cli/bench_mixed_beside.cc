// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_mixed_beside.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "cli/real_run.h"
#include "cli/sim_models.h"
#include "cli/step_log.h"
#include "eval/json_text.h"
#include "eval/table.h"
#include "sim/simulation.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

using StepErrors = std::map<std::string, cost::StepErrors>;  // by model

struct Row {
  int clients = 1;
  std::string policy;
  sim::WorkloadOptions workload;
  sim::ReportRow real, simulated;
  double small_real = 0, small_simulated = 0;  // shares
};

class Beside {
 public:
  explicit Beside(const BesideFlags& flags) : flags_(flags) {}
  Result<std::vector<Row>> Run();
  // [clients] by model: its steps against what was said of them, by tables of
  // the same minutes.
  const std::vector<StepErrors>& errors() const { return errors_; }

 private:
  Result<void> Load();
  Result<Row> Real(const std::string& policy, int clients, Progress* progress);
  void Correct();
  Result<void> Simulate(Row* row) const;

  const BesideFlags& flags_;
  config::Config config_;
  SimSetup setup_;                        // put right last
  std::vector<sim::SimDevice> measured_;  // at load
  StepLog log_;                           // outlives the engines
  std::unique_ptr<Graph> graph_;
  policy::Ends ends_;
  size_t small_ = 0;  // of the variants
  uint64_t texts_ = 0;
  std::vector<StepErrors> errors_;
};

Result<void> Beside::Load() {
  const auto say = [](const std::string& line) { std::cerr << line << "\n"; };
  ASSIGN_OR_RETURN(config_, FindConfig(flags_.config, flags_.sets));
  config_.server.requests_max = 1 << 20;
  config_.log.decisions.clear();
  ASSIGN_OR_RETURN(setup_, SetupOfConfig(config_, say));
  measured_ = setup_.devices;
  const auto keep = [this](const engine::StepRecord& step) { log_.Add(step); };
  ASSIGN_OR_RETURN(graph_, Graph::Build(
                               config_, [](const std::string&) {}, keep));
  RETURN_IF_ERROR(graph_->WarmUp());
  log_.Take();
  const auto& variants = graph_->orchestrator().variants();
  ASSIGN_OR_RETURN(ends_,
                   EndsToCompare(PolicyOptions(config_.policy, variants)));
  while (variants[small_].name != ends_.small) ++small_;
  return {};
}

Result<Row> Beside::Real(const std::string& policy, int clients,
                         Progress* progress) {
  ASSIGN_OR_RETURN(sim::WorkloadOptions workload,
                   sim::NamedWorkload(flags_.workload));
  workload.requests = flags_.requests;
  workload.divide = flags_.divide;
  workload.clients = clients;
  // Lengths and intents are the same for all, texts for nobody: they differ in
  // their conversations' seeds alone.
  workload = Spelled(std::move(workload), flags_.seed, setup_.vocabulary);
  workload.texts = ++texts_;
  Row row;
  RealOptions real;
  real.policy = policy;
  row.workload = workload;
  real.workload = std::move(workload);
  real.variants = setup_.variants;
  real.quality = config_.policy.quality;
  real.seed = flags_.seed;
  const int before = static_cast<int>(texts_ - 1) * flags_.requests;
  real.progress = [&](int ended) {
    progress->Reach(before + ended,
                    fmt::format("requests, {} with {}", policy, clients));
  };
  row.clients = clients;
  row.policy = policy;
  ASSIGN_OR_RETURN(RealRun run, RunReal(graph_.get(), std::move(real)));
  row.real = run.all;
  row.small_real = run.variants[small_].share;
  return row;
}

// By the tables of the start, put right by what the steps of these runs took: a
// shared machine is another one minutes later.
void Beside::Correct() {
  const Steps steps = log_.Take();
  StepErrors& errors = errors_.emplace_back();
  setup_.devices = measured_;
  for (sim::SimDevice& device : setup_.devices) {
    for (sim::SimModel& model : device.models) {
      const std::string& name = model.views.front().variant;
      const auto mine = steps.find(name);
      if (mine == steps.end()) continue;
      model.cost = cost::Corrected(model.cost, mine->second);
      errors[name] = cost::ErrorsOf(model.cost, mine->second);
    }
  }
}

Result<void> Beside::Simulate(Row* row) const {
  sim::SimulationOptions options;
  options.devices = setup_.devices;
  options.variants = setup_.variants;
  options.policy = row->policy;
  options.small = config_.policy.small;
  options.large = config_.policy.large;
  options.quality_floor = config_.policy.quality_floor;
  options.objective = config_.policy.objective;
  options.quality = config_.policy.quality;
  options.workload = row->workload;
  options.seed = flags_.seed;
  ASSIGN_OR_RETURN(const sim::Report report, sim::Simulate(std::move(options)));
  row->simulated = report.all;
  row->small_simulated = report.variants[small_].share;
  return {};
}

Result<std::vector<Row>> Beside::Run() {
  RETURN_IF_ERROR(Load());
  const std::vector<std::string> policies = {
      "static:" + ends_.small, "static:" + ends_.large, "paper", "marginal"};
  Progress progress(0,
                    static_cast<int>(policies.size() * flags_.clients.size()) *
                        flags_.requests);
  std::vector<Row> rows;
  for (const int clients : flags_.clients) {
    for (const std::string& policy : policies) {
      ASSIGN_OR_RETURN(Row row, Real(policy, clients, &progress));
      rows.push_back(std::move(row));
    }
    Correct();
    for (size_t i = rows.size() - policies.size(); i < rows.size(); ++i) {
      RETURN_IF_ERROR(Simulate(&rows[i]));
    }
  }
  return rows;
}

// Static large of the same load.
const Row& LargeOf(const std::vector<Row>& rows, const Row& row) {
  return *std::ranges::find_if(rows, [&](const Row& r) {
    return r.clients == row.clients && r.policy == rows[1].policy;
  });
}

double Over(double a, double b) { return b > 0 ? a / b : 0; }

std::string Table(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"clients", "contender", "tok/s", "simulated", "error", "x large",
       "simulated", "quality", "TTFT p50", "simulated", "TPOT p50", "simulated",
       "on small", "simulated"}};
  const auto ms = [](double seconds) {
    return fmt::format("{:.4g} ms", 1e3 * seconds);
  };
  for (const Row& r : rows) {
    const Row& large = LargeOf(rows, r);
    const double real = r.real.tokens_per_second;
    const double simulated = r.simulated.tokens_per_second;
    lines.push_back(
        {fmt::format("{}", r.clients), r.policy, fmt::format("{:.4g}", real),
         fmt::format("{:.4g}", simulated),
         fmt::format("{:+.1f} %", 100 * (Over(simulated, real) - 1)),
         fmt::format("{:.2f}", Over(real, large.real.tokens_per_second)),
         fmt::format("{:.2f}",
                     Over(simulated, large.simulated.tokens_per_second)),
         r.real.quality < 0 ? "-"
                            : fmt::format("{:.1f} %", 100 * r.real.quality),
         ms(r.real.ttft.p50), ms(r.simulated.ttft.p50), ms(r.real.tpot.p50),
         ms(r.simulated.tpot.p50), fmt::format("{:.0f} %", 100 * r.small_real),
         fmt::format("{:.0f} %", 100 * r.small_simulated)});
  }
  return eval::AlignColumns(lines, 2);
}

json::object ToJson(const BesideFlags& flags, const std::vector<Row>& rows,
                    const std::vector<StepErrors>& errors) {
  json::array steps;
  for (size_t i = 0; i < errors.size(); ++i) {
    json::object& one = steps.emplace_back(json::object()).get_object();
    one["clients"] = flags.clients[i];
    for (const auto& [model, e] : errors[i]) {
      one[model] = json::object{{"steps", e.steps}, {"off", e.off}};
    }
  }
  json::array list;
  for (const Row& r : rows) {
    const auto side = [](const sim::ReportRow& row, double small) {
      return json::object{{"tokens_per_second", row.tokens_per_second},
                          {"ttft_p50", row.ttft.p50},
                          {"ttft_p99", row.ttft.p99},
                          {"tpot_p50", row.tpot.p50},
                          {"tpot_p99", row.tpot.p99},
                          {"quality", row.quality},
                          {"small_share", small}};
    };
    list.push_back(
        json::object{{"clients", r.clients},
                     {"contender", r.policy},
                     {"real", side(r.real, r.small_real)},
                     {"simulated", side(r.simulated, r.small_simulated)}});
  }
  return {{"benchmark", "mixed, beside the simulator"},
          {"workload", flags.workload},
          {"requests", flags.requests},
          {"divide", flags.divide},
          {"seed", flags.seed},
          {"rows", std::move(list)},
          {"steps", std::move(steps)}};
}

}  // namespace

int MixedBeside(const BesideFlags& flags) {
  SetLogLevel(LogLevel::kError);
  Beside beside(flags);
  const auto rows = beside.Run();
  if (!rows) {
    std::cerr << "aio bench mixed: " << rows.error().message << "\n";
    return rows.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  }
  if (flags.as_json) {
    std::cout << eval::JsonText(ToJson(flags, *rows, beside.errors()));
  } else {
    std::cout << fmt::format(
                     "{}, {} requests a run, lengths divided by {}, seed {}\n",
                     flags.workload, flags.requests, flags.divide, flags.seed)
              << Table(*rows);
    for (size_t i = 0; i < beside.errors().size(); ++i) {
      for (const auto& [model, e] : beside.errors()[i]) {
        std::cout << fmt::format(
            "{} clients: half of {} steps of {} took within {:.1f} % of what "
            "was said of that many columns and that context\n",
            flags.clients[i], e.steps, model, 100 * e.off);
      }
    }
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace aio::cli
