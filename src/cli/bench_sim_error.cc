// SPDX-License-Identifier: Apache-2.0
//
// aio bench sim-error: the same requests through the real engine and through
// the simulator, with step tables of this machine, and how far apart they are.
// See docs/simulator.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/json/array.hpp>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/median.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "cli/real_run.h"
#include "cli/sim_calibration.h"
#include "cli/sim_models.h"
#include "cli/step_log.h"
#include "cost/step_fit.h"
#include "eval/json_text.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr std::array kPromptWidths = {32, 64, 128, 256, 512};

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  int requests = 150;
  double divide = 16;
  double load = 0.6;  // of what the device can do
  std::vector<std::string> workloads = {"chat", "code", "mixed"};
  uint64_t seed = 1;
  bool as_json = false;
};

// What is said of one workload.
struct Said {
  double seconds = 0;
  sim::ReportRow all;
};

struct Row {
  std::string workload;
  Said real;
  Said sim;  // with tables from before and after it
  Said own;  // with its own steps counted in: as much as they changed meanwhile
  // The engine's steps over what their cost says, by model: what is left of the
  // figures' errors when this is near 1 is not the machine's doing.
  std::map<std::string, cost::StepErrors> steps;
};

// Of one figure; the limit is what the simulator must keep to be believed.
struct Figure {
  const char* name;
  double limit;
  double real, sim, own;

  double ErrorOf(double said) const { return real > 0 ? said / real - 1 : 0; }
  bool Kept(double said) const { return std::abs(ErrorOf(said)) <= limit; }
};

std::vector<Figure> FiguresOf(const Row& row) {
  const auto figure = [&](const char* name, double limit, const auto& of) {
    return Figure{name, limit, of(row.real), of(row.sim), of(row.own)};
  };
  return {
      figure("seconds", 0.10, [](const Said& s) { return s.seconds; }),
      figure("tokens/s", 0.10,
             [](const Said& s) { return s.all.tokens_per_second; }),
      figure("a request, mean", 0.10,
             [](const Said& s) { return s.all.total.mean; }),
      figure("TTFT p50", 0.15, [](const Said& s) { return s.all.ttft.p50; }),
      figure("TTFT p99", 0.25, [](const Said& s) { return s.all.ttft.p99; }),
      figure("TPOT p50", 0.15, [](const Said& s) { return s.all.tpot.p50; })};
}

class SimError {
 public:
  explicit SimError(const Flags& flags) : flags_(flags) {}

  // `each` is told of a row as soon as it is there.
  Result<std::vector<Row>> Run(const std::function<void(const Row&)>& each);
  const SimSetup& setup() const { return setup_; }

 private:
  Result<void> Load();
  Result<void> Calibrate();
  Result<void> RunWidths(const sim::SimModel& model, Progress* progress);
  Result<void> RunAlone(const std::string& variant, int prompt, int output,
                        int clients, int requests);
  void Correct(const Steps& own);
  Result<Said> Simulated(const sim::WorkloadOptions& workload) const;
  Result<Said> Real(const sim::WorkloadOptions& workload, Progress* progress);
  Result<Row> Compare(const std::string& name);
  Result<sim::WorkloadOptions> WorkloadOf(const std::string& name);
  sim::WorkloadOptions Spelled(sim::WorkloadOptions workload);

  const Flags& flags_;
  config::Config config_;
  SimSetup setup_;                        // as calibrated last
  std::vector<sim::SimDevice> measured_;  // as measured at load
  Steps before_, after_;                  // of the last two calibrations
  std::vector<double> beside_;            // seconds of a request, not in steps
  StepLog log_;                           // outlives the graph
  std::unique_ptr<Graph> graph_;
  uint64_t texts_ = 0;  // so far: no two have a prefix in common
};

