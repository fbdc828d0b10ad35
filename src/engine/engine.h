// SPDX-License-Identifier: Apache-2.0
//
// The engine of one device: carries out the step plans of its models. One
// thread owns all of its state and calls Step(); others enter by a bounded
// inbox and leave by a Sink. Models are stepped in turn; a long step pauses
// between layers after `slice` so that a small model's user does not wait for a
// large model's pass.
//
// Thread safety: Submit, Cancel, View from any thread; Step from one.
// Cost: a step allocates nothing but what a new request needs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "core/backend.h"
#include "engine/choice.h"
#include "model/forward.h"
#include "sched/scheduler.h"
#include "tokenizer/tokenizer.h"

namespace aio::engine {

// One resident variant.
struct Model {
  std::string variant;
  std::unique_ptr<model::Forward> forward;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::string fingerprint;
  sched::Options sched;  // pages and page_tokens are taken from `forward`
};

struct Options {
  int inbox_max = 1024;  // messages waiting for the engine thread
  int kept_max = 8;      // probed prompts whose KV waits for their Start
  Duration slice = std::chrono::milliseconds(80);
};

// A request to answer. `prompt` is not empty and leaves room for an answer.
struct GenerateJob {
  std::shared_ptr<const core::Request> request;
  core::Plan plan;
  std::vector<int32_t> prompt;
  std::shared_ptr<core::Sink> sink;
};

// Logits of `labels` after prompt + suffix.
struct ScoreJob {
  std::string request_id;
  std::string variant;
  std::vector<int32_t> prompt;
  std::vector<int32_t> suffix;  // not empty
  std::vector<int32_t> labels;
  bool keep = false;  // the prompt's KV, for a GenerateJob of that request
  Time deadline{};
  core::Backend::ScoreDone done;
};

class Engine {
 public:
  // `clock` is only asked for the time. REQUIRES: variants distinct.
  Engine(std::vector<Model> models, const Options& options, Executor* clock,
         Metrics* metrics);
  ~Engine();

  // kOverloaded if the inbox is full; then nothing is called back.
  Result<void> Submit(GenerateJob job);
  Result<void> Submit(ScoreJob job);
  void Cancel(std::string request_id);
  core::Snapshot View(std::string_view variant) const;

  // One action: takes the inbox, then runs one model's step or a slice of it.
  // False if there was nothing to do.
  bool Step();
  // Steps until Stop, sleeping while idle. What is unfinished then ends with
  // kUnavailable.
  void Run();
  void Stop();

 private:
  struct CancelMessage {
    std::string request_id;
  };
  using Message = std::variant<GenerateJob, ScoreJob, CancelMessage>;

  // A request under way: one sequence per choice, or one for a score.
  struct Request {
    std::string id;
    GenerateJob generate;
    std::unique_ptr<ScoreJob> score;  // else `generate` is set
    std::vector<Choice> choices;
    std::vector<sched::SequenceId> sequences;
    int open_choices = 0;
    core::Usage usage;
  };
  struct Sequence {
    Request* request = nullptr;  // null: kept for a Start
    int choice = 0;
    std::vector<int32_t> tokens;  // known ones
  };
  struct Kept {
    std::string request_id;
    sched::SequenceId sequence;
    int prompt_tokens;
  };
  // Series of one variant, looked up once: a step only adds to them.
  struct Series {
    prometheus::Gauge* pages_free;
    prometheus::Gauge* pages_total;
    prometheus::Gauge* running;
    prometheus::Gauge* queued;
    prometheus::Counter* steps;
    prometheus::Counter* columns;
    prometheus::Counter* weight_bytes;
    prometheus::Counter* kv_bytes;
    prometheus::Counter* paused;
  };
  struct State {
    Model model;
    Series series;
    std::unique_ptr<sched::Scheduler> scheduler;
    std::map<std::string, std::unique_ptr<Request>> requests;  // by id
    std::map<sched::SequenceId, Sequence> sequences;
    std::deque<Kept> kept;  // oldest first
    // The step under way.
    bool stepping = false;
    sched::StepPlan plan;
    std::vector<model::Column> columns;
    std::vector<std::vector<int32_t>> pages;  // [slice] page tables, copied
    uint64_t admissions = 0;
  };

  static Series SeriesOf(const std::string& variant, Metrics* metrics);
  State* Find(std::string_view variant);
  Result<void> Send(Message message);
  void TakeInbox();
  void Admit(GenerateJob job);
  void Admit(ScoreJob job);
  void CancelNow(const std::string& request_id);
  void ExpireScores(State* s);

  State* NextWithWork();
  bool HasWork(const State& s) const;
  void BeginStep(State* s);
  bool AdvanceStep(State* s);
  void Harvest(State* s);
  void HarvestChoice(State* s, sched::SequenceId id,
                     std::span<const float> logits);
  void HarvestScore(State* s, sched::SequenceId id,
                    std::span<const float> logits);
  void ForkChoices(State* s, Request* request, sched::SequenceId first);
  void Account(State* s);
  void Retire(State* s, Request* request, Result<core::Done> result);
  bool ResumeKept(State* s, Request* request);
  void DropKept(State* s, const std::string& request_id);
  void ForgetDropped(State* s);
  void AddSequence(State* s, Request* request, int choice,
                   std::vector<int32_t> tokens, sched::SequenceId id);
  void Publish(State* s);

  Options options_;
  Executor* clock_;
  std::vector<std::unique_ptr<State>> models_;
  size_t turn_ = 0;
  sched::SequenceId next_sequence_ = 1;

  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Message> inbox_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<std::string, core::Snapshot, std::less<>> views_ GUARDED_BY(mutex_);
};

}  // namespace aio::engine
