// SPDX-License-Identifier: Apache-2.0
//
// Labelled tasks put to variants or a policy of a config, as `aio eval` and
// `aio calibrate` do: resumable, with progress, ended by a signal with what was
// done kept. See docs/eval.md.
//
// Thread safety: none; Load and Ask block.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "config/config.h"
#include "eval/python_runner.h"
#include "eval/report.h"
#include "eval/results_file.h"
#include "eval/run.h"
#include "eval/task.h"

namespace aio::cli {

// Who is put to the test.
struct Contender {
  std::string name;   // in the table
  std::string model;  // in the requests
};

struct EvaluationOptions {
  std::string command = "aio eval";  // in messages
  int limit = 0;                     // tasks; 0: all
  int parallel = 4;                  // requests at once
  int max_tokens = 256;              // of tasks that do not say
  bool upstream = false;             // a server is asked (Asker)
  bool unsafe_python = false;
  bool margins = false;  // Record::margin is wanted
  std::string out;  // the results file; empty: none
  bool restart = false;
};

class Evaluation {
 public:
  // `options` outlives it.
  Evaluation(const EvaluationOptions& options, config::Config config,
             std::vector<Contender> contenders, std::vector<eval::Task> tasks);

  // Builds the graph, `say` being told how, and reads what results there are.
  Result<void> Load(const Say& say);
  // Runs what is left. After an error, what there is is still reported.
  Result<void> Ask();
  eval::Report Report() const;
  // The exit code, and on standard error why it is not 0. `ran`: of Ask.
  int Explain(const Result<void>& ran, const eval::Report& report) const;

  Graph& graph() { return *graph_; }
  const config::Config& config() const { return config_; }
  const std::vector<eval::Task>& tasks() const { return tasks_; }
  // Of this run and of those before it, in the order they came.
  const std::vector<eval::Record>& records() const { return records_; }

 private:
  Result<void> OpenResults();
  std::vector<eval::Job> JobsLeft() const;
  Result<void> Run(const std::vector<eval::Job>& jobs);
  Result<void> Keep(const eval::Record& record);
  const std::string& ModelOf(const std::string& contender) const;

  const EvaluationOptions& options_;
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

// Writes `text` as `path`, whole or not at all.
Result<void> WriteWhole(const std::string& path, const std::string& text);

}  // namespace aio::cli
