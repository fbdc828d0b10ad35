// SPDX-License-Identifier: Apache-2.0
//
// aio bench probe: the text probe and the model probe on labelled prompts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/nearest.h"
#include "base/random.h"
#include "cli/ask_probe.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/probe_bench_report.h"
#include "cli/progress.h"
#include "probe/said_file.h"
#include "probe/text_probe.h"

namespace aio::cli {
namespace {

using Prompts = std::vector<probe::LabelledPrompt>;
using Requests = std::vector<std::shared_ptr<const core::Request>>;

// Prompts that are timed one at a time; enough for a 99th percentile.
constexpr size_t kTimed = 200;

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string prompts;
  std::vector<std::string> holdout;
  std::string text_said;
  int limit = 0;
  int parallel = 4;
  bool as_json = false;
};

int Fail(const Error& error) {
  std::cerr << "aio bench probe: " << error.message << "\n";
  return 1;
}

// ---- The prompts ------------------------------------------------------------

// Only the sources that are named; "natural" stands for all that are.
Result<Prompts> HeldOut(Prompts all, const std::vector<std::string>& names) {
  if (names.empty()) return all;
  std::set<std::string> known = {"natural"};
  for (const auto& p : all) known.insert(p.source);
  for (const std::string& name : names) {
    if (known.count(name) > 0) continue;
    return Error{ErrorCode::kInvalidArgument,
                 "--holdout: no prompt has the source '" + name + "'" +
                     DidYouMean(name, {known.begin(), known.end()}),
                 ""};
  }
  const std::set<std::string> wanted(names.begin(), names.end());
  std::erase_if(all, [&](const probe::LabelledPrompt& p) {
    const bool natural =
        wanted.count("natural") > 0 && probe::IsNatural(p.source);
    return !natural && wanted.count(p.source) == 0;
  });
  return all;
}

// The same sample in every run, whatever the order of the file.
void Limit(int limit, Prompts* prompts) {
  const auto most = static_cast<size_t>(limit);
  if (limit <= 0 || prompts->size() <= most) return;
  const auto key = [](const probe::LabelledPrompt& p) {
    uint64_t hash = 1;
    for (const char c : p.id) hash = Mix(hash ^ static_cast<uint8_t>(c));
    return hash;
  };
  std::sort(prompts->begin(), prompts->end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  prompts->resize(most);
}

Result<Prompts> Read(const Flags& flags) {
  ASSIGN_OR_RETURN(Prompts all, probe::ReadLabelledPrompts(flags.prompts));
  ASSIGN_OR_RETURN(Prompts prompts, HeldOut(std::move(all), flags.holdout));
  Limit(flags.limit, &prompts);
  return prompts;
}

// `tenant` salts what a backend may have cached of the same prompt.
Requests RequestsOf(const Prompts& prompts, const std::string& id,
                    uint64_t tenant) {
  Requests requests;
  for (const probe::LabelledPrompt& prompt : prompts) {
    auto request = std::make_shared<core::Request>();
    request->id = id + std::to_string(requests.size());
    request->model = "auto";
    request->messages = {{core::Role::kUser, prompt.text}};
    request->tenant = tenant;
    requests.push_back(std::move(request));
  }
  return requests;
}

// ---- The text probe ---------------------------------------------------------

probe::Logits LogitsOf(const core::Intent& intent) {
  probe::Logits logits;
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = std::log(std::max(intent.probabilities[i], 1e-12));
  }
  return logits;
}

// What the text probe says and costs; its probabilities need no temperature.
Result<Said> AskText(const std::string& file, const Requests& requests,
                     ProbeCost* cost) {
  using Clock = std::chrono::steady_clock;
  ASSIGN_OR_RETURN(const auto text, probe::TextProbe::Load(file));
  Said said;
  std::vector<double> took;
  for (const auto& request : requests) {
    const Clock::time_point begun = Clock::now();
    const core::Intent intent = text->Classify(*request);
    took.push_back(1e3 * Seconds(Clock::now() - begun));
    said.emplace_back(LogitsOf(intent));
  }
  cost->name = "text probe";
  cost->milliseconds = SpreadOf(std::move(took));
  return said;
}

// ---- The model probe --------------------------------------------------------

Said Logits(const ProbeAnswers& answers, bool divide) {
  Said said;
  for (const ProbeAnswer& answer : answers.requests) {
    auto& logits = said.emplace_back();
    if (!answer.scores) continue;
    logits.emplace();
    for (size_t i = 0; i < core::kLabels; ++i) {
      (*logits)[i] = answer.scores->logits[i];
      if (divide) (*logits)[i] -= answers.prior[i];
    }
  }
  return said;
}

ProbeCost CostOf(const ProbeAnswers& answers, const ProbeAnswers& timed) {
  ProbeCost cost;
  cost.name = "model probe";
  std::vector<double> took, columns;
  double kept = 0;
  for (const ProbeAnswer& answer : answers.requests) {
    if (!answer.scores) {
      if (cost.failed++ == 0) cost.failure = answer.scores.error().message;
      continue;
    }
    columns.push_back(answer.scores->tokens);
    kept += answer.scores->kept ? 1 : 0;
  }
  for (const ProbeAnswer& answer : timed.requests) {
    if (answer.scores) took.push_back(1e3 * Seconds(answer.took));
  }
  if (!columns.empty()) cost.kept = kept / static_cast<double>(columns.size());
  cost.milliseconds = SpreadOf(std::move(took));
  cost.columns = SpreadOf(std::move(columns));
  return cost;
}

std::string HowAsked(const config::Probe& config,
                     const core::ScoreRequest& asked) {
  std::string text = fmt::format("The model probe asks {} with '{}' for",
                                 config.model, asked.suffix);
  for (const std::string& label : asked.labels) text += " '" + label + "'";
  return text +
         fmt::format(", {} tokens of a prompt at most.", config.tokens_max);
}

// ---- All together -----------------------------------------------------------

// One measurement; its methods are its steps, in order.
class Bench {
 public:
  Bench(const Flags& flags, const config::Config& config, Graph* graph,
        Prompts prompts)
      : flags_(flags),
        config_(config),
        graph_(graph),
        variants_(graph->orchestrator().variants()),
        prompts_(std::move(prompts)),
        requests_(RequestsOf(prompts_, "bench-probe-", 0)) {}

