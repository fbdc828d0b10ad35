// SPDX-License-Identifier: Apache-2.0
//
// The engine's thread: inbox, turns, steps. Admission is in engine_admit.cc,
// what a finished step brings in engine_harvest.cc.
#include "engine/engine.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <utility>

#include "base/check.h"

namespace aio::engine {
namespace {

constexpr auto kStopped = "the engine is shutting down";

}  // namespace

Engine::Engine(std::vector<Model> models, const Options& options,
               Executor* clock, Metrics* metrics)
    : options_(options), clock_(clock) {
  for (Model& model : models) {
    auto state = std::make_unique<State>();
    model.sched.pages = model.forward->pages();
    model.sched.page_tokens = model::kPageTokens;
    model.sched.columns_max = model.forward->columns_max();
    state->scheduler = std::make_unique<sched::Scheduler>(model.sched);
    state->series = SeriesOf(model.variant, metrics);
    state->model = std::move(model);
    state->columns.reserve(state->model.sched.columns_max);
    models_.push_back(std::move(state));
    Publish(models_.back().get());
  }
}

Engine::~Engine() = default;

Engine::Series Engine::SeriesOf(const std::string& variant, Metrics* metrics) {
  const Labels labels = {{"variant", variant}};
  const auto gauge = [&](const char* name, const char* help) {
    return metrics->Gauge(name, help, labels);
  };
  const auto counter = [&](const char* name, const char* help) {
    return metrics->Counter(name, help, labels);
  };
  return {gauge("aio_kv_pages_free", "KV pages free"),
          gauge("aio_kv_pages_total", "KV pages"),
          gauge("aio_engine_running", "Sequences running"),
          gauge("aio_engine_queued", "Sequences waiting"),
          counter("aio_engine_steps_total", "Steps run"),
          counter("aio_engine_columns_total", "Columns computed"),
          counter("aio_engine_weight_bytes_total", "Weight bytes read"),
          counter("aio_engine_kv_bytes_total", "KV bytes read"),
          counter("aio_engine_paused_total",
                  "Sequences paused because KV pages ran out")};
}

Result<void> Engine::Submit(GenerateJob job) {
  CHECK(!job.prompt.empty());
  return Send(std::move(job));
}

Result<void> Engine::Submit(ScoreJob job) {
  CHECK(!job.suffix.empty());
  return Send(std::move(job));
}

Result<void> Engine::Send(Message message) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return Error{ErrorCode::kUnavailable, kStopped, ""};
    if (inbox_.size() >= static_cast<size_t>(options_.inbox_max)) {
      return Error{ErrorCode::kOverloaded,
                   "the engine's inbox is full; retry later", ""};
    }
    inbox_.push_back(std::move(message));
  }
  wake_.notify_one();
  return {};
}

// Never refused: there are at most as many as requests.
void Engine::Cancel(std::string request_id) {
  {
    MutexLock lock(mutex_);
    inbox_.push_back(CancelMessage{std::move(request_id)});
  }
  wake_.notify_one();
}

core::Snapshot Engine::View(std::string_view variant) const {
  MutexLock lock(mutex_);
  const auto it = views_.find(variant);
  return it == views_.end() ? core::Snapshot() : it->second;
}

bool Engine::Step() {
  TakeInbox();
  State* s = NextWithWork();
  if (s == nullptr) return false;
  if (!s->stepping) BeginStep(s);
  if (s->stepping && AdvanceStep(s)) Harvest(s);
  Publish(s);
  return true;
}

void Engine::Run() {
  for (;;) {
    const bool busy = Step();
    MutexLock lock(mutex_);
    while (!busy && !stopping_ && inbox_.empty()) wake_.wait(mutex_);
    if (stopping_) break;
  }
  TakeInbox();
  for (auto& s : models_) {
    while (!s->requests.empty()) {
      Retire(s.get(), s->requests.begin()->second.get(),
             Error{ErrorCode::kUnavailable, kStopped, ""});
    }
  }
}

void Engine::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

void Engine::TakeInbox() {
  std::deque<Message> messages;
  {
    MutexLock lock(mutex_);
    messages.swap(inbox_);
  }
  for (Message& message : messages) {
    if (auto* generate = std::get_if<GenerateJob>(&message)) {
      Admit(std::move(*generate));
    } else if (auto* score = std::get_if<ScoreJob>(&message)) {
      Admit(std::move(*score));
    } else {
      CancelNow(std::get<CancelMessage>(message).request_id);
    }
  }
}

Engine::State* Engine::Find(std::string_view variant) {
  for (auto& s : models_) {
    if (s->model.variant == variant) return s.get();
  }
  return nullptr;
}

bool Engine::HasWork(const State& s) const {
  return s.stepping || s.scheduler->HasWork();
}

Engine::State* Engine::NextWithWork() {
  for (size_t i = 0; i < models_.size(); ++i) {
    turn_ = (turn_ + 1) % models_.size();
    ExpireScores(models_[turn_].get());
    if (HasWork(*models_[turn_])) return models_[turn_].get();
  }
  return nullptr;
}

// Page tables are copied: a request cancelled between two slices of a step
// takes its own with it.
void Engine::BeginStep(State* s) {
  s->plan = s->scheduler->Plan();
  ForgetDropped(s);
  s->series.paused->Increment(s->plan.paused);
  if (s->plan.slices.empty()) return;
  s->columns.clear();
  if (s->pages.size() < s->plan.slices.size()) {
    s->pages.resize(s->plan.slices.size());
  }
  for (size_t i = 0; i < s->plan.slices.size(); ++i) {
    const sched::Slice& slice = s->plan.slices[i];
    s->pages[i] = s->scheduler->PagesOf(slice.id);
    const auto& tokens = s->sequences.at(slice.id).tokens;
    for (int p = slice.begin; p < slice.begin + slice.count; ++p) {
      const bool last = p + 1 == slice.begin + slice.count;
      s->columns.push_back({tokens[p], p, s->pages[i], slice.logits && last});
    }
  }
  s->model.forward->Begin(s->columns);
  s->stepping = true;
}

bool Engine::AdvanceStep(State* s) {
  bool alone = true;
  for (const auto& other : models_) {
    alone = alone && (other.get() == s || !HasWork(*other));
  }
  if (alone) return s->model.forward->Advance(s->model.forward->layers() + 1);
  const Time begin = clock_->Now();
  while (!s->model.forward->Advance(1)) {
    if (clock_->Now() - begin >= options_.slice) return false;
  }
  return true;
}

void Engine::Publish(State* s) {
  const sched::Scheduler& sched = *s->scheduler;
  core::Snapshot view;
  view.running = sched.running();
  view.queued = sched.queued();
  view.pages_free = sched.pages_free();
  view.pages_total = sched.pages_total();
  view.admissions = s->admissions;
  s->series.pages_free->Set(static_cast<double>(view.pages_free));
  s->series.pages_total->Set(static_cast<double>(view.pages_total));
  s->series.running->Set(view.running);
  s->series.queued->Set(view.queued);
  MutexLock lock(mutex_);
  views_[s->model.variant] = view;
}

}  // namespace aio::engine
