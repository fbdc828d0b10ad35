// SPDX-License-Identifier: Apache-2.0
//
// `aio eval`: labelled tasks through the path that serves, resumable, as one
// table of quality and speed. See docs/eval.md.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/nearest.h"
#include "cli/asker.h"
#include "cli/commands.h"
#include "cli/eval_parts.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "eval/report.h"
#include "eval/results_file.h"
#include "eval/run.h"
#include "eval/task.h"
#include "eval/workload.h"

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
};

// Who is put to the test.
struct Contender {
  std::string name;   // in the table
  std::string model;  // in the requests
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
    variant.upstream = flags.url;
    variant.model = model;
    variant.api_key_env = flags.api_key_env;
    config.variants.emplace_back(model == "auto" ? kUpstreamAuto : model,
                                 variant);
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
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        return Wrong("--variants: there is no variant '" + name + "'" +
                     DidYouMean(name, known));
      }
    }
    known = flags.variants;
  }
  for (const std::string& name : known) {
    out.push_back({name == kUpstreamAuto ? "auto" : name, name});
  }
  return out;
}

// One run of the command, from loaded tasks to the report.
class Evaluation {
 public:
  Evaluation(const Flags& flags, config::Config config,
             std::vector<Contender> contenders, std::vector<eval::Task> tasks)
      : flags_(flags),
        config_(std::move(config)),
        contenders_(std::move(contenders)),
        tasks_(std::move(tasks)) {}

  // The exit code; after an error of the run, what it has is still reported.
  Result<int> Run();

 private:
  Result<void> Load();
  Result<void> OpenResults();
  std::vector<eval::Job> JobsLeft() const;
  Result<void> Ask(const std::vector<eval::Job>& jobs);
  Result<void> Keep(const eval::Record& record);
  eval::Report Report() const;
  Result<void> WriteQualityTable(const eval::Report& report) const;
  int Explain(const Result<void>& ran, const eval::Report& report) const;
  const std::string& ModelOf(const std::string& contender) const;

  const Flags& flags_;
  config::Config config_;
  const std::vector<Contender> contenders_;
  std::vector<eval::Task> tasks_;
  std::unique_ptr<eval::PythonRunner> python_;
  std::unique_ptr<Graph> graph_;
  eval::Header header_;
  std::optional<eval::ResultsFile> file_;
  std::vector<eval::Record> records_;
  std::unique_ptr<Progress> progress_;
  int right_ = 0;
  int errors_ = 0;
  std::atomic<int> signal_{0};
};

Result<void> Evaluation::Load() {
  header_.tasks_hash = eval::HashTasks(tasks_);
  header_.tasks = static_cast<int>(tasks_.size());
  tasks_ = eval::LimitTasks(std::move(tasks_), flags_.limit);
  ASSIGN_OR_RETURN(python_, MakePython(tasks_, flags_.unsafe_python));
  config_.server.requests_max =
      std::max(config_.server.requests_max, flags_.parallel);
  ASSIGN_OR_RETURN(graph_, Graph::Build(config_, [](const std::string&) {}));
  RETURN_IF_ERROR(graph_->WarmUp());
  return {};
}

Result<void> Evaluation::OpenResults() {
  const auto prints = VariantFingerprints(config_, *graph_);
  for (const Contender& c : contenders_) {
    const auto it = prints.find(c.model);
    header_.fingerprints[c.name] =
        it == prints.end() ? PolicyFingerprint(config_, *graph_) : it->second;
  }
  header_.settings = {{"max_tokens", std::to_string(flags_.max_tokens)},
                      {"parallel", std::to_string(flags_.parallel)},
                      {"temperature", "0"}};
  if (flags_.out.empty()) return {};
  auto file = eval::ResultsFile::Open(flags_.out, header_, flags_.restart);
  if (!file) return std::move(file).error();
  file_ = *std::move(file);
  std::set<std::string> ids;
  for (const eval::Task& task : tasks_) ids.insert(task.id);
  for (const eval::Record& record : file_->found()) {
    if (ids.count(record.task) > 0) records_.push_back(record);
  }
  return {};
}

// Failed ones run again: what made them fail may have been mended.
std::vector<eval::Job> Evaluation::JobsLeft() const {
  std::set<std::pair<std::string, std::string>> done;
  for (const eval::Record& record : records_) {
    if (record.error.empty()) done.emplace(record.contender, record.task);
  }
  std::vector<eval::Job> jobs;
  for (const Contender& c : contenders_) {
    for (const eval::Task& task : tasks_) {
      if (done.count({c.name, task.id}) == 0) jobs.push_back({&task, c.name});
    }
  }
  return jobs;
}

const std::string& Evaluation::ModelOf(const std::string& contender) const {
  const auto it =
      std::find_if(contenders_.begin(), contenders_.end(),
                   [&](const Contender& c) { return c.name == contender; });
  return it->model;
}

