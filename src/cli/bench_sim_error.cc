// SPDX-License-Identifier: Apache-2.0
//
// aio bench sim-error: the same requests through the real engine and through
// the simulator, with step tables of this machine, and how far apart they are.
// See docs/simulator.md.
#include <fmt/format.h>
#include <prometheus/counter.h>

#include <CLI/CLI.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json/array.hpp>
#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/asio_executor.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "cli/sim_calibration.h"
#include "cli/sim_models.h"
#include "eval/json_text.h"
#include "sim/clients.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  int requests = 150;
  double divide = 16;
  double load = 0.6;  // of what the device can do
  uint64_t seed = 1;
  bool as_json = false;
};

// What both say of one workload.
struct Row {
  std::string workload;
  double real_seconds = 0, sim_seconds = 0;
  sim::ReportRow real, sim;
};

// Of one figure; the limit is what the simulator must keep to be believed.
struct Figure {
  const char* name;
  double real, sim, limit;

  double error() const { return real > 0 ? sim / real - 1 : 0; }
  bool kept() const { return std::abs(error()) <= limit; }
};

std::vector<Figure> FiguresOf(const Row& row) {
  return {
      {"seconds", row.real_seconds, row.sim_seconds, 0.10},
      {"tokens/s", row.real.tokens_per_second, row.sim.tokens_per_second, 0.10},
      {"a request, mean", row.real.total.mean, row.sim.total.mean, 0.10},
      {"TTFT p50", row.real.ttft.p50, row.sim.ttft.p50, 0.15},
      {"TTFT p99", row.real.ttft.p99, row.sim.ttft.p99, 0.25},
      {"TPOT p50", row.real.tpot.p50, row.sim.tpot.p50, 0.15}};
}

// What the engine has done for a variant so far.
struct Counters {
  double busy = 0, steps = 0;
};

class SimError {
 public:
  explicit SimError(const Flags& flags) : flags_(flags) {}

  // `each` is told of a row as soon as it is there.
  Result<std::vector<Row>> Run(const std::function<void(const Row&)>& each);
  const SimSetup& setup() const { return setup_; }

 private:
  Result<void> Load();
  Result<void> Calibrate();
  Result<void> CalibrateModel(sim::SimModel* model);
  Result<sim::Report> Simulated(const sim::WorkloadOptions& workload) const;
  Result<Row> Real(const sim::WorkloadOptions& workload);
  Result<std::vector<sim::WorkloadOptions>> Workloads() const;
  sim::WorkloadOptions Spelled(sim::WorkloadOptions workload) const;
  Counters CountersOf(const std::string& variant);

  const Flags& flags_;
  config::Config config_;
  SimSetup setup_;
  std::unique_ptr<Graph> graph_;
};

// What was found, for later simulations.
Result<void> Keep(const SimSetup& setup, const std::vector<Row>& rows) {
  Calibration found;
  for (const Row& row : rows) {
    const auto worst = [](double* out, double real, double sim) {
      *out = std::max(*out, real > 0 ? std::abs(sim / real - 1) : 0);
    };
    const sim::ReportRow &a = row.real, &b = row.sim;
    worst(&found.tokens_per_second, a.tokens_per_second, b.tokens_per_second);
    worst(&found.ttft_p50, a.ttft.p50, b.ttft.p50);
    worst(&found.ttft_p99, a.ttft.p99, b.ttft.p99);
    worst(&found.tpot_p50, a.tpot.p50, b.tpot.p50);
  }
  for (size_t d = 0; d < setup.devices.size(); ++d) {
    Calibration c = found;
    for (const sim::SimModel& model : setup.devices[d].models) {
      c.step_seconds.push_back(model.cost.step_seconds);
      c.row_seconds.push_back(model.cost.row_seconds);
    }
    RETURN_IF_ERROR(WriteCalibration(setup.keys[d], c));
  }
  return {};
}

Result<void> SimError::Load() {
  const auto say = [](const std::string& line) { std::cerr << line << "\n"; };
  ASSIGN_OR_RETURN(config_, FindConfig(flags_.config, flags_.sets));
  config_.server.requests_max = 1 << 20;
  config_.log.decisions.clear();
  ASSIGN_OR_RETURN(setup_, SetupOfConfig(config_, true, say));
  ASSIGN_OR_RETURN(graph_, Graph::Build(config_, [](const std::string&) {}));
  return graph_->WarmUp();
}

// As the engine takes it: in tokens, with what it is to say.
sim::WorkloadOptions SimError::Spelled(sim::WorkloadOptions workload) const {
  workload.spelled = true;
  workload.seed = flags_.seed;
  // The second quarter of a vocabulary: no bytes, nothing special.
  workload.token_least = setup_.vocabulary / 4;
  workload.token_count = setup_.vocabulary / 4;
  return workload;
}

