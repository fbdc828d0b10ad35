// SPDX-License-Identifier: Apache-2.0
//
// `aio bench mixed`: is routing worth it? Two workloads drawn from labelled
// tasks go through all-small, all-large, random, the paper's rule, marginal and
// its ablations, the same requests in the same order, round by round. See
// docs/eval.md.
#include <fmt/format.h>
#include <prometheus/counter.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/asker.h"
#include "cli/bench_mixed_beside.h"
#include "cli/bench_mixed_grid.h"
#include "cli/commands.h"
#include "cli/eval_parts.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "eval/mixed.h"
#include "eval/run.h"
#include "eval/task.h"
#include "eval/workload.h"
#include "sim/profiles.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string tasks;
  int requests = 0;  // 0: as many as a mode has by default
  int rounds = 20;
  uint64_t seed = 1;
  int parallel = 1;
  int max_tokens = 256;
  bool as_json = false;
  bool unsafe_python = false;
  bool quick = false;
  double divide = 0;  // 0: a mode's default
  GridFlags grid;
  BesideFlags beside;
  bool is_beside = false;
};

struct Contender {
  std::string name;
  std::string policy;
  core::Strategy strategy = core::Strategy::kPlain;
  bool adaptive = false;  // its choices depend on how long things take
};

struct Workload {
  std::string name;
  std::vector<eval::Task> requests;  // tasks whose id begins with a position
};

int Fail(const Error& error) {
  std::cerr << "aio bench mixed: " << error.message << "\n";
  return 1;
}

// A request's task: "17 humaneval-3" is the task humaneval-3 at place 17.
std::string TaskOf(const std::string& request) {
  return request.substr(request.find(' ') + 1);
}

class MixedBench {
 public:
  MixedBench(const Flags& flags, config::Config config,
             std::vector<eval::Task> tasks)
      : flags_(flags), config_(std::move(config)), tasks_(std::move(tasks)) {}

  Result<void> Run();

 private:
  Result<void> Load();
  Result<void> Draw(const std::string& name, core::Label main);
  Result<eval::MixedReport> Measure(const Workload& workload);
  Result<eval::Pass> PassThrough(const Workload& workload,
                                 const Contender& contender);
  void AddContenders();
  Result<void> CheckAnswers(const Workload& workload,
                            std::vector<eval::MixedContender>* contenders);
  int64_t WeightBytes();
  std::map<std::string, std::string> Settings() const;

  const Flags& flags_;
  config::Config config_;
  std::vector<eval::Task> tasks_;
  std::unique_ptr<eval::PythonRunner> python_;
  std::unique_ptr<Graph> graph_;
  policy::Ends ends_;
  std::vector<Contender> contenders_;
  std::vector<Workload> workloads_;
  std::unique_ptr<Asker> asker_;
  std::unique_ptr<Progress> progress_;
};

Result<void> MixedBench::Load() {
  RETURN_IF_ERROR(Draw("code-centric", core::Label::kCode));
  RETURN_IF_ERROR(Draw("knowledge-centric", core::Label::kQa));
  ASSIGN_OR_RETURN(python_, MakePython(tasks_, flags_.unsafe_python));
  config_.server.requests_max =
      std::max(config_.server.requests_max, flags_.parallel);
  ASSIGN_OR_RETURN(graph_, Graph::Build(config_, [](const std::string&) {}));
  RETURN_IF_ERROR(graph_->WarmUp());
  const auto& variants = graph_->orchestrator().variants();
  ASSIGN_OR_RETURN(ends_,
                   EndsToCompare(PolicyOptions(config_.policy, variants)));
  AddContenders();
  return {};
}

// The first two are all-small and all-large.
void MixedBench::AddContenders() {
  const auto add_static = [&](const std::string& variant) {
    contenders_.push_back({"static:" + variant, "static:" + variant});
  };
  add_static(ends_.small);
  add_static(ends_.large);
  for (const core::Variant& v : graph_->orchestrator().variants()) {
    if (v.name != ends_.small && v.name != ends_.large) add_static(v.name);
  }
  contenders_.push_back(
      {"small+lookup", contenders_[0].policy, core::Strategy::kLookup});
  contenders_.push_back({"random", "random"});
  contenders_.push_back({"paper", "paper"});
  if (config_.policy.quality.empty()) return;  // marginal would be paper
  for (const char* kind : {"marginal:own", "marginal:own+system",
                           "marginal:own+system+others", "marginal"}) {
    contenders_.push_back({kind, kind, core::Strategy::kPlain, true});
  }
}