Result<void> Evaluation::Keep(const eval::Record& record) {
  records_.push_back(record);
  right_ += record.right;
  errors_ += !record.error.empty();
  Result<void> kept;
  if (file_) kept = file_->Append(record);
  progress_->Step(errors_ == 0
                      ? fmt::format("{} right", right_)
                      : fmt::format("{} right, {} errors", right_, errors_));
  return kept;
}

Result<void> Evaluation::Ask(const std::vector<eval::Job>& jobs) {
  Asker asker({flags_.max_tokens, !flags_.url.empty()});
  eval::Parts parts;
  parts.ask = [&](const eval::Task& task, const std::string& contender,
                  eval::AskDone done) {
    asker.Ask(&graph_->orchestrator(), ModelOf(contender), task,
              std::move(done));
  };
  parts.cancel = [&] { asker.CancelAll(); };
  parts.check = [&](const eval::Task& task, std::string_view answer) {
    return eval::Check(task, answer, python_.get());
  };
  parts.record = [&](const eval::Record& record) { return Keep(record); };
  eval::RunOptions options;
  options.parallel = flags_.parallel;
  options.checkers = python_ == nullptr ? 1 : 2;
  options.session = file_ ? file_->session() : 0;
  eval::Runner runner(std::move(parts), options);
  boost::asio::signal_set signals(graph_->io(), SIGINT, SIGTERM);
  signals.async_wait([&](auto error, int signal) {
    if (error) return;
    std::cerr << "\nstopping; a second signal stops at once\n";
    signal_ = signal;
    runner.Stop();
    signals.async_wait([](auto again, int second) {
      // Every line of the results file was written in one piece.
      if (!again) std::_Exit(128 + second);
    });
  });
  const int before =
      static_cast<int>(contenders_.size() * tasks_.size() - jobs.size());
  progress_ = std::make_unique<Progress>(
      before, before + static_cast<int>(jobs.size()));
  const IoThread io(graph_.get());
  Result<void> ran = runner.Run(jobs);
  progress_.reset();
  return ran;
}

eval::Report Evaluation::Report() const {
  std::vector<std::string> names;
  for (const Contender& c : contenders_) names.push_back(c.name);
  eval::Report report = eval::Summarize(header_, names, records_);
  report.tasks = static_cast<int>(tasks_.size());
  return report;
}

Result<void> Evaluation::WriteQualityTable(const eval::Report& report) const {
  if (flags_.quality_table.empty()) return {};
  if (!report.complete()) {
    return Wrong("the quality table is not written: not every task has run");
  }
  const std::string text = eval::QualityTableJson(report);
  ASSIGN_OR_RETURN(auto file, AtomicFile::Create(flags_.quality_table));
  RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(text))));
  return file.Commit();
}

// What went wrong, after the table of what went well.
int Evaluation::Explain(const Result<void>& ran,
                        const eval::Report& report) const {
  int done = 0;
  int errors = 0;
  for (const eval::ContenderReport& c : report.contenders) {
    done += c.all.tasks;
    errors += c.all.errors;
  }
  const int left = static_cast<int>(contenders_.size()) * report.tasks - done;
  if (signal_ != 0) {
    std::cerr << fmt::format("aio eval: stopped with {} tasks left; ", left)
              << (flags_.out.empty()
                      ? "nothing was kept: --out FILE keeps results"
                      : "the same command with --out " + flags_.out +
                            " goes on from here")
              << "\n";
    return 128 + signal_;
  }
  if (!ran) {
    Fail(ran.error());
    if (!flags_.out.empty()) {
      std::cerr << "what was written to " << flags_.out
                << " before is whole; the same command goes on from there\n";
    }
    return 1;
  }
  if (errors > 0 && errors == done) {
    Fail(Wrong("every request failed; the last: " + records_.back().error));
    return 1;
  }
  return 0;
}

Result<int> Evaluation::Run() {
  RETURN_IF_ERROR(Load());
  RETURN_IF_ERROR(OpenResults());
  const std::vector<eval::Job> jobs = JobsLeft();
  if (!records_.empty()) {
    std::cerr << fmt::format("{}: {} results are there, {} left to run\n",
                             flags_.out, records_.size(), jobs.size());
  }
  Result<void> ran = Ask(jobs);
  if (file_ && ran) ran = file_->Flush();
  const eval::Report report = Report();
  std::cout << (flags_.as_json ? eval::ReportJson(report)
                               : eval::ReportTable(report))
            << std::flush;
  const int code = Explain(ran, report);
  if (code != 0) return code;
  RETURN_IF_ERROR(WriteQualityTable(report));
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
  const auto code = Evaluation(flags, *std::move(config),
                               *std::move(contenders), *std::move(tasks))
                        .Run();
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
                    "a,b: pin each of these; default: every variant")
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
  c->add_flag("--unsafe-python", flags->unsafe_python,
              "Run Python tests even without isolation");
  c->callback([flags, exit_code] { *exit_code = Eval(*flags); });
}

}  // namespace aio::cli