// What was found, for later simulations.
Result<void> Keep(const SimSetup& setup, const std::vector<Row>& rows) {
  sim::FigureErrors errors;
  for (const Row& row : rows) {
    const auto worst = [](double* out, double real, double sim) {
      *out = std::max(*out, real > 0 ? std::abs(sim / real - 1) : 0);
    };
    const sim::ReportRow &a = row.real.all, &b = row.sim.all;
    worst(&errors.tokens_per_second, a.tokens_per_second, b.tokens_per_second);
    worst(&errors.total, a.total.mean, b.total.mean);
    worst(&errors.ttft_p50, a.ttft.p50, b.ttft.p50);
    worst(&errors.ttft_p99, a.ttft.p99, b.ttft.p99);
    worst(&errors.tpot_p50, a.tpot.p50, b.tpot.p50);
  }
  for (size_t d = 0; d < setup.devices.size(); ++d) {
    const sim::SimDevice& device = setup.devices[d];
    Calibration c;
    for (const sim::SimModel& model : device.models) {
      c.costs.push_back(model.cost);
    }
    c.request_seconds = device.options.request_seconds;
    c.errors = errors;
    RETURN_IF_ERROR(WriteCalibration(setup.keys[d], c));
  }
  return {};
}

Result<void> SimError::Load() {
  const auto say = [](const std::string& line) { std::cerr << line << "\n"; };
  ASSIGN_OR_RETURN(config_, FindConfig(flags_.config, flags_.sets));
  config_.server.requests_max = 1 << 20;
  config_.log.decisions.clear();
  ASSIGN_OR_RETURN(setup_, SetupOfConfig(config_, say));
  measured_ = setup_.devices;
  ASSIGN_OR_RETURN(graph_, Graph::Build(
                               config_, [](const std::string&) {},
                               [this](const engine::StepRecord& record) {
                                 log_.Add(record);
                               }));
  return graph_->WarmUp();
}

sim::WorkloadOptions SimError::Spelled(sim::WorkloadOptions workload) {
  const uint64_t seed = RandomBits(flags_.seed, 1, texts_++);
  return cli::Spelled(std::move(workload), seed, setup_.vocabulary);
}

Result<Said> SimError::Simulated(const sim::WorkloadOptions& workload) const {
  sim::SimulationOptions options;
  options.devices = setup_.devices;
  options.variants = setup_.variants;
  options.policy = config_.policy.kind;
  options.small = config_.policy.small;
  options.large = config_.policy.large;
  options.workload = workload;
  options.seed = flags_.seed;
  ASSIGN_OR_RETURN(sim::Report report, sim::Simulate(std::move(options)));
  return Said{report.seconds, std::move(report.all)};
}

Result<Said> SimError::Real(const sim::WorkloadOptions& workload,
                            Progress* progress) {
  RealOptions options;
  options.policy = config_.policy.kind;
  options.workload = workload;
  options.variants = setup_.variants;
  options.seed = flags_.seed;
  options.progress = [&](int ended) {
    if (progress != nullptr) progress->Reach(ended, "requests");
  };
  ASSIGN_OR_RETURN(RealRun run, RunReal(graph_.get(), std::move(options)));
  return Said{run.seconds, std::move(run.all)};
}

// Clients that ask one variant for the same again and again. What one client
// waits beside steps is what a request takes to come and go.
Result<void> SimError::RunAlone(const std::string& variant, int prompt,
                                int output, int clients, int requests) {
  const auto exactly = [](int tokens) {
    return sim::Lengths{static_cast<double>(tokens), 0, tokens, tokens};
  };
  sim::WorkloadOptions workload;
  sim::Kind kind;
  kind.prompt = exactly(prompt);
  kind.output = exactly(output);
  workload.kinds = {kind};
  workload.clients = clients;
  workload.requests = requests;
  workload.name = "calibration";
  workload.variant = variant;
  const double before = log_.Seconds();
  ASSIGN_OR_RETURN(const Said said,
                   Real(Spelled(std::move(workload)), nullptr));
  if (clients > 1) return {};
  const double beside = said.seconds - (log_.Seconds() - before);
  beside_.push_back(std::max(0.0, beside / requests));
  return {};
}