Result<void> MixedBench::Draw(const std::string& name, core::Label main) {
  eval::WorkloadMix mix;
  mix.main = main;
  mix.requests = flags_.requests;
  mix.seed = flags_.seed;
  ASSIGN_OR_RETURN(const std::vector<size_t> list,
                   eval::DrawWorkload(tasks_, mix));
  Workload workload;
  workload.name = name;
  for (size_t i = 0; i < list.size(); ++i) {
    eval::Task task = tasks_[list[i]];
    task.id = std::to_string(i) + " " + task.id;
    workload.requests.push_back(std::move(task));
  }
  workloads_.push_back(std::move(workload));
  return {};
}

// Of all local variants so far; counts what the engine reads, probes included.
int64_t MixedBench::WeightBytes() {
  double sum = 0;
  for (const core::Variant& v : graph_->orchestrator().variants()) {
    sum += graph_->metrics()
               .Counter("aio_engine_weight_bytes_total", "Weight bytes read",
                        {{"variant", v.name}})
               ->Value();
  }
  return static_cast<int64_t>(sum);
}

// A fresh orchestrator, so that every pass begins with the same knowledge and
// draws the same random numbers.
Result<eval::Pass> MixedBench::PassThrough(const Workload& workload,
                                           const Contender& contender) {
  ASSIGN_OR_RETURN(const auto orchestrator,
                   graph_->WithPolicy(contender.policy, flags_.seed));
  std::map<std::string, eval::Record> records;
  eval::Parts parts;
  parts.ask = [&](const eval::Task& task, const std::string&,
                  eval::AskDone done) {
    asker_->Ask(orchestrator.get(), "auto", task, std::move(done),
                contender.strategy);
  };
  parts.cancel = [&] { asker_->CancelAll(); };
  // Checked after the last round: a Python program takes the cores that are
  // being measured.
  parts.check = [](const eval::Task&, std::string_view) {
    return eval::Verdict();
  };
  parts.record = [&](const eval::Record& record) -> Result<void> {
    records[record.task] = record;
    progress_->Step("requests");
    return {};
  };
  eval::RunOptions options;
  options.parallel = flags_.parallel;
  options.checkers = 0;
  eval::Runner runner(std::move(parts), options);
  std::vector<eval::Job> jobs;
  for (const eval::Task& task : workload.requests) {
    jobs.push_back({&task, contender.name});
  }
  eval::Pass pass;
  const int64_t bytes = WeightBytes();
  const double begun = asker_->Now();
  RETURN_IF_ERROR(runner.Run(jobs));
  pass.seconds = asker_->Now() - begun;
  pass.weight_bytes = WeightBytes() - bytes;
  for (const eval::Task& task : workload.requests) {
    eval::Record record = std::move(records[task.id]);
    record.task = TaskOf(task.id);
    pass.records.push_back(std::move(record));
  }
  return pass;
}

// The first pass of each, where the others have the same answers.
Result<void> MixedBench::CheckAnswers(
    const Workload& workload, std::vector<eval::MixedContender>* contenders) {
  std::map<std::tuple<std::string, std::string>, bool> known;
  const auto check = [&](size_t i, eval::Record* record) -> Result<void> {
    const auto key = std::make_tuple(record->task, record->answer);
    const auto it = known.find(key);
    if (it == known.end()) {
      ASSIGN_OR_RETURN(
          const eval::Verdict verdict,
          eval::Check(workload.requests[i], record->answer, python_.get()));
      known[key] = verdict.right;
    }
    record->right = known[key];
    return {};
  };
  for (eval::MixedContender& contender : *contenders) {
    for (eval::Pass& pass : contender.passes) {
      for (size_t i = 0; i < pass.records.size(); ++i) {
        RETURN_IF_ERROR(check(i, &pass.records[i]));
      }
      if (!contender.adaptive) break;
    }
  }
  return {};
}

