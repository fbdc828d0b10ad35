// SPDX-License-Identifier: Apache-2.0
//
// A device that is not there, as a core::Backend: models that share it by time,
// with the production scheduler, pages, prefix tree, turns, views and drafts
// (sched/), on virtual time. Only the forward pass is replaced, by what a step
// takes (step_cost.h), and the sampler, by what the request will say
// (sim_request.h).
//
// Requests have one choice, and must be SimRequests.
//
// Thread safety: none; everything on one executor.
// See docs/simulator.md.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "core/backend.h"
#include "core/view.h"
#include "cost/step_cost.h"
#include "sched/scheduler.h"
#include "sched/speculation.h"
#include "sched/turns.h"
#include "sched/views.h"
#include "sim/sim_request.h"

namespace aio::sim {

struct SimView {
  std::string variant;
  core::View view = core::View::k8;
  size_t number = 0;        // of the variant, for SimRequest::OutputLength
  bool speculation = true;  // whether requests that do not say may have drafts
};

struct SimModel {
  std::vector<SimView> views;  // at least one
  cost::StepCost cost;
  sched::Options sched;
  // What scheduler and drafts go by, which may differ from what steps take;
  // empty: the tables of `cost`. Takes the place of the one in `sched`.
  sched::StepTables known;
  int layers = 0;  // turns end between them; 0: anywhere
  int context_tokens_max = 32768;
  int64_t weight_bytes = 0;  // of a step with columns of 8 bits
  int64_t coarse_weight_bytes = 0;
  int64_t kv_bytes_per_token = 0;
  sched::SpeculationOptions speculation;
  // A variant of another model of this device that drafts for this one, and
  // how often its next token is right; empty: none.
  std::string draft;
  double draft_acceptance = 0.7;
  // What the first step takes longer: compiling, caches.
  double first_step_seconds = 0;
};

class SimBackend : public core::Backend {
 public:
  struct Options {
    Duration slice = std::chrono::milliseconds(80);  // of a turn
    // From Start to the scheduler's queue: rendering, tokenizing, a network.
    double request_seconds = 0;
    uint64_t seed = 1;  // of drafts
    // Answers to Score, by label; empty: kUnsupported.
    std::function<std::vector<float>(const SimRequest&,
                                     const std::vector<std::string>& labels)>
        scores = {};
  };
  // What the device has done.
  struct Work {
    double busy_seconds = 0;
    int64_t steps = 0;
    int64_t columns = 0;
    int64_t paused = 0;
    double weight_bytes = 0;
    double kv_bytes = 0;
  };

  // Both must outlive it.
  SimBackend(std::vector<SimModel> models, Options options, Executor* executor,
             Metrics* metrics);
  ~SimBackend() override;

  core::Snapshot View(std::string_view variant) const override;
  void Peek(std::shared_ptr<const core::Request> request,
            std::string_view variant, std::optional<core::Thinking> thinking,
            PeekDone done) override;
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override;
  void Cancel(std::string_view request_id) override;
  void Score(core::ScoreRequest request, Time deadline,
             ScoreDone done) override;

  // Faults. Gone: what runs fails with kUnavailable, and so does what comes,
  // until it is back. Speed: 0.5 takes twice as long.
  void SetGone(bool gone);
  void SetSpeed(double speed) { speed_ = speed; }

  const Work& work() const { return work_; }
  const Work& work(std::string_view variant) const;
  // Seconds that its requests have waited for their first slice.
  const std::vector<double>& queueing(std::string_view variant) const;

 private:
  struct Model;
  struct Request;
  class Guests;
  struct Found {
    Model* model = nullptr;
    size_t view = 0;
  };

  Found Find(std::string_view variant) const;
  static int RequestsAtWork(const Model& model);
  sched::Turns::NextStep NextStepOf(const Model& model) const;
  void AddModel(SimModel model, Metrics* metrics);
  void FindDraftModels();
  void Admit(std::unique_ptr<Request> request);
  void Enter(Request* r);
  void Wake();
  void BeginSlice();
  void BeginStep(Model* m);
  void TimeStep(Model* m);
  void EndSlice(Model* m, Duration took);
  void Harvest(Model* m);
  void Account(Model* m, const sched::StepPlan& plan);
  void HarvestAnswer(Model* m, const sched::Slice& slice, Request* r);
  void HarvestScore(Request* r);
  bool Say(Request* r);
  void Retire(Request* r, Result<core::Done> result);

  Options options_;
  Executor* executor_;
  std::vector<std::unique_ptr<Model>> models_;
  sched::Turns turns_;
  std::map<std::string, Request*, std::less<>> by_id_;
  std::map<sched::SequenceId, std::unique_ptr<Request>> requests_;
  sched::SequenceId next_sequence_ = 1;
  bool running_ = false;  // a turn is under way
  sched::Turns::Turn turn_;
  Time turn_end_{};
  bool waking_ = false;  // one is about to begin
  bool gone_ = false;
  double speed_ = 1;
  Work work_;
  std::shared_ptr<bool> alive_;  // tasks that come later find nobody
};

}  // namespace aio::sim
