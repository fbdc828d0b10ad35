// SPDX-License-Identifier: Apache-2.0
//
// Puts every task to every contender, several at once, and has the answers
// checked on threads of their own, so that a slow checker (a Python program)
// overlaps with decoding. Who answers, and where results go, is the caller's:
// this folder knows no orchestrator.
//
// Thread safety: Run on one thread, which it blocks; Stop from any thread. The
// functions of Parts say where they are called.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/outcome.h"
#include "eval/checker.h"
#include "eval/record.h"
#include "eval/task.h"

namespace aio::eval {

// An answer and what it took; fields as in Record.
struct Reply {
  std::string text;
  std::string served;
  std::string sensed;
  std::string finish;
  std::string fingerprint;  // of the model that answered
  core::Usage usage;
  double begun = 0;
  double seconds = 0;
  double first_seconds = 0;
  double probe_seconds = 0;
  std::optional<Margin> margin;
};
using AskDone = std::function<void(Result<Reply>)>;

struct Parts {
  // Starts a request on Run's thread; `done` exactly once, from any thread.
  std::function<void(const Task& task, const std::string& contender,
                     AskDone done)>
      ask;
  // Ends what was asked and has not ended; called once, on Run's thread.
  std::function<void()> cancel;
  // Called from several threads at once. An error counts as a wrong answer.
  std::function<Result<Verdict>(const Task& task, std::string_view answer)>
      check;
  // A finished task, on Run's thread. An error ends the run.
  std::function<Result<void>(const Record& record)> record;
};

struct Job {
  const Task* task = nullptr;  // must outlive the run
  std::string contender;
};

struct RunOptions {
  int parallel = 1;  // requests at once
  int checkers = 1;  // threads that check; 0: on Run's thread
  int session = 0;   // of the records
  // A contender whose first requests all fail, this many, ends the run: what
  // is wrong is then the configuration, not a task.
  int failures_max = 10;
};

class Runner {
 public:
  Runner(Parts parts, RunOptions options);
  ~Runner();

  // In order, contender by contender as the jobs stand. A failed request or
  // checker is a Record with `error`. Returns the first error of Parts::record,
  // kUnavailable for a contender that answers nothing, or kCancelled after
  // Stop; whatever the error, what had been answered is recorded first. Once.
  Result<void> Run(const std::vector<Job>& jobs);
  // Asks nothing more, cancels what runs; what is being checked is recorded.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace aio::eval