Result<eval::MixedReport> MixedBench::Measure(const Workload& workload) {
  std::vector<eval::MixedContender> contenders;
  for (const Contender& c : contenders_) {
    contenders.push_back({c.name, c.adaptive, {}});
  }
  const int count = static_cast<int>(contenders.size());
  // Round -1 warms up and is thrown away. The order turns, so that no contender
  // always follows the same one.
  for (int round = -1; round < flags_.rounds; ++round) {
    for (int k = 0; k < count; ++k) {
      const int at = (round + 1 + k) % count;
      ASSIGN_OR_RETURN(eval::Pass pass, PassThrough(workload, contenders_[at]));
      if (round >= 0) contenders[at].passes.push_back(std::move(pass));
    }
  }
  for (const eval::MixedContender& c : contenders) {
    RETURN_IF_ERROR(eval::CheckRounds(c));
  }
  RETURN_IF_ERROR(CheckAnswers(workload, &contenders));
  eval::MixedNames names;
  names.workload = workload.name;
  names.small = ends_.small;
  names.all_small = contenders_[0].name;
  names.baseline = contenders_[1].name;
  names.router = contenders_.back().name;
  names.parallel = flags_.parallel;
  names.seed = flags_.seed;
  return eval::SummarizeMixed(names, contenders);
}

std::map<std::string, std::string> MixedBench::Settings() const {
  std::map<std::string, std::string> out = {
      {"tasks", std::to_string(tasks_.size())},
      {"tasks_hash", eval::HashTasks(tasks_)},
      {"requests", std::to_string(flags_.requests)},
      {"rounds", std::to_string(flags_.rounds)},
      {"parallel", std::to_string(flags_.parallel)},
      {"max_tokens", std::to_string(flags_.max_tokens)},
      {"seed", std::to_string(flags_.seed)},
      {"small", ends_.small},
      {"large", ends_.large}};
  for (const auto& [name, print] : VariantFingerprints(config_, *graph_)) {
    out["fingerprint " + name] = print;
  }
  return out;
}

Result<void> MixedBench::Run() {
  RETURN_IF_ERROR(Load());
  asker_ = std::make_unique<Asker>(Asker::Options{flags_.max_tokens, false});
  std::vector<eval::MixedReport> reports;
  {
    const IoThread io(graph_.get());
    progress_ = std::make_unique<Progress>(
        0, static_cast<int>(workloads_.size() * contenders_.size()) *
               flags_.requests * (flags_.rounds + 1));
    for (const Workload& workload : workloads_) {
      ASSIGN_OR_RETURN(eval::MixedReport report, Measure(workload));
      reports.push_back(std::move(report));
    }
    progress_.reset();
  }
  if (flags_.as_json) {
    std::cout << eval::MixedJson(Settings(), reports);
  } else {
    std::cout << fmt::format(
        "{} rounds of {} requests after one to warm up, {} at once, greedy, "
        "at most {} tokens, seed {}\n",
        flags_.rounds, flags_.requests, flags_.parallel, flags_.max_tokens,
        flags_.seed);
    for (const eval::MixedReport& report : reports) {
      std::cout << "\n" << eval::MixedTable(report);
    }
  }
  std::cout << std::flush;
  if (!std::cout) return Error{ErrorCode::kUnavailable, "cannot write", ""};
  return {};
}

int Simulated(const Flags& flags) {
  GridFlags grid = flags.grid;
  grid.config = flags.config;
  grid.sets = flags.sets;
  grid.seed = flags.seed;
  grid.as_json = flags.as_json;
  if (flags.requests > 0) grid.requests = flags.requests;
  if (flags.divide > 0) grid.divide = flags.divide;
  return MixedGrid(grid);
}

int Beside(const Flags& flags) {
  BesideFlags beside = flags.beside;
  beside.config = flags.config;
  beside.sets = flags.sets;
  if (flags.divide > 0) beside.divide = flags.divide;
  beside.seed = flags.seed;
  beside.as_json = flags.as_json;
  if (flags.requests > 0) beside.requests = flags.requests;
  return MixedBeside(beside);
}

