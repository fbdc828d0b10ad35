// SPDX-License-Identifier: Apache-2.0
//
// Puts labelled tasks to an orchestrator, many at once, and times the answers
// as a client of the server would: the very path that serves. Greedy, so that
// the same question gets the same answer.
//
// Thread safety: Ask and CancelAll from one thread; answers come on the
// backends' threads. The graph's io() must run on a thread (IoThread).
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/executor.h"
#include "cli/graph.h"
#include "eval/run.h"
#include "eval/task.h"
#include "orchestrator/orchestrator.h"

namespace aio::cli {

// Runs a graph's io() on a thread of its own until destroyed. Goes before the
// graph.
class IoThread {
 public:
  explicit IoThread(Graph* graph);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

 private:
  boost::asio::io_context& io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      guard_;
  std::thread thread_;
};

class Asker {
 public:
  struct Options {
    int max_tokens = 256;  // of tasks that do not say
    // Who answers is what the upstream calls itself, not our name for it.
    bool served_by_upstream = false;
    bool margins = false;  // Reply::margin is wanted
  };
  explicit Asker(Options options);

  // Plain unless said: steps and bytes are counted, and drafts go by what pays
  // at the moment. `model` is "auto" or a variant's name; `done` exactly once. The
  // orchestrator outlives what was asked of it.
  void Ask(orchestrator::Orchestrator* orchestrator, const std::string& model,
           const eval::Task& task, eval::AskDone done,
           core::Strategy strategy = core::Strategy::kPlain);
  void CancelAll();
  // Seconds since this object was made.
  double Now() const;

 private:
  struct Shared;  // with the sinks
  const Options options_;
  std::shared_ptr<Shared> shared_;
  int64_t count_ = 0;
};

}  // namespace aio::cli