Counters SimError::CountersOf(const std::string& variant) {
  const auto value = [&](const char* name) {
    return graph_->metrics().Counter(name, "", {{"variant", variant}})->Value();
  };
  return {value("aio_engine_busy_seconds_total"),
          value("aio_engine_steps_total")};
}

Result<sim::Report> SimError::Simulated(
    const sim::WorkloadOptions& workload) const {
  sim::SimulationOptions options;
  options.devices = setup_.devices;
  options.variants = setup_.variants;
  options.policy = config_.policy.kind;
  options.small = config_.policy.small;
  options.large = config_.policy.large;
  options.workload = workload;
  options.seed = flags_.seed;
  return sim::Simulate(std::move(options));
}

// On the graph's io thread, which is this one.
Result<Row> SimError::Real(const sim::WorkloadOptions& workload) {
  boost::asio::io_context& io = graph_->io();
  AsioExecutor executor(io.get_executor());
  ASSIGN_OR_RETURN(const auto orchestrator,
                   graph_->WithPolicy(config_.policy.kind, flags_.seed));
  sim::Clients::Options options;
  options.workload = workload;
  options.variants = setup_.variants;
  options.threads = true;
  Progress progress(0, workload.requests);
  options.progress = [&](int ended) { progress.Reach(ended, "requests"); };
  sim::Clients clients(std::move(options), &executor, orchestrator.get());
  io.restart();
  const auto guard = boost::asio::make_work_guard(io);
  executor.Post([&] { clients.Start([&io] { io.stop(); }); });
  io.run();
  Row row;
  row.workload = workload.name;
  row.real_seconds = clients.seconds();
  row.real = clients.Rows().back();
  if (row.real.failed > 0) {
    return Error{
        ErrorCode::kInternal,
        fmt::format("{} requests of {} failed", row.real.failed, workload.name),
        ""};
  }
  return row;
}

// One sequence, then four, of the model's first variant: what its steps take
// longer than the simulator says is for planning and sampling.
Result<void> SimError::CalibrateModel(sim::SimModel* model) {
  const std::string variant = model->views.front().variant;
  model->cost.step_seconds = model->cost.row_seconds = 0;
  double longer[2], steps[2], rows[2];
  for (int i = 0; i < 2; ++i) {
    sim::WorkloadOptions workload;
    sim::Kind kind;
    kind.prompt = {8, 0, 8, 8};
    kind.output = {64, 0, 64, 64};
    workload.kinds = {kind};
    workload.clients = i == 0 ? 1 : 4;
    workload.requests = i == 0 ? 10 : 24;
    workload.name = "calibration";
    workload = Spelled(std::move(workload));
    workload.variant = variant;
    const Counters before = CountersOf(variant);
    RETURN_IF_ERROR(Real(workload));
    const Counters after = CountersOf(variant);
    ASSIGN_OR_RETURN(const sim::Report said, Simulated(workload));
    double busy = 0;
    for (const sim::ReportRow& row : said.variants) busy += row.busy_seconds;
    longer[i] = after.busy - before.busy - busy;
    steps[i] = after.steps - before.steps;
    rows[i] = 64.0 * workload.requests;
  }
  const double determinant = steps[0] * rows[1] - steps[1] * rows[0];
  const double each =
      (steps[0] * longer[1] - steps[1] * longer[0]) / determinant;
  const double step = (longer[0] * rows[1] - longer[1] * rows[0]) / determinant;
  model->cost.row_seconds = std::max(0.0, each);
  // A table may have been measured in a slow moment, but no step takes nothing.
  model->cost.step_seconds =
      std::max(step, -0.5 * model->cost.table.Seconds(1, 0));
  std::cerr << fmt::format(
      "variant {}: {:+.3f} ms a step and {:+.3f} ms a token beside its table\n",
      variant, 1e3 * step, 1e3 * each);
  return {};
}

Result<void> SimError::Calibrate() {
  for (sim::SimDevice& device : setup_.devices) {
    for (sim::SimModel& model : device.models) {
      RETURN_IF_ERROR(CalibrateModel(&model));
    }
  }
  return {};
}

// Bursts of six requests of code, so far apart that the device has the load.
sim::WorkloadOptions Bursty(const sim::WorkloadOptions& code, double rate) {
  constexpr int kBurst = 6;
  sim::WorkloadOptions drawn = code;
  drawn.clients = 1;
  drawn.divide = 1;
  sim::Workload lengths(drawn);
  sim::WorkloadOptions out = code;
  out.name = "bursty code";
  out.kinds.clear();
  out.trace_intent = core::Label::kCode;
  for (int i = 0; const auto arrival = lengths.Next(); ++i) {
    out.trace.push_back({i / kBurst * kBurst / rate,
                         arrival->request->prompt_length,
                         arrival->request->output_lengths[0]});
  }
  return out;
}