  Result<ProbeBenchReport> Run() {
    report_.prompts_file = flags_.prompts;
    report_.prompts = static_cast<int>(prompts_.size());
    for (const core::Variant& v : variants_) {
      report_.variants.push_back(v.name);
    }
    if (!config_.probe.text.empty()) RETURN_IF_ERROR(Text());
    RETURN_IF_ERROR(Model());
    if (!config_.policy.quality.empty()) RETURN_IF_ERROR(Route());
    return std::move(report_);
  }

 private:
  Result<void> Text() {
    ProbeCost cost;
    ASSIGN_OR_RETURN(Said said, AskText(config_.probe.text, requests_, &cost));
    report_.costs.push_back(std::move(cost));
    const bool as_is = flags_.text_said.empty();
    if (as_is) {
      report_.notes.push_back("The text probe is " + config_.probe.text +
                              " as it is: what it was trained on, it knows "
                              "(--text-said).");
    } else {
      ASSIGN_OR_RETURN(const auto read,
                       probe::ReadSaid(flags_.text_said, prompts_));
      said.assign(read.begin(), read.end());
      report_.notes.push_back("What the text probe says is read from " +
                              flags_.text_said + ".");
    }
    text_ = report_.probes.size();
    report_.probes.push_back(ViewOf("text probe", as_is, prompts_, said));
    return {};
  }

