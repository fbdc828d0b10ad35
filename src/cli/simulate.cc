// SPDX-License-Identifier: Apache-2.0
//
// aio simulate: a workload through the production orchestrator, policies and
// scheduler on virtual time. See docs/simulator.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/decision_rule.h"
#include "cli/progress.h"
#include "cli/recorded_texts.h"
#include "cli/sim_models.h"
#include "eval/json_text.h"
#include "gguf/gguf.h"
#include "sim/profiles.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string device;  // a profile; empty: what the config names, measured
  std::vector<std::string> models = {"openpangu-1b", "openpangu-7b"};
  double memory_gib = 64;
  std::string workload = "chat";
  std::string tokenizer;  // of recorded texts
  int requests = 1000;
  double rate = 0;
  int clients = 0;
  double speed = 1;
  double divide = 1;
  std::vector<std::string> policies;
  uint64_t seed = 1;
  bool as_json = false;
  std::string html;
  std::string decisions;
};

// What people ask for with texts of such a kind (bench/spec/make_texts.py).
core::Label LabelOf(std::string_view kind) {
  using core::Label;
  constexpr std::pair<std::string_view, Label> kKinds[] = {
      {"humaneval", Label::kCode},
      {"coding", Label::kCode},
      {"math", Label::kMath},
      {"math_reasoning", Label::kMath},
      {"reasoning", Label::kQa},
      {"summarization", Label::kSummarize},
      {"translation", Label::kTranslate}};
  for (const auto& [name, label] : kKinds) {
    if (name == kind) return label;
  }
  return Label::kChat;
}

Result<std::shared_ptr<const tokenizer::Tokenizer>> TokenizerOf(
    const Flags& flags, const SimSetup& setup) {
  if (flags.tokenizer.empty() && setup.tokenizer) return setup.tokenizer;
  if (flags.tokenizer.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "texts are simulated in tokens: say whose with --tokenizer "
                 "FILE.gguf",
                 "tokenizer"};
  }
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.tokenizer));
  return tokenizer::Tokenizer::Load(file);
}

// Longer than any model of the setup takes: they would all fail.
int ContextOf(const SimSetup& setup) {
  int out = 1 << 20;
  for (const sim::SimDevice& device : setup.devices) {
    for (const sim::SimModel& model : device.models) {
      out = std::min(out, model.context_tokens_max);
    }
  }
  return out;
}

Result<void> AddTexts(const Flags& flags, const SimSetup& setup,
                      sim::WorkloadOptions* out) {
  if (flags.divide != 1) {
    return Error{ErrorCode::kInvalidArgument, "a text cannot be divided",
                 "divide"};
  }
  ASSIGN_OR_RETURN(const auto tokenizer, TokenizerOf(flags, setup));
  RecordedTextOptions options;
  options.context_max = ContextOf(setup);
  options.field = "workload";
  ASSIGN_OR_RETURN(const std::vector<RecordedText> texts,
                   ReadRecordedTexts(flags.workload, *tokenizer, options));
  for (const RecordedText& text : texts) {
    sim::WorkloadOptions::Recorded recorded;
    recorded.intent = LabelOf(text.kind);
    recorded.prompt = static_cast<int>(text.prompt.size());
    recorded.tokens = text.prompt;
    recorded.tokens.insert(recorded.tokens.end(), text.output.begin(),
                           text.output.end());
    out->recorded.push_back(std::move(recorded));
  }
  return {};
}

Result<sim::WorkloadOptions> WorkloadOf(const Flags& flags,
                                        const SimSetup& setup) {
  sim::WorkloadOptions out;
  out.name = flags.workload;
  // Neither a name nor a text says how fast they come.
  bool when = flags.rate > 0 || flags.clients > 0;
  if (flags.workload.ends_with(".csv")) {
    ASSIGN_OR_RETURN(out.trace, ReadTrace(flags.workload, "workload"));
    when = true;
  } else if (flags.workload.ends_with(".jsonl")) {
    RETURN_IF_ERROR(AddTexts(flags, setup, &out));
  } else {
    ASSIGN_OR_RETURN(out, sim::NamedWorkload(flags.workload));
  }
  if (!when) out.clients = 1;
  out.requests = flags.requests;
  out.rate = flags.rate;
  if (flags.clients > 0) out.clients = flags.clients;
  out.speed = flags.speed;
  out.divide = flags.divide;
  out.seed = flags.seed;
  return out;
}

// The setup, and what the config says of policy and quality.
Result<SimSetup> SetupOf(const Flags& flags, sim::SimulationOptions* options,
                         std::vector<std::string>* policies) {
  const auto say = [&](const std::string& line) {
    if (!flags.as_json) std::cerr << line << "\n";
  };
  if (!flags.device.empty()) {
    const auto bytes = static_cast<int64_t>(flags.memory_gib * (1 << 30));
    ASSIGN_OR_RETURN(SimSetup setup,
                     SetupOfProfile(flags.device, flags.models, bytes));
    for (const std::string& name : setup.variants) {
      policies->push_back("static:" + name);
    }
    if (setup.variants.size() > 1) policies->push_back("paper");
    options->quality = setup.quality;
    return setup;
  }
  ASSIGN_OR_RETURN(const config::Config config,
                   FindConfig(flags.config, flags.sets));
  options->quality = config.policy.quality;
  options->small = config.policy.small;
  options->large = config.policy.large;
  options->quality_floor = config.policy.quality_floor;
  options->objective = config.policy.objective;
  options->requests_max = config.server.requests_max;
  *policies = {config.policy.kind};
  if (!config.probe.model.empty()) {
    options->model_probe =
        sim::SimModelProbe{.variant = config.probe.model,
                           .tokens_max = config.probe.tokens_max,
                           .deadline = config.probe.deadline,
                           .deadline_share = config.probe.deadline_share};
  }
  return SetupOfConfig(config, say);
}