// Prompts of each width for StepLog, and decoding between them: what memory
// gives changes from second to second where others use it too.
Result<void> SimError::RunWidths(const sim::SimModel& model,
                                 Progress* progress) {
  constexpr int kOutput = 24, kPrompts = 3;
  for (const sim::SimView& view : model.views) {
    for (const int prompt : kPromptWidths) {
      progress->Step("prompts and decoding, for the tables");
      if (view.view == core::View::kAuto) continue;  // is one of the others
      for (const int clients : {1, 2, 4, 8}) {
        if (clients > model.sched.sequences_max) break;
        RETURN_IF_ERROR(RunAlone(view.variant, 8, kOutput, clients, clients));
      }
      if (prompt <= model.sched.columns_max &&
          prompt < model.context_tokens_max) {
        RETURN_IF_ERROR(RunAlone(view.variant, prompt, 1, 1, kPrompts));
      }
    }
    // Several in a step: fewer pairs than one prompt of as many columns.
    const int at_once = std::min(8, model.sched.sequences_max);
    RETURN_IF_ERROR(RunAlone(view.variant, 64, 1, at_once, 3 * at_once));
  }
  return {};
}

Result<void> SimError::Calibrate() {
  int widths = 0;
  for (const sim::SimDevice& device : measured_) {
    for (const sim::SimModel& model : device.models) {
      widths += static_cast<int>(model.views.size() * kPromptWidths.size());
    }
  }
  Progress progress(0, widths);
  log_.Take();
  for (const sim::SimDevice& device : measured_) {
    for (const sim::SimModel& model : device.models) {
      RETURN_IF_ERROR(RunWidths(model, &progress));
    }
  }
  before_ = std::exchange(after_, log_.Take());
  for (sim::SimDevice& device : setup_.devices) {
    device.options.request_seconds = Median(beside_);
  }
  Correct({});
  return {};
}

// The tables put right by what steps took in the last two calibrations, before
// and after a workload, and in itself: those from the start are minima of a
// machine that may have been quicker or slower then, and a shared one drifts.
void SimError::Correct(const Steps& own) {
  for (size_t d = 0; d < measured_.size(); ++d) {
    for (size_t m = 0; m < measured_[d].models.size(); ++m) {
      const sim::SimModel& model = measured_[d].models[m];
      std::vector<cost::TimedStep> steps;
      const std::array<const Steps*, 3> all = {&before_, &after_, &own};
      for (const Steps* some : all) {
        const auto mine = some->find(model.views.front().variant);
        if (mine == some->end()) continue;
        steps.insert(steps.end(), mine->second.begin(), mine->second.end());
      }
      setup_.devices[d].models[m].cost = cost::Corrected(model.cost, steps);
    }
  }
}

// Bursts of six requests of code, so far apart that the device has the load. In
// a burst they come one by one: who is first would be a race otherwise.
sim::WorkloadOptions Bursty(const sim::WorkloadOptions& code, double rate) {
  constexpr int kBurst = 6;
  constexpr double kApart = 0.05;
  sim::WorkloadOptions drawn = code;
  drawn.clients = 1;
  drawn.divide = 1;
  sim::Workload lengths(drawn);
  sim::WorkloadOptions out = code;
  out.name = "bursty code";
  out.kinds.clear();
  out.trace_intent = core::Label::kCode;
  for (int i = 0; const auto arrival = lengths.Next(); ++i) {
    out.trace.push_back({i / kBurst * kBurst / rate + i % kBurst * kApart,
                         arrival->request->prompt_length,
                         arrival->request->output_lengths[0]});
  }
  return out;
}

// At the load asked for, by what the simulator says the device can do.
Result<sim::WorkloadOptions> SimError::WorkloadOf(const std::string& name) {
  ASSIGN_OR_RETURN(sim::WorkloadOptions workload, sim::NamedWorkload(name));
  workload.requests = flags_.requests;
  workload.divide = flags_.divide;
  workload = Spelled(std::move(workload));
  sim::WorkloadOptions full = workload;
  full.clients = 8;
  ASSIGN_OR_RETURN(const Said said, Simulated(full));
  const double rate = flags_.load * flags_.requests / said.seconds;
  if (name == "code") return Bursty(workload, rate);
  if (name == "chat") workload.name = "steady chat";
  workload.rate = rate;
  return workload;
}

