// SPDX-License-Identifier: Apache-2.0
//
// The clients of a workload: they ask an orchestrator, stream, give up and come
// back, and note what they saw. On virtual time for a simulation, on the real
// one for what it is compared with: the same object.
//
// Thread safety: everything on `executor`; where sinks are called from other
// threads, they post to it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "core/quality.h"
#include "orchestrator/orchestrator.h"
#include "sim/report.h"
#include "sim/workload.h"

namespace aio::sim {

class Clients {
 public:
  struct Options {
    WorkloadOptions workload;
    std::vector<std::string> variants;  // a row for each
    core::QualityTable quality;
    bool threads = false;  // sinks are called from other threads
    // Called when so many requests have ended, now and then and at the end.
    std::function<void(int ended)> progress = {};
  };

  // Both must outlive it.
  Clients(Options options, Executor* executor,
          orchestrator::Orchestrator* orchestrator);

  // Begins; `done` is called once every request has ended.
  void Start(std::function<void()> done);
  // Of a request under way.
  core::Label IntentOf(const std::string& id) const { return intents_.at(id); }
  // Seconds from Start to the last answer.
  double seconds() const;
  // Rows of the variants, then of all; without what only devices know.
  std::vector<ReportRow> Rows() const;

 private:
  // What became of one request.
  struct Asked {
    core::Label intent = core::Label::kChat;
    int cancel_after = 0;
    Time at{};
    std::optional<Time> first;
    Time last{};
    int tokens = 0;
    std::string variant;
    bool gave_up = false;
  };
  struct Tally {
    ReportRow row;
    std::vector<double> ttft, tpot, total;
    std::array<double, core::kLabels> quality = {};  // sums
    std::array<int64_t, core::kLabels> judged = {};
  };
  class Client;

  void Later(Time when, std::function<void()> work);
  void AskNext();
  void Ask(Arrival arrival);
  void Ended(const std::string& id, const Asked& asked,
             const Result<core::Done>& done);
  void Count(Tally* tally, const Asked& asked,
             const Result<core::Done>& done) const;
  ReportRow RowOf(const Tally& tally, int64_t requests) const;

  Options options_;
  Workload workload_;
  Executor* executor_;
  orchestrator::Orchestrator* orchestrator_;
  std::function<void()> done_;
  std::map<std::string, core::Label> intents_;  // of requests under way
  std::map<std::string, Tally> tallies_;        // by variant; "" for all
  Time begin_{}, last_{};
  int ended_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace aio::sim