int Mixed(Flags flags) {
  if (!flags.grid.devices.empty()) return Simulated(flags);
  if (flags.is_beside) return Beside(flags);
  if (flags.tasks.empty()) {
    return Fail({ErrorCode::kInvalidArgument,
                 "name the tasks with --tasks, devices with --simulate, or say "
                 "--beside",
                 ""});
  }
  if (flags.quick) {
    flags.rounds = 3;
    flags.requests = 12;
    flags.max_tokens = std::min(flags.max_tokens, 64);
  }
  if (flags.requests == 0) flags.requests = 50;
  SetLogLevel(LogLevel::kError);
  auto tasks = eval::LoadTasks(flags.tasks);
  if (!tasks) return Fail(tasks.error());
  auto config = FindConfig(flags.config, flags.sets);
  if (!config) return Fail(config.error());
  const auto ran =
      MixedBench(flags, *std::move(config), *std::move(tasks)).Run();
  return ran ? 0 : Fail(ran.error());
}

}  // namespace

namespace {

void AddGridFlags(CLI::App* c, GridFlags* grid) {
  c->add_option("--simulate", grid->devices,
                fmt::format("Instead of this machine, all contenders at all "
                            "loads, simulated: cpu (the config's models), {}",
                            fmt::join(sim::ProfileNames(), ", ")))
      ->delimiter(',')
      ->group("Simulated");
  const auto add = [&](const char* name, auto* value, const char* help) {
    return c->add_option(name, *value, help)
        ->needs("--simulate")
        ->group("Simulated");
  };
  add("--models", &grid->models, "On devices that are elsewhere; @4: 4 bits")
      ->delimiter(',')
      ->capture_default_str();
  add("--memory", &grid->memory_gib, "Of such a device, in GiB")
      ->check(CLI::Range(1.0, 10000.0))
      ->capture_default_str();
  add("--workloads", &grid->workloads, "Of those of `aio simulate`")
      ->delimiter(',')
      ->capture_default_str();
  add("--floors", &grid->floors, "Quality floors of marginal and the oracle")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add("--bursts", &grid->bursts,
      "A trace of Azure's, .csv, whose bursts are kept beside Poisson");
  add("--html", &grid->html, "A page with pictures, to this file");
}

void AddBesideFlags(CLI::App* c, Flags* flags) {
  c->add_flag("--beside", flags->is_beside,
              "A workload in tokens, through the engine whatever its weights "
              "say, beside what the simulator says of it")
      ->excludes("--simulate")
      ->group("Beside the simulator");
  c->add_option("--clients", flags->beside.clients, "At once")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->needs("--beside")
      ->capture_default_str()
      ->group("Beside the simulator");
  c->add_option("--workload", flags->beside.workload,
                "Of those of `aio simulate`")
      ->needs("--beside")
      ->capture_default_str()
      ->group("Beside the simulator");
}

}  // namespace

void AddBenchMixed(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand("mixed",
                                     "Compare policies on two mixes of tasks: "
                                     "on this machine, simulated at all "
                                     "loads, or both beside each other");
  c->add_option("--tasks,-t", flags->tasks,
                "JSONL file, published benchmark file, or a folder of them; "
                "with code and qa among the intents");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--requests", flags->requests,
                "Of each workload; default 50, 1000 simulated")
      ->check(CLI::Range(10, 100000));
  c->add_option("--rounds", flags->rounds,
                "Passes of each contender; under 20 nothing is claimed")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  c->add_option("--seed", flags->seed, "Of the workloads and random choices")
      ->capture_default_str();
  c->add_option("--parallel,-j", flags->parallel, "Requests at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--max-tokens,-n", flags->max_tokens,
                "Of an answer, where the task does not say")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--divide", flags->divide,
                "All lengths of simulated workloads, for slow machines; "
                "default 16 for --beside")
      ->check(CLI::Range(1.0, 1024.0));
  c->add_flag("--json", flags->as_json, "The tables as JSON");
  c->add_flag(
      "--quick", flags->quick,
      "12 requests in 3 rounds: whether it works, not what it is worth");
  c->add_flag("--unsafe-python", flags->unsafe_python,
              "Run Python tests even without isolation");
  AddGridFlags(c, &flags->grid);
  AddBesideFlags(c, flags.get());
  c->callback([flags, exit_code] { *exit_code = Mixed(*flags); });
}

}  // namespace aio::cli
