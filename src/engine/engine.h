// SPDX-License-Identifier: Apache-2.0
//
// The engine of one device: carries out the step plans of its models. One
// thread owns all of its state and calls Step(); others enter by a bounded
// inbox and leave by a Sink.
//
// Models share the device by time (sched/turns.h): one runs for a step or, if
// that is long, `slice` of one; it pauses between layers. So while a large
// model's step is paused a small one runs whole steps, until both have had as
// much.
//
// Thread safety: Submit, Cancel, View, CachedTokens from any thread; Step from
// one.
// Cost: a step allocates lists of indices, and what a new request needs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "core/backend.h"
#include "core/view.h"
#include "cost/step_cost.h"
#include "engine/choice.h"
#include "engine/guest_forward.h"
#include "model/forward.h"
#include "sched/scheduler.h"
#include "sched/speculation.h"
#include "sched/turns.h"
#include "sched/views.h"
#include "tokenizer/thinking.h"
#include "tokenizer/tokenizer.h"

namespace aio::engine {

// A variant of a model.
struct ModelView {
  std::string variant;
  std::string fingerprint = {};
  core::View view = core::View::k8;
  // Whether requests that do not say may be answered with drafts.
  bool speculation = true;
};

// Weights in memory, and the variants that they serve: each a view of its own,
// in steps and from pages that they share.
struct Model {
  // At least one; none but k8 if `forward` is not nested.
  std::vector<ModelView> views;
  std::unique_ptr<model::Forward> forward;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  // Pages, page_tokens and columns_max are taken from `forward`. The step table
  // is of steps with columns of 8 bits.
  sched::Options sched;
  // Of steps whose columns all have 4 bits, if there can be such.
  std::optional<cost::StepTable> coarse_step_table = {};
  // `forward` must give logits of sequences_max + drafts_max columns.
  sched::SpeculationOptions speculation;
  // The variant of another model of this engine that drafts for this one, with
  // the same tokens; empty: none.
  std::string draft = {};
  // For measuring: what is drafted behind a text instead of what `draft` says.
  std::function<int32_t(std::span<const int32_t> text)> draft_script = {};