Result<std::vector<sim::Report>> Reports(const Flags& flags) {
  sim::SimulationOptions options;
  std::vector<std::string> policies;
  ASSIGN_OR_RETURN(SimSetup setup, SetupOf(flags, &options, &policies));
  ASSIGN_OR_RETURN(options.workload, WorkloadOf(flags, setup));
  if (!flags.policies.empty()) policies = flags.policies;
  options.devices = std::move(setup.devices);
  options.variants = std::move(setup.variants);
  options.seed = flags.seed;
  Progress progress(0, flags.requests * static_cast<int>(policies.size()));
  std::optional<std::ofstream> decisions;
  if (!flags.decisions.empty()) {
    decisions.emplace(flags.decisions, std::ios::binary);
  }
  std::vector<sim::Report> reports;
  for (const std::string& policy : policies) {
    options.policy = policy;
    const int before = flags.requests * static_cast<int>(reports.size());
    options.progress = [&](int done) {
      progress.Reach(before + done, "requests");
    };
    if (decisions) {
      *decisions << boost::json::serialize(
                        HeadOf({policy, sim::RuleOf(options)}))
                 << "\n";
      options.decision_log = [&](const std::string& line) {
        *decisions << line << "\n";
      };
    }
    ASSIGN_OR_RETURN(sim::Report report, sim::Simulate(options));
    if (const auto* profile = sim::FindProfile(flags.device)) {
      report.notes.push_back("assumed: " + std::string(profile->assumptions));
    }
    reports.push_back(std::move(report));
  }
  if (decisions) decisions->close();
  if (decisions && !*decisions) {
    return Error{ErrorCode::kUnavailable, "cannot write " + flags.decisions,
                 "decisions"};
  }
  return reports;
}

Result<void> Print(const Flags& flags,
                   const std::vector<sim::Report>& reports) {
  if (flags.as_json) {
    boost::json::array list;
    for (const sim::Report& r : reports) list.push_back(sim::ReportJson(r));
    std::cout << eval::JsonText(boost::json::object{{"reports", list}});
  } else {
    for (const sim::Report& r : reports) {
      std::cout << sim::ReportTable(r) << "\n";
    }
  }
  std::cout.flush();
  if (!std::cout) return Error{ErrorCode::kUnavailable, "cannot write", ""};
  if (flags.html.empty()) return {};
  std::ofstream page(flags.html, std::ios::binary);
  page << sim::ReportHtml(reports);
  page.close();
  if (!page) {
    return Error{ErrorCode::kUnavailable, "cannot write " + flags.html, "html"};
  }
  return {};
}

int Simulate(const Flags& flags) {
  SetLogLevel(LogLevel::kError);
  const auto run = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<sim::Report> reports, Reports(flags));
    return Print(flags, reports);
  };
  const auto done = run();
  if (done) return 0;
  std::cerr << "aio simulate: " << done.error().message << "\n";
  return done.error().code == ErrorCode::kInvalidArgument ||
                 done.error().code == ErrorCode::kNotFound
             ? 2
             : 1;
}

}  // namespace

void AddSimulate(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "simulate",
      "A workload through the real policies and scheduler on virtual time");
  c->add_option(
      "--config,-c", flags->config,
      "YAML file, whose models are measured here; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--device", flags->device,
                fmt::format("Instead of a config, a device that is elsewhere: "
                            "{}",
                            fmt::join(sim::ProfileNames(), ", ")));
  c->add_option(
       "--models", flags->models,
       fmt::format("On that device: {}", fmt::join(sim::ShapeNames(), ", ")))
      ->delimiter(',')
      ->capture_default_str();
  c->add_option("--memory", flags->memory_gib, "Of that device, in GiB")
      ->check(CLI::Range(1.0, 10000.0))
      ->capture_default_str();
  c->add_option("--workload,-w", flags->workload,
                fmt::format("{}; a trace of Azure's as .csv; texts as .jsonl "
                            "(bench/spec/make_texts.py)",
                            fmt::join(sim::WorkloadNames(), ", ")))
      ->capture_default_str();
  c->add_option("--tokenizer", flags->tokenizer,
                "A GGUF file whose tokens texts are simulated in; default: "
                "the first model's of the config");
  c->add_option("--requests,-n", flags->requests)
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  auto* rate = c->add_option("--rate", flags->rate,
                             "Requests a second, Poisson; a trace has its own")
                   ->check(CLI::PositiveNumber);
  c->add_option("--clients", flags->clients,
                "So many at once, each asking again when it has its answer; "
                "default 1")
      ->check(CLI::Range(1, 100000))
      ->excludes(rate);
  c->add_option("--speed", flags->speed, "Of a trace: 2 is twice as fast")
      ->check(CLI::PositiveNumber);
  c->add_option("--divide", flags->divide, "All lengths, for slow machines")
      ->check(CLI::Range(1.0, 1024.0));
  c->add_option(
       "--policy", flags->policies,
       "marginal, paper, random, static:VARIANT; several: one report each; "
       "default: the config's")
      ->delimiter(',');
  c->add_option("--seed", flags->seed)->capture_default_str();
  c->add_flag("--json", flags->as_json, "The reports as JSON");
  c->add_option("--decisions", flags->decisions,
                "Every decision with all its inputs, to this file, for `aio "
                "replay`");
  c->add_option("--html", flags->html, "A page with pictures, to this file");
  c->callback([flags, exit_code] { *exit_code = Simulate(*flags); });
}

}  // namespace aio::cli