// At the load asked for, by what the simulator says the device can do.
Result<std::vector<sim::WorkloadOptions>> SimError::Workloads() const {
  std::vector<sim::WorkloadOptions> out;
  for (const char* name : {"chat", "code", "mixed"}) {
    ASSIGN_OR_RETURN(sim::WorkloadOptions workload, sim::NamedWorkload(name));
    workload.requests = flags_.requests;
    workload.divide = flags_.divide;
    workload = Spelled(std::move(workload));
    sim::WorkloadOptions full = workload;
    full.clients = 8;
    ASSIGN_OR_RETURN(const sim::Report report, Simulated(full));
    const double rate = flags_.load * flags_.requests / report.seconds;
    if (workload.name == "code") {
      out.push_back(Bursty(workload, rate));
    } else {
      workload.rate = rate;
      out.push_back(std::move(workload));
    }
  }
  out[0].name = "steady chat";
  return out;
}

Result<std::vector<Row>> SimError::Run(
    const std::function<void(const Row&)>& each) {
  RETURN_IF_ERROR(Load());
  RETURN_IF_ERROR(Calibrate());
  ASSIGN_OR_RETURN(const auto workloads, Workloads());
  std::vector<Row> rows;
  for (const sim::WorkloadOptions& workload : workloads) {
    ASSIGN_OR_RETURN(Row row, Real(workload));
    ASSIGN_OR_RETURN(const sim::Report said, Simulated(workload));
    row.sim_seconds = said.seconds;
    row.sim = said.all;
    each(row);
    rows.push_back(std::move(row));
  }
  return rows;
}

void PrintHead(const Flags& flags) {
  std::cout << fmt::format(
      "{} requests each, lengths divided by {}, {:.0f} % of what the device "
      "can do\n{:<14}{:<18}{:>12}{:>12}{:>9}{:>8}\n",
      flags.requests, flags.divide, 100 * flags.load, "workload", "figure",
      "real", "simulated", "error", "limit");
}

void PrintRow(const Row& row) {
  for (const Figure& f : FiguresOf(row)) {
    std::cout << fmt::format(
        "{:<14}{:<18}{:>12.4g}{:>12.4g}{:>8.1f}%{:>7.0f}%{}\n", row.workload,
        f.name, f.real, f.sim, 100 * f.error(), 100 * f.limit,
        f.kept() ? "" : "  not kept");
  }
  std::cout.flush();
}

json::object ToJson(const Flags& flags, const std::vector<Row>& rows) {
  json::array list;
  for (const Row& row : rows) {
    json::object figures;
    for (const Figure& f : FiguresOf(row)) {
      figures[f.name] = json::object{{"real", f.real},
                                     {"simulated", f.sim},
                                     {"error", f.error()},
                                     {"limit", f.limit}};
    }
    list.push_back(json::object{{"workload", row.workload},
                                {"figures", std::move(figures)}});
  }
  return {{"benchmark", "sim-error"}, {"requests", flags.requests},
          {"divide", flags.divide},   {"load", flags.load},
          {"seed", flags.seed},       {"rows", std::move(list)}};
}

int Main(const Flags& flags) {
  SetLogLevel(LogLevel::kError);
  SimError bench(flags);
  if (!flags.as_json) PrintHead(flags);
  const auto rows = bench.Run([&](const Row& row) {
    if (!flags.as_json) PrintRow(row);
  });
  if (rows) {
    const auto kept = Keep(bench.setup(), *rows);
    if (!kept) std::cerr << "not kept: " << kept.error().message << "\n";
  } else {
    std::cerr << "aio bench sim-error: " << rows.error().message << "\n";
    return 1;
  }
  if (flags.as_json) std::cout << eval::JsonText(ToJson(flags, *rows));
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddBenchSimError(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand(
      "sim-error",
      "How far the simulator is from the engine, on three workloads");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--requests,-n", flags->requests, "Of each workload")
      ->check(CLI::Range(20, 100000))
      ->capture_default_str();
  c->add_option("--divide", flags->divide, "All lengths")
      ->check(CLI::Range(1.0, 1024.0))
      ->capture_default_str();
  c->add_option("--load", flags->load, "Of what the device can do")
      ->check(CLI::Range(0.05, 2.0))
      ->capture_default_str();
  c->add_option("--seed", flags->seed)->capture_default_str();
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