  // Without a model probe the sizes of the prompts only.
  Result<void> Model() {
    AskOptions options;
    options.in_flight = flags_.parallel;
    Progress progress(0, report_.prompts);
    options.progress = [&progress](int) { progress.Step("asked"); };
    ASSIGN_OR_RETURN(answers_,
                     AskProbe(graph_, config_.probe, requests_, options));
    if (config_.probe.model.empty()) return {};
    Prompts few = prompts_;
    Limit(kTimed, &few);
    AskOptions alone;
    alone.in_flight = 1;
    ASSIGN_OR_RETURN(const ProbeAnswers timed,
                     AskProbe(graph_, config_.probe,
                              RequestsOf(few, "bench-probe-timed-", 1), alone));
    report_.notes.push_back(HowAsked(config_.probe, answers_.asked));
    report_.costs.push_back(CostOf(answers_, timed));
    const bool divide = config_.probe.prior;
    model_ = report_.probes.size();
    report_.probes.push_back(
        ViewOf("model probe", false, prompts_, Logits(answers_, divide)));
    report_.others.push_back(ViewOf(divide ? "model probe, prior left in"
                                           : "model probe, prior divided out",
                                    false, prompts_,
                                    Logits(answers_, !divide)));
    return {};
  }

  Result<void> Route() {
    RoutingSetup setup;
    setup.variants = variants_;
    setup.quality = config_.policy.quality;
    ASSIGN_OR_RETURN(
        setup.policy,
        policy::Make("paper", PolicyOptions(config_.policy, variants_)));
    std::vector<RoutedPrompt> routed;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      routed.push_back({requests_[i], prompts_[i].label,
                        answers_.requests[i].sizes,
                        IntentOf(text_, i, core::IntentSource::kText),
                        IntentOf(model_, i, core::IntentSource::kModel)});
    }
    ASSIGN_OR_RETURN(report_.routing, RoutingRegret(setup, routed));
    return {};
  }

  std::optional<core::Intent> IntentOf(std::optional<size_t> probe, size_t i,
                                       core::IntentSource source) const {
    if (!probe || !report_.probes[*probe].served[i]) return std::nullopt;
    core::Intent intent;
    intent.probabilities = *report_.probes[*probe].served[i];
    intent.source = source;
    return intent;
  }

  const Flags& flags_;
  const config::Config& config_;
  Graph* const graph_;
  const std::vector<core::Variant>& variants_;
  const Prompts prompts_;
  const Requests requests_;
  ProbeAnswers answers_;
  ProbeBenchReport report_;
  std::optional<size_t> text_, model_;  // where their views are
};

int BenchProbe(const Flags& flags) {
  SetLogLevel(LogLevel::kWarning);
  auto config = FindConfig(flags.config, flags.sets);
  if (!config) return Fail(config.error());
  // Before minutes of loading: a wrong file is told at once.
  auto prompts = Read(flags);
  if (!prompts) return Fail(prompts.error());
  const auto graph = Graph::Build(*config, [](const std::string&) {});
  if (!graph) return Fail(graph.error());
  const auto report =
      Bench(flags, *config, graph->get(), *std::move(prompts)).Run();
  if (!report) return Fail(report.error());
  if (flags.as_json) {
    std::cout << boost::json::serialize(Json(*report)) << "\n";
  } else {
    std::cout << Markdown(*report);
  }
  if (std::cout.flush()) return 0;
  return Fail({ErrorCode::kUnavailable, "cannot write the report", ""});
}

}  // namespace

void AddBenchProbe(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand(
      "probe",
      "How good the probes are on labelled prompts, and what they cost");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--prompts", flags->prompts,
                "JSON lines with id, text, label and source")
      ->required();
  c->add_option("--holdout", flags->holdout,
                "Only these sources, or 'natural': what a probe was not "
                "trained on");
  c->add_option("--text-said", flags->text_said,
                "What the text probe is to have said, as `probe_train said` "
                "writes it: answers of models that were not trained on the "
                "prompt");
  c->add_option("--limit", flags->limit, "A fixed sample of this many prompts")
      ->check(CLI::PositiveNumber);
  c->add_option("--parallel", flags->parallel, "Prompts asked at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  c->add_flag("--json", flags->as_json, "All numbers as JSON");
  c->callback([flags, exit_code] { *exit_code = BenchProbe(*flags); });
}

}  // namespace aio::cli