// What is simulated is compared with what was run between two calibrations.
Result<Row> SimError::Compare(const std::string& name) {
  ASSIGN_OR_RETURN(const sim::WorkloadOptions workload, WorkloadOf(name));
  Row row;
  row.workload = workload.name;
  log_.Take();
  Progress progress(0, workload.requests);
  ASSIGN_OR_RETURN(row.real, Real(workload, &progress));
  const Steps steps = log_.Take();
  RETURN_IF_ERROR(Calibrate());
  for (const sim::SimDevice& device : setup_.devices) {
    for (const sim::SimModel& model : device.models) {
      const auto mine = steps.find(model.views.front().variant);
      if (mine == steps.end()) continue;
      row.steps[mine->first] = cost::ErrorsOf(model.cost, mine->second);
    }
  }
  ASSIGN_OR_RETURN(row.sim, Simulated(workload));
  Correct(steps);
  ASSIGN_OR_RETURN(row.own, Simulated(workload));
  Correct({});
  return row;
}

Result<std::vector<Row>> SimError::Run(
    const std::function<void(const Row&)>& each) {
  RETURN_IF_ERROR(Load());
  RETURN_IF_ERROR(Calibrate());
  std::vector<Row> rows;
  for (const std::string& name : flags_.workloads) {
    ASSIGN_OR_RETURN(Row row, Compare(name));
    each(row);
    rows.push_back(std::move(row));
  }
  return rows;
}

void PrintHead(const Flags& flags) {
  std::cout << fmt::format(
      "{} requests each, lengths divided by {}, {:.0f} % of what the device "
      "can do\n{:<14}{:<18}{:>10}{:>12}{:>8}{:>12}{:>8}{:>7}\n",
      flags.requests, flags.divide, 100 * flags.load, "workload", "figure",
      "real", "simulated", "error", "own steps", "error", "limit");
}

void PrintRow(const Row& row) {
  for (const Figure& f : FiguresOf(row)) {
    std::cout << fmt::format(
        "{:<14}{:<18}{:>10.4g}{:>12.4g}{:>7.1f}%{:>12.4g}{:>7.1f}%{:>6.0f}%{}"
        "\n",
        row.workload, f.name, f.real, f.sim, 100 * f.ErrorOf(f.sim), f.own,
        100 * f.ErrorOf(f.own), 100 * f.limit,
        f.Kept(f.sim)   ? ""
        : f.Kept(f.own) ? "  drifted"
                        : "  not kept");
  }
  for (const auto& [model, e] : row.steps) {
    std::cout << fmt::format(
        "{:<14}{} steps of {} took {:.2f} of what they were said to, a step is "
        "off by {:.0f} % (median)\n",
        row.workload, e.steps, model, e.ratio, 100 * e.off);
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
                                     {"error", f.ErrorOf(f.sim)},
                                     {"own_steps", f.own},
                                     {"own_steps_error", f.ErrorOf(f.own)},
                                     {"limit", f.limit}};
    }
    json::object steps;
    for (const auto& [model, e] : row.steps) {
      steps[model] =
          json::object{{"steps", e.steps}, {"ratio", e.ratio}, {"off", e.off}};
    }
    list.push_back(json::object{{"workload", row.workload},
                                {"figures", std::move(figures)},
                                {"steps", std::move(steps)}});
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
  // One workload alone is no errors to print under all figures.
  if (rows && rows->size() == 3) {
    const auto kept = Keep(bench.setup(), *rows);
    if (!kept) std::cerr << "not kept: " << kept.error().message << "\n";
  } else if (!rows) {
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
  c->add_option("--workloads", flags->workloads)
      ->delimiter(',')
      ->check(CLI::IsMember({"chat", "code", "mixed"}))
      ->capture_default_str();
  c->add_option("--seed", flags->seed)->capture_default_str();
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
