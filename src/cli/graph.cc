// SPDX-License-Identifier: Apache-2.0
#include "cli/graph.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <utility>

#include "base/affinity.h"
#include "base/log.h"
#include "base/machine.h"
#include "cli/decision_rule.h"
#include "cli/upstream_options.h"

namespace aio::cli {
namespace {

Error PinError(const std::string& device, const std::string& what) {
  const std::string key = "devices." + device + ".pin";
  return {ErrorCode::kInvalidArgument, key + ": " + what, key};
}

// The processors that a device's threads stay on; none: the system moves them.
Result<std::vector<int>> CpusOf(const std::string& name,
                                const config::Device& device) {
  if (device.pin == "off") return std::vector<int>();
  const std::vector<int> allowed = AllowedCpus();
  if (device.pin == "auto") return CoresFirst(allowed);
  ASSIGN_OR_RETURN(std::vector<int> cpus, ParseCpuList(device.pin));
  for (const int cpu : cpus) {
    if (std::ranges::find(allowed, cpu) != allowed.end()) continue;
    return PinError(name,
                    fmt::format("processor {} is not one of those that this "
                                "process may use, {}",
                                cpu, fmt::join(allowed, ",")));
  }
  return cpus;
}

Result<std::unique_ptr<ThreadPool>> PoolOf(const std::string& name,
                                           const config::Device& device,
                                           const Machine& machine) {
  ASSIGN_OR_RETURN(std::vector<int> cpus, CpusOf(name, device));
  int threads = device.threads > 0 ? device.threads : machine.cpus;
  if (cpus.empty()) return std::make_unique<ThreadPool>(threads);
  const auto most = static_cast<int>(cpus.size());
  // A list says how many threads there are, unless that is said too.
  if (device.threads == 0 && device.pin != "auto") threads = most;
  if (threads <= most) {
    return std::make_unique<ThreadPool>(threads, std::move(cpus));
  }
  return PinError(name, fmt::format("{} threads cannot each have one of {} "
                                    "processors; take fewer threads, or off",
                                    threads, most));
}

// The device a variant names, or the only one.
std::string DeviceOf(const config::Variant& variant,
                     const config::Config& config) {
  return variant.device.empty() ? config.devices.begin()->first
                                : variant.device;
}

void SetStepSeconds(const std::string& variant,
                    const std::optional<cost::StepTable>& table,
                    Metrics* metrics) {
  for (size_t i = 0; table && i < table->columns.size(); ++i) {
    metrics->Set(
        "aio_step_seconds",
        "A step by its columns, without context, as measured",
        table->seconds[i],
        {{"variant", variant}, {"columns", std::to_string(table->columns[i])}});
  }
}

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Result<DeviceModels> LoadModels(const std::string& name,
                                const config::Config& config, const Say& say) {
  DeviceModels out;
  std::vector<std::pair<std::string, config::Variant>> here;
  for (const auto& [variant, settings] : config.variants) {
    if (settings.upstream.empty() && DeviceOf(settings, config) == name) {
      here.emplace_back(variant, settings);
    }
  }
  if (here.empty()) return out;
  const config::Device& device = config.devices.at(name);
  const Machine machine = ReadMachine();
  ASSIGN_OR_RETURN(out.pool, PoolOf(name, device, machine));
  ASSIGN_OR_RETURN(
      out.loaded, LoadDevice(name, device, here, machine, out.pool.get(), say));
  return out;
}

std::optional<cost::StepCost> StepCostOf(const engine::Model& model) {
  const auto& fine = model.sched.step_table;
  const auto& coarse = model.coarse_step_table;
  if (!fine && !coarse) return std::nullopt;
  cost::StepCost steps;
  steps.table = fine ? *fine : *coarse;
  steps.coarse = coarse;
  return steps;
}

Graph::Graph()
    : workers_(1),
      strand_(io_.get_executor()),
      worker_(workers_.get_executor()) {}

// Backends first: their callbacks use everything else. Engines stop before
// anybody lets go of them, as their last callbacks may still hold them.
Graph::~Graph() {
  for (const core::Variant& variant : variants_) {
    auto* local = dynamic_cast<engine::LocalBackend*>(variant.backend.get());
    if (local != nullptr) local->Stop();
  }
  orchestrator_.reset();
  parts_ = {};
  model_probe_.reset();
  variants_.clear();
  upstreams_.clear();
  workers_.join();
  io_.stop();
}

Result<std::unique_ptr<Graph>> Graph::Build(const config::Config& config,
                                            const Say& say, OnStep on_step,
                                            bool guarded) {
  std::unique_ptr<Graph> graph(new Graph());
  for (const auto& [name, device] : config.devices) {
    RETURN_IF_ERROR(graph->AddDevice(name, config, on_step, say));
  }
  RETURN_IF_ERROR(graph->AddUpstreams(config));
  graph->OrderVariants(config);
  RETURN_IF_ERROR(graph->AddOrchestrator(config, guarded));
  return graph;
}

Result<void> Graph::AddDevice(const std::string& name,
                              const config::Config& config,
                              const OnStep& on_step, const Say& say) {
  ASSIGN_OR_RETURN(auto models, LoadModels(name, config, say));
  if (models.pool == nullptr) return {};
  ThreadPool* pool = models.pool.get();
  pools_.push_back(std::move(models.pool));
  LoadedDevice& loaded = models.loaded;
  for (const auto& resident : loaded.residents) {
    for (const engine::ModelView& view : resident.model.views) {
      SetStepSeconds(view.variant,
                     resident.model.StepTableOf(view.view != core::View::k8),
                     &metrics_);
    }
  }
  AddCosts(loaded);
  engine::Options options;
  options.device = name;
  options.on_run = [pool] { pool->PinCaller(); };
  options.on_step = on_step;
  auto backend = std::make_shared<engine::LocalBackend>(
      std::move(loaded.residents), options, &worker_, &metrics_);
  for (core::Variant& variant : loaded.variants) {
    variant.backend = backend;
    variants_.push_back(std::move(variant));
  }
  return {};
}

// What the models' steps take, for prices; those that were not measured have
// none.
void Graph::AddCosts(const LoadedDevice& loaded) {
  const size_t device = parts_.costs.devices.size();
  auto& models = parts_.costs.devices.emplace_back();
  for (const auto& resident : loaded.residents) {
    const engine::Model& model = resident.model;
    auto steps = StepCostOf(model);
    if (!steps) continue;
    for (const engine::ModelView& view : model.views) {
      costs_[{view.variant, ""}] = {device, models.size(),
                                    view.view != core::View::k8};
    }
    models.push_back({*std::move(steps), model.sched.sequences_max,
                      model.forward->columns_max(), model.sched.slowdown_max});
  }
}

Result<void> Graph::AddUpstreams(const config::Config& config) {
  hashes_ = std::make_shared<upstream::PromptHashes>();
  for (const auto& [name, settings] : config.variants) {
    if (settings.upstream.empty()) continue;
    RETURN_IF_ERROR(AddUpstream(name, settings));
  }
  return {};
}

Result<void> Graph::AddUpstream(const std::string& name,
                                const config::Variant& settings) {
  ASSIGN_OR_RETURN(upstream::Upstream::Options options,
                   UpstreamOptions(name, settings));
  options.backend.hashes = hashes_;
  options.backend.replica.metrics = &metrics_;
  options.backend.replica.threads = false;  // whoever runs io() is one
  ASSIGN_OR_RETURN(auto made,
                   upstream::Upstream::Make(std::move(options),
                                            io_.get_executor(), &strand_));
  core::Variant variant;
  variant.name = name;
  variant.context_tokens_max = settings.context_max;
  variant.deterministic = false;
  variant.passes = true;
  variant.features = settings.remote.features;
  if (settings.thinking != core::ThinkingSwitch::kNone) {
    variant.thinking.usual = core::Thinking::kOn;
    variant.thinking.automatic =
        settings.thinking == core::ThinkingSwitch::kWord;
  }
  ASSIGN_OR_RETURN(const UpstreamGuess guess, GuessOf(name, settings));
  variant.bytes_per_token = guess.bytes_per_token;
  for (const upstream::Upstream::Place& place : made->places()) {
    variant.replica = place.name;
    variant.backend = place.backend;
    AddLearnedCost(variant, settings.remote.requests_max, guess.steps);
    variants_.push_back(variant);
  }
  upstreams_.push_back(std::move(made));
  if (!settings.process.command.empty()) {
    processes_.push_back(std::make_shared<upstream::Process>(
        ProcessOptions(name, settings.process), io_.get_executor(), &strand_,
        &metrics_));
  }
  return {};
}

// Until all processes are ready or have failed, and names are known or have
// been looked for long enough.
Result<void> Graph::StartUpstreams() {
  constexpr Duration kNames = std::chrono::seconds(5);
  bool started = false;
  upstream::StartInOrder(processes_, [&started] { started = true; });
  io_.restart();
  const auto guard = boost::asio::make_work_guard(io_);
  const Time late = strand_.Now() + kNames;
  const auto known = [&] {
    return std::ranges::all_of(upstreams_, [](const auto& upstream) {
      return std::ranges::any_of(upstream->places(), [](const auto& place) {
        return place.backend->View("").present;
      });
    });
  };
  while (!io_.stopped() && (!started || (!known() && strand_.Now() < late))) {
    io_.run_one_for(std::chrono::milliseconds(50));
  }
  if (started) return {};
  return Error{ErrorCode::kCancelled, "stopped before all was started", ""};
}

void Graph::StopProcesses() {
  size_t running = processes_.size();
  for (const auto& process : processes_) {
    process->Stop([&running] { --running; });
  }
  io_.restart();
  while (running > 0) io_.run_one_for(std::chrono::milliseconds(50));
}

// A device of its own, of which one model is known.
void Graph::AddLearnedCost(const core::Variant& variant, int sequences_max,
                           const cost::StepCost& guess) {
  orchestrator::ModelCost model;
  model.steps = guess;
  model.sequences_max = sequences_max;
  model.learned = true;
  costs_[{variant.name, variant.replica}] = {parts_.costs.devices.size(), 0,
                                             false};
  parts_.costs.devices.push_back({std::move(model)});
}

void Graph::OrderVariants(const config::Config& config) {
  std::vector<core::Variant> ordered;
  for (const auto& [name, settings] : config.variants) {
    for (core::Variant& variant : variants_) {
      if (variant.name == name) ordered.push_back(std::move(variant));
    }
  }
  variants_ = std::move(ordered);
}

Result<void> Graph::AddOrchestrator(const config::Config& config,
                                    bool guarded) {
  rule_ = PolicyOptions(config.policy, variants_);
  parts_.executor = &strand_;
  parts_.metrics = &metrics_;
  parts_.variants = variants_;
  parts_.quality = config.policy.quality;
  parts_.lengths = config.policy.lengths;
  for (const core::Variant& variant : variants_) {
    const auto known = costs_.find({variant.name, variant.replica});
    parts_.costs.variants.push_back(
        known == costs_.end() ? std::nullopt : std::optional(known->second));
  }
  RETURN_IF_ERROR(AddProbes(config, &parts_));
  options_.requests_max = config.server.requests_max;
  options_.probe_deadline = config.probe.deadline;
  options_.probe_deadline_share = config.probe.deadline_share;
  options_.escalation = {config.policy.escalation_margin,
                         config.policy.escalation_tokens};
  orchestrator::Parts parts = parts_;
  ASSIGN_OR_RETURN(parts.policy, policy::Make(config.policy.kind, rule_));
  const bool choice = variants_.size() > 1;
  if (choice && parts.policy->prices() && parts.quality.empty()) {
    Log(LogLevel::kWarning,
        "no quality table, so the paper's rule decides: run aio calibrate and "
        "name policy.calibration",
        {{"policy", config.policy.kind}});
  }
  if (!config.policy.shadow.empty()) {
    ASSIGN_OR_RETURN(parts.shadow, policy::Make(config.policy.shadow, rule_));
  }
  parts.random_seed = RandomSeed();
  RETURN_IF_ERROR(AddDecisionLog(config, &parts));
  orchestrator::Options options = options_;
  if (guarded) {
    options.guard.share = config.policy.guard_share;
    options.guard.agreement_min = config.policy.guard_agreement_min;
    options.guard.reference = config.policy.large;
  }
  orchestrator_ =
      std::make_unique<orchestrator::Orchestrator>(std::move(parts), options);
  return {};
}

Result<std::unique_ptr<orchestrator::Orchestrator>> Graph::WithPolicy(
    const std::string& kind, uint64_t seed) const {
  orchestrator::Parts parts = parts_;
  ASSIGN_OR_RETURN(parts.policy, policy::Make(kind, rule_));
  parts.random_seed = seed;
  return std::make_unique<orchestrator::Orchestrator>(std::move(parts),
                                                      options_);
}

Result<void> Graph::AddDecisionLog(const config::Config& config,
                                   orchestrator::Parts* parts) {
  if (config.log.decisions.empty()) return {};
  DecisionFile::Options options;
  options.path = config.log.decisions;
  options.head = boost::json::serialize(HeadOf({config.policy.kind, rule_}));
  ASSIGN_OR_RETURN(decision_file_,
                   DecisionFile::Open(std::move(options), &metrics_));
  parts->decision_log = [file = decision_file_.get()](std::string line) {
    file->Write(std::move(line));
  };
  return {};
}

Result<void> Graph::WarmUp() {
  if (!upstreams_.empty()) RETURN_IF_ERROR(StartUpstreams());
  for (const core::Variant& variant : variants_) {
    if (dynamic_cast<engine::LocalBackend*>(variant.backend.get()) == nullptr) {
      continue;
    }
    auto request = std::make_shared<core::Request>();
    request->id = "warm-up-" + variant.name;
    request->model = variant.name;
    request->chat = false;
    request->prompt = "a";
    request->max_tokens = 1;
    const auto answer = RunOne(this, request, nullptr);
    if (!answer) return answer.error();
    fingerprints_[variant.name] = answer->served.fingerprint;
  }
  return PrepareProbe();
}

Result<config::Config> FindConfig(const std::string& path,
                                  const std::vector<std::string>& sets) {
  std::vector<config::Override> overrides;
  for (const std::string& set : sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos) {
      return Error{ErrorCode::kInvalidArgument,
                   "--set takes key.path=value, not '" + set + "'", ""};
    }
    overrides.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  const std::string file = path.empty() ? "aio.yaml" : path;
  if (path.empty() && !std::filesystem::exists(file)) {
    return Error{ErrorCode::kNotFound,
                 "there is no aio.yaml here; name a config with --config FILE",
                 ""};
  }
  return config::Load(file, overrides);
}

Result<policy::Ends> EndsToCompare(const policy::Options& rule) {
  ASSIGN_OR_RETURN(policy::Ends ends, policy::EndsOf(rule));
  if (ends.small != ends.large) return ends;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("'{}' is the small and the large variant: there is "
                           "nothing to route between",
                           ends.small),
               "variants"};
}

policy::Options PolicyOptions(const config::Policy& config,
                              const std::vector<core::Variant>& variants) {
  policy::Options options;
  for (const core::Variant& variant : variants) {
    const bool seen = !options.variants.empty() &&
                      options.variants.back().name == variant.name;
    if (!seen) {
      options.variants.push_back({variant.name, variant.bytes_per_token});
    }
  }
  options.small = config.small;
  options.large = config.large;
  options.entropy_max = config.entropy_max;
  options.context_tokens_max = config.context_tokens_max;
  options.quality_floor = config.quality_floor;
  options.objective = config.objective;
  return options;
}

config::Config ConfigOfModel(const std::string& file) {
  config::Config config;
  config.devices["cpu0"] = config::Device();
  // One request: nothing is ever beside it.
  config.devices["cpu0"].step_table = false;
  config::Variant variant;
  variant.model = file;
  variant.device = "cpu0";
  config.variants.emplace_back("model", variant);
  config.policy.kind = "static:model";
  return config;
}

}  // namespace aio::cli
