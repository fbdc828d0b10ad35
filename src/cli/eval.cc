// SPDX-License-Identifier: Apache-2.0
//
// `aio eval`: labelled tasks through the path that serves, resumable, as one
// table of quality and speed. See docs/eval.md.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/evaluation.h"
#include "cli/graph.h"
#include "eval/report.h"
#include "eval/task.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string tasks;
  std::vector<std::string> variants;
  std::string policy;
  std::string url;
  std::string api_key_env;
  int limit = 0;
  int parallel = 4;
  int max_tokens = 256;
  std::string out;
  bool restart = false;
  bool as_json = false;
  std::string quality_table;
  bool unsafe_python = false;
  bool margins = false;
};

int Fail(const Error& error) {
  std::cerr << "aio eval: " << error.message << "\n";
  return 1;
}

Error Wrong(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), ""};
}

// "auto" is no name that a variant of a config may have.
constexpr const char* kUpstreamAuto = "server:auto";

// A config of nothing but the server at `url`.
Result<config::Config> ConfigOfUrl(const Flags& flags) {
  if (!flags.config.empty() || !flags.policy.empty()) {
    return Wrong(
        "--url asks a server, which has a config and a policy of its "
        "own: --config and --policy do not go with it");
  }
  std::vector<std::string> models = flags.variants;
  if (models.empty()) models.push_back("auto");
  config::Config config;
  for (const std::string& model : models) {
    config::Variant variant;
    variant.upstream = {flags.url};
    variant.model = core::PartsOfThinkingRow(model).variant;
    variant.api_key_env = flags.api_key_env;
    variant.thinking = core::ThinkingSwitch::kTemplate;
    const std::string name =
        variant.model == "auto" ? kUpstreamAuto : variant.model;
    const bool there = std::ranges::any_of(
        config.variants, [&](const auto& v) { return v.first == name; });
    if (!there) config.variants.emplace_back(name, variant);
  }
  config.policy.kind = "random";  // never asked: every request is pinned
  return config;
}

Result<config::Config> MakeConfig(const Flags& flags) {
  if (!flags.url.empty()) return ConfigOfUrl(flags);
  std::vector<std::string> sets = flags.sets;
  if (!flags.policy.empty()) sets.push_back("policy.kind=" + flags.policy);
  return FindConfig(flags.config, sets);
}

Result<std::vector<Contender>> MakeContenders(const Flags& flags,
                                              const config::Config& config) {
  const std::set<std::string> once(flags.variants.begin(),
                                   flags.variants.end());
  if (once.size() != flags.variants.size()) {
    return Wrong("--variants names one twice");
  }
  std::vector<Contender> out;
  if (!flags.policy.empty()) {
    out.push_back({"policy:" + flags.policy, "auto"});
    return out;
  }
  std::vector<std::string> known;
  for (const auto& [name, unused] : config.variants) known.push_back(name);
  if (flags.url.empty() && !flags.variants.empty()) {
    for (const std::string& name : flags.variants) {
      const std::string variant(core::PartsOfThinkingRow(name).variant);
      if (std::find(known.begin(), known.end(), variant) == known.end()) {
        return Wrong("--variants: there is no variant '" + name + "'" +
                     DidYouMean(name, known));
      }
    }
    known = flags.variants;
  } else if (!flags.variants.empty()) {
    known.clear();
    for (const std::string& model : flags.variants) {
      known.push_back(model == "auto" ? kUpstreamAuto : model);
    }
  }
  for (const std::string& name : known) {
    out.push_back({name == kUpstreamAuto ? "auto" : name, name});
  }
  return out;
}

EvaluationOptions OptionsOf(const Flags& flags) {
  EvaluationOptions options;
  options.limit = flags.limit;
  options.parallel = flags.parallel;
  options.max_tokens = flags.max_tokens;
  options.upstream = !flags.url.empty();
  options.unsafe_python = flags.unsafe_python;
  options.margins = flags.margins;
  options.out = flags.out;
  options.restart = flags.restart;
  return options;
}

Result<void> WriteQualityTable(const Flags& flags, const eval::Report& report) {
  if (flags.quality_table.empty()) return {};
  if (!report.complete()) {
    return Wrong("the quality table is not written: not every task has run");
  }
  return WriteWhole(flags.quality_table, eval::QualityTableJson(report));
}

// From loaded tasks to the report; the exit code.
Result<int> Run(const Flags& flags, Evaluation* evaluation) {
  RETURN_IF_ERROR(evaluation->Load([](const std::string&) {}));
  const Result<void> ran = evaluation->Ask();
  const eval::Report report = evaluation->Report();
  std::cout << (flags.as_json ? eval::ReportJson(report)
                              : eval::ReportTable(report))
            << std::flush;
  const int code = evaluation->Explain(ran, report);
  if (code != 0) return code;
  RETURN_IF_ERROR(WriteQualityTable(flags, report));
  if (!std::cout) return Error{ErrorCode::kUnavailable, "cannot write", ""};
  return 0;
}

int Eval(const Flags& flags) {
  SetLogLevel(LogLevel::kError);
  if (!flags.quality_table.empty() && !flags.policy.empty()) {
    return Fail(Wrong("a quality table is of variants; leave --policy out"));
  }
  auto tasks = eval::LoadTasks(flags.tasks);
  if (!tasks) return Fail(tasks.error());
  auto config = MakeConfig(flags);
  if (!config) return Fail(config.error());
  auto contenders = MakeContenders(flags, *config);
  if (!contenders) return Fail(contenders.error());
  const EvaluationOptions options = OptionsOf(flags);
  Evaluation evaluation(options, *std::move(config), *std::move(contenders),
                        *std::move(tasks));
  const auto code = Run(flags, &evaluation);
  return code ? *code : Fail(code.error());
}

}  // namespace

void AddEval(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "eval", "Measure quality and speed of variants on labelled tasks");
  c->add_option("--tasks,-t", flags->tasks,
                "JSONL file, published benchmark file, or a folder of them")
      ->required();
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  CLI::Option* variants =
      c->add_option("--variants,-v", flags->variants,
                    "a,b: pin each of these; default: every variant. "
                    "a+think, a+no_think: told so")
          ->delimiter(',');
  c->add_option("--policy", flags->policy,
                "Route by this policy instead: marginal, paper, random, "
                "static:NAME")
      ->excludes(variants);
  c->add_option("--url", flags->url,
                "Ask the server at http://HOST:PORT/v1 instead; --variants are "
                "its models, default auto");
  c->add_option("--api-key-env", flags->api_key_env,
                "Environment variable with the key for --url");
  c->add_option("--limit", flags->limit,
                "This many tasks, taken in turn from each intent; 0: all")
      ->check(CLI::NonNegativeNumber);
  c->add_option("--parallel,-j", flags->parallel, "Requests at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--max-tokens,-n", flags->max_tokens,
                "Of an answer, where the task does not say")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--out,-o", flags->out,
                "Results as JSONL; goes on where an earlier run stopped");
  c->add_flag("--restart", flags->restart, "Begin the results file anew");
  c->add_option("--quality-table", flags->quality_table,
                "Write what policy.quality_table of a config loads");
  c->add_flag("--json", flags->as_json, "The report as JSON");
  c->add_flag("--margins", flags->margins,
              "Record how sure the answers were, for policy.escalation_margin");
  c->add_flag("--unsafe-python", flags->unsafe_python,
              "Run Python tests even without isolation");
  c->callback([flags, exit_code] { *exit_code = Eval(*flags); });
}

}  // namespace aio::cli