  // Of steps whose columns all have 4 bits, or of others.
  const std::optional<cost::StepTable>& StepTableOf(bool coarse) const {
    return coarse ? coarse_step_table : sched.step_table;
  }
};

// A step that was run, for whoever learns what steps take.
struct StepRecord {
  std::string_view model;  // its first variant
  cost::StepSize size;
  double seconds = 0;  // planning, drafts and sampling among them
};

struct Options {
  std::string device = "cpu";  // names it in metrics
  int inbox_max = 1024;        // messages waiting for the engine thread
  // What a model runs before others may: longer makes them wait, shorter evicts
  // its weights from the caches more often.
  Duration slice = std::chrono::milliseconds(80);
  std::function<void()> on_run;  // Run calls it first, if it is set
  // Called after each step on the engine's thread, if it is set.
  std::function<void(const StepRecord&)> on_step;
};

// A request to answer. `prompt` is not empty and leaves room for an answer.
struct GenerateJob {
  std::shared_ptr<const core::Request> request;
  core::Plan plan;
  std::vector<int32_t> prompt;
  std::shared_ptr<core::Sink> sink;
  // Of the prompt, the tokens at its end that begin the answer and were shown.
  int shown_tokens = 0;
  std::vector<int32_t> draft = {};  // sched::Speculation::About::given
  // What thoughts are told by; absent: all is answer.
  std::optional<tokenizer::ThinkingMarks> marks = {};
  bool in_thought = false;  // the prompt ends within one
};

// Logits of `labels` after prompt + suffix.
struct ScoreJob {
  std::string request_id;
  std::string variant;
  std::vector<int32_t> prompt;
  std::vector<int32_t> suffix;  // not empty
  std::vector<int32_t> labels;
  uint64_t salt = 0;  // whose prompt it is
  double weight = 1;  // its
  bool whole = true;  // `prompt` is what a Start will ask, not an excerpt of it
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
  // Tokens of `prompt` whose KV existed a moment ago. An estimate, for prices.
  int CachedTokens(std::string_view variant, uint64_t salt,
                   std::span<const int32_t> prompt) const;

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
    int view = 0;                     // of the model's views
    std::vector<Choice> choices;
    std::vector<sched::SequenceId> sequences;
    int open_choices = 0;
    core::Usage usage;
  };
  struct Sequence {
    Request* request = nullptr;
    int choice = 0;
  };
  // Series of one variant, looked up once: a step only adds to them.
  struct Series {
    prometheus::Gauge* running;
    prometheus::Gauge* queued;
    prometheus::Counter* steps;
    prometheus::Counter* columns;
    prometheus::Counter* weight_bytes;
    prometheus::Counter* kv_bytes;
    prometheus::Counter* lookup_tokens;
    prometheus::Counter* hit_tokens;
    prometheus::Counter* busy;
  };
  // Of a model's pages, under the name of its first variant.
  struct PageSeries {
    prometheus::Gauge* free;
    prometheus::Gauge* total;
    prometheus::Gauge* cached;
    prometheus::Counter* paused;
    prometheus::Counter* evicted;
  };
  struct State;
  struct Found {
    State* s = nullptr;
    int view = 0;
  };
  struct State {
    Model model;
    int index = 0;                     // in models_
    std::vector<core::View> views;     // [view]
    std::vector<Series> series;        // [view]
    std::vector<uint64_t> admissions;  // [view]
    PageSeries pages_series;
    std::unique_ptr<sched::Scheduler> scheduler;
    Found draft;  // what drafts for this
    std::unique_ptr<GuestForward> guest_forward;
    std::unique_ptr<sched::DraftModel> draft_model;
    std::unique_ptr<sched::Speculation> speculation;
    std::map<std::string, std::unique_ptr<Request>> requests;  // by id
    std::map<sched::SequenceId, Sequence> sequences;
    // The step under way.
    bool stepping = false;
    Duration spent{};
    Duration left{};        // of it, as far as known
    bool drafting = false;  // a draft model is still to say some of its tokens
    std::optional<cost::StepCost> cost;  // absent: not measured
    sched::StepPlan plan;
    std::vector<sched::Part> parts;  // [slice of plan]
    std::vector<model::Column> columns;
    std::vector<std::vector<int32_t>> pages;  // [slice] page tables, copied
  };
  // What other threads read of a variant.
  struct Published {
    core::Snapshot view;
    Time step_begins{};
    std::shared_ptr<const sched::PrefixDigest> digest;
    core::View reads = core::View::k8;
  };

  static Series SeriesOf(const std::string& variant, Metrics* metrics);
  static PageSeries PageSeriesOf(const std::string& variant, Metrics* metrics);
  void AddModel(Model model, Metrics* metrics);
  Found Find(std::string_view variant);
  Result<void> Send(Message message);
  void TakeInbox();
  void Admit(GenerateJob job);
  void Admit(ScoreJob job);
  void CancelNow(const std::string& request_id);
  void ExpireScores(State* s);

  State* NextWithWork();
  static int RequestsAtWork(const State& s);
  void FindDraftModels();
  void BeginStep(State* s);
  void FillDrafts(State* s);
  int32_t PickDraft(State* s, sched::SequenceId id,
                    std::span<const int32_t> drafted,
                    std::span<const float> logits);
  int RoomOf(const State& s, sched::SequenceId id) const;
  void CountPlan(State* s);
  bool AdvanceStep(State* s);
  void Charge(State* s, Duration used, bool step_over);
  void Harvest(State* s);
  void HarvestChoice(State* s, const sched::Slice& slice, int row);
  bool Push(State* s, sched::SequenceId id, std::span<const float> logits);
  void FinishChoice(State* s, sched::SequenceId id);
  void HarvestScore(State* s, sched::SequenceId id,
                    std::span<const float> logits);
  void ForkChoices(State* s, Request* request, sched::SequenceId first);
  void Account(State* s);
  void Retire(State* s, Request* request, Result<core::Done> result);
  void AddSequence(State* s, Request* request, int choice,
                   sched::SequenceId id);
  void CountSequences(State* s);
  void Publish(State* s);
  void PublishTurns(const State* running);
  static Duration LeftOf(const State& s);
  static int64_t PromptTokens(const State& s);

  Options options_;
  Executor* clock_;
  prometheus::Counter* device_busy_;
  std::vector<std::unique_ptr<State>> models_;
  sched::Turns turns_;
  sched::SequenceId next_sequence_ = 1;

  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Message> inbox_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<std::string, Published, std::less<>> published_ GUARDED_BY(mutex_);
};

}  // namespace aio::engine
