// SPDX-License-Identifier: Apache-2.0
#include "cli/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <set>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "cli/asker.h"
#include "cli/eval_parts.h"
#include "eval/workload.h"

namespace aio::cli {

Evaluation::Evaluation(const EvaluationOptions& options, config::Config config,
                       std::vector<Contender> contenders,
                       std::vector<eval::Task> tasks)
    : options_(options),
      config_(std::move(config)),
      contenders_(std::move(contenders)),
      tasks_(std::move(tasks)) {}

Result<void> Evaluation::Load(const Say& say) {
  header_.tasks_hash = eval::HashTasks(tasks_);
  header_.tasks = static_cast<int>(tasks_.size());
  tasks_ = eval::LimitTasks(std::move(tasks_), options_.limit);
  ASSIGN_OR_RETURN(python_, MakePython(tasks_, options_.unsafe_python));
  config_.server.requests_max =
      std::max(config_.server.requests_max, options_.parallel);
  ASSIGN_OR_RETURN(graph_, Graph::Build(config_, say));
  RETURN_IF_ERROR(graph_->WarmUp());
  return OpenResults();
}

Result<void> Evaluation::OpenResults() {
  const auto prints = VariantFingerprints(config_, *graph_);
  for (const Contender& c : contenders_) {
    const core::ThinkingRowParts row = core::PartsOfThinkingRow(c.model);
    const auto it = prints.find(std::string(row.variant));
    header_.fingerprints[c.name] =
        it == prints.end() ? PolicyFingerprint(config_, *graph_) : it->second;
  }
  header_.settings = {{"max_tokens", std::to_string(options_.max_tokens)},
                      {"parallel", std::to_string(options_.parallel)},
                      {"temperature", "0"}};
  if (options_.out.empty()) return {};
  auto file = eval::ResultsFile::Open(options_.out, header_, options_.restart);
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

Result<void> Evaluation::Run(const std::vector<eval::Job>& jobs) {
  Asker asker({options_.max_tokens, options_.upstream, options_.margins});
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
  options.parallel = options_.parallel;
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

Result<void> Evaluation::Ask() {
  const std::vector<eval::Job> jobs = JobsLeft();
  if (!records_.empty()) {
    std::cerr << fmt::format("{}: {} results are there, {} left to run\n",
                             options_.out, records_.size(), jobs.size());
  }
  RETURN_IF_ERROR(Run(jobs));
  return file_ ? file_->Flush() : Result<void>();
}

eval::Report Evaluation::Report() const {
  std::vector<std::string> names;
  for (const Contender& c : contenders_) names.push_back(c.name);
  eval::Report report = eval::Summarize(header_, names, records_);
  report.tasks = static_cast<int>(tasks_.size());
  return report;
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
    std::cerr << fmt::format("{}: stopped with {} tasks left; ",
                             options_.command, left)
              << (options_.out.empty()
                      ? "nothing was kept: --out FILE keeps results"
                      : "the same command goes on from here")
              << "\n";
    return 128 + signal_;
  }
  if (!ran) {
    std::cerr << options_.command << ": " << ran.error().message << "\n";
    if (!options_.out.empty()) {
      std::cerr << "what was written to " << options_.out
                << " before is whole; the same command goes on from there\n";
    }
    return 1;
  }
  if (errors > 0 && errors == done) {
    std::cerr << options_.command
              << ": every request failed; the last: " << records_.back().error
              << "\n";
    return 1;
  }
  return 0;
}

Result<void> WriteWhole(const std::string& path, const std::string& text) {
  ASSIGN_OR_RETURN(auto file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(text))));
  return file.Commit();
}

}  // namespace aio::cli
