// SPDX-License-Identifier: Apache-2.0
//
// The engine's thread: inbox, turns, steps. Admission is in engine_admit.cc,
// what a finished step brings in engine_harvest.cc.
#include "engine/engine.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace aio::engine {
namespace {

constexpr auto kStopped = "the engine is shutting down";

// Of columns that are alone in their step.
uint8_t BitsOf(core::View view) { return view == core::View::k8 ? 8 : 4; }

}  // namespace

Engine::Engine(std::vector<Model> models, const Options& options,
               Executor* clock, Metrics* metrics)
    : options_(options),
      clock_(clock),
      device_busy_(metrics->Counter("aio_device_busy_seconds_total",
                                    "Time a device spent on steps",
                                    {{"device", options.device}})),
      turns_(static_cast<int>(models.size()), options.slice) {
  for (Model& model : models) AddModel(std::move(model), metrics);
  FindDraftModels();
}

// The scheduler has the table of steps of 4 bits, if there can be such: they
// grow sooner with their columns, and it promises how much longer they take.
void Engine::AddModel(Model model, Metrics* metrics) {
  CHECK(!model.views.empty());
  auto state = std::make_unique<State>();
  model.sched.pages = model.forward->pages();
  model.sched.page_tokens = model::kPageTokens;
  model.sched.columns_max = model.forward->columns_max();
  model.speculation.read_seconds_max = Seconds(options_.slice);
  std::vector<std::string> variants;
  for (const ModelView& view : model.views) {
    CHECK(view.view == core::View::k8 || model.forward->nested());
    variants.push_back(view.variant);
    state->views.push_back(view.view);
    state->series.push_back(SeriesOf(view.variant, metrics));
  }
  state->admissions.resize(variants.size());
  state->pages_series = PageSeriesOf(variants.front(), metrics);
  state->speculation = std::make_unique<sched::Speculation>(
      model.speculation, std::move(variants),
      sched::StepTables{model.sched.step_table, model.coarse_step_table},
      metrics);
  sched::Options sched = model.sched;
  if (model.coarse_step_table) sched.step_table = model.coarse_step_table;
  state->scheduler = std::make_unique<sched::Scheduler>(sched);
  state->columns.reserve(static_cast<size_t>(model.sched.columns_max));
  if (model.sched.step_table) {
    state->cost = {*model.sched.step_table, model.coarse_step_table};
  }
  state->model = std::move(model);
  state->index = static_cast<int>(models_.size());
  models_.push_back(std::move(state));
  Publish(models_.back().get());
}

// A draft model is free while no step of its own is under way.
void Engine::FindDraftModels() {
  for (auto& s : models_) {
    if (s->model.draft.empty()) continue;
    s->draft = Find(s->model.draft);
    State* draft = s->draft.s;
    CHECK(draft != nullptr && draft != s.get() && draft->model.draft.empty());
    const uint8_t bits = BitsOf(draft->model.views[s->draft.view].view);
    s->guest_forward = std::make_unique<GuestForward>(
        draft->model.forward.get(), draft->scheduler.get(), bits,
        [this, s = s.get()](sched::SequenceId id, std::span<const int32_t> text,
                            size_t said, std::span<const float> logits) {
          return s->model.draft_script
                     ? s->model.draft_script(text)
                     : PickDraft(s, id, text.subspan(said), logits);
        });
    s->draft_model = std::make_unique<sched::DraftModel>(
        s->guest_forward.get(), draft->scheduler.get(),
        draft->model.StepTableOf(bits == 4));
    s->speculation->SetDraftModel(s->draft_model.get(),
                                  [draft] { return !draft->stepping; });
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
  return {gauge("aio_engine_running", "Sequences running"),
          gauge("aio_engine_queued", "Sequences waiting"),
          counter("aio_engine_steps_total", "Steps run with columns of it"),
          counter("aio_engine_columns_total", "Columns computed"),
          counter("aio_engine_weight_bytes_total",
                  "Weight bytes read; its share of steps that it shared"),
          counter("aio_engine_kv_bytes_total", "KV bytes read"),
          counter("aio_prefix_lookup_tokens_total",
                  "Prompt tokens looked up in the prefix tree"),
          counter("aio_prefix_hit_tokens_total",
                  "Prompt tokens whose KV was there"),
          counter("aio_engine_busy_seconds_total",
                  "Time spent on steps; its share of those that it shared")};
}

Engine::PageSeries Engine::PageSeriesOf(const std::string& variant,
                                        Metrics* metrics) {
  const Labels labels = {{"variant", variant}};
  return {metrics->Gauge(
              "aio_kv_pages_free",
              "KV pages that no sequence uses, cached ones among them", labels),
          metrics->Gauge("aio_kv_pages_total", "KV pages", labels),
          metrics->Gauge("aio_kv_pages_cached", "KV pages in the prefix tree",
                         labels),
          metrics->Counter("aio_engine_paused_total",
                           "Sequences paused because KV pages ran out", labels),
          metrics->Counter("aio_prefix_evicted_pages_total",
                           "KV pages that the prefix tree gave up", labels)};
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
  const auto it = published_.find(variant);
  if (it == published_.end()) return {};
  core::Snapshot view = it->second.view;
  const Duration until = it->second.step_begins - clock_->Now();
  view.step_in_seconds = std::max(0.0, Seconds(until));
  return view;
}

int Engine::CachedTokens(std::string_view variant, uint64_t salt,
                         std::span<const int32_t> prompt) const {
  Published found;
  {
    MutexLock lock(mutex_);
    const auto it = published_.find(variant);
    if (it != published_.end()) found = it->second;
  }
  if (found.digest == nullptr) return 0;
  return found.digest->CachedTokens(sched::SaltOf(found.reads, salt), prompt);
}

bool Engine::Step() {
  TakeInbox();
  State* s = NextWithWork();
  if (s == nullptr) {
    PublishTurns(nullptr);
    return false;
  }
  const Time begin = clock_->Now();
  if (!s->stepping) BeginStep(s);
  PublishTurns(s);
  const bool over = s->stepping && AdvanceStep(s);
  if (over) Harvest(s);
  Charge(s, clock_->Now() - begin, over);
  Publish(s);
  return true;
}

void Engine::Run() {
  if (options_.on_run) options_.on_run();
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

Engine::Found Engine::Find(std::string_view variant) {
  for (auto& s : models_) {
    for (size_t v = 0; v < s->model.views.size(); ++v) {
      if (s->model.views[v].variant == variant) {
        return {s.get(), static_cast<int>(v)};
      }
    }
  }
  return {};
}

// A step goes on, whoever has gone.
int Engine::RequestsAtWork(const State& s) {
  return std::max(s.stepping ? 1 : 0, s.scheduler->RequestsAtWork());
}

Engine::State* Engine::NextWithWork() {
  for (auto& s : models_) ExpireScores(s.get());
  const int next =
      turns_.Next([this](int i) { return RequestsAtWork(*models_[i]); });
  return next < 0 ? nullptr : models_[next].get();
}

// Tokens that a sequence may have after the next one.
int Engine::RoomOf(const State& s, sched::SequenceId id) const {
  const Sequence& sequence = s.sequences.at(id);
  const Request& request = *sequence.request;
  return request.score ? 0 : request.choices[sequence.choice].tokens_left() - 1;
}

// Page tables are copied: a request cancelled between two slices of a step
// takes its own with it.
void Engine::BeginStep(State* s) {
  s->plan = s->scheduler->Plan();
  const bool coarse = sched::OrderByView(
      s->views,
      [s](sched::SequenceId id) { return s->sequences.at(id).request->view; },
      &s->plan, &s->parts);
  s->speculation->Propose(
      [this, s](sched::SequenceId id) { return RoomOf(*s, id); }, coarse,
      s->scheduler.get(), &s->plan);
  CountPlan(s);
  for (const sched::StepPlan::Copy& copy : s->plan.copies) {
    s->model.forward->CopyPage(copy.from, copy.to);
  }
  if (s->plan.slices.empty()) return;
  s->columns.clear();
  if (s->pages.size() < s->plan.slices.size()) {
    s->pages.resize(s->plan.slices.size());
  }
  for (size_t i = 0; i < s->plan.slices.size(); ++i) {
    const sched::Slice& slice = s->plan.slices[i];
    s->pages[i] = s->scheduler->PagesOf(slice.id);
    const auto& tokens = s->scheduler->TokensOf(slice.id);
    const int known = slice.begin + slice.known();
    const uint8_t bits = s->parts[i].fine ? 8 : 4;
    for (int p = slice.begin; p < slice.begin + slice.count; ++p) {
      s->columns.push_back({p < known ? tokens[p] : 0, p, s->pages[i],
                            slice.logits && p + 1 >= known, bits});
    }
  }
  s->drafting = true;
  s->stepping = true;
  s->left = FromSeconds(s->cost ? s->cost->Seconds(SizeOf(s->plan, s->parts))
                                : turns_.StepSeconds(s->index));
}

// As the request itself would draw from these logits.
int32_t Engine::PickDraft(State* s, sched::SequenceId id,
                          std::span<const int32_t> drafted,
                          std::span<const float> logits) {
  const Sequence& sequence = s->sequences.at(id);
  return sequence.request->choices[sequence.choice].Guess(logits, drafted);
}

void Engine::FillDrafts(State* s) {
  size_t at = 0;
  for (const sched::Slice& slice : s->plan.slices) {
    at += static_cast<size_t>(slice.count);
    // Of a sequence that was cancelled meanwhile, any tokens will do.
    const auto draft = s->speculation->DraftOf(slice.id);
    for (size_t i = 0; i < draft.size(); ++i) {
      s->columns[at - draft.size() + i].token = draft[i];
    }
  }
}

// Further choices of a request find its prompt there, which is no news.
void Engine::CountPlan(State* s) {
  s->pages_series.paused->Increment(s->plan.paused);
  s->pages_series.evicted->Increment(s->plan.evicted);
  for (const auto& admitted : s->plan.admitted) {
    const Sequence& sequence = s->sequences.at(admitted.id);
    if (sequence.choice > 0) continue;
    sequence.request->usage.cached_tokens = admitted.cached_tokens;
    const Series& series = s->series[sequence.request->view];
    series.lookup_tokens->Increment(admitted.known_tokens);
    series.hit_tokens->Increment(admitted.cached_tokens);
  }
}

// Layer by layer, alone too: who comes meanwhile waits for a slice, not for the
// step.
bool Engine::AdvanceStep(State* s) {
  const Time begin = clock_->Now();
  while (s->drafting) {
    s->drafting = s->speculation->Round();
    if (!s->drafting) {
      FillDrafts(s);
      s->model.forward->Begin(s->columns);
    } else if (clock_->Now() - begin >= options_.slice) {
      return false;
    }
  }
  while (!s->model.forward->Advance(1)) {
    if (clock_->Now() - begin >= options_.slice) return false;
  }
  return true;
}

void Engine::Charge(State* s, Duration used, bool step_over) {
  turns_.Charge(s->index, used, step_over);
  for (size_t i = 0; i < s->parts.size(); ++i) {
    s->series[s->parts[i].view].busy->Increment(
        Seconds(used) * s->plan.slices[i].count / s->plan.columns);
  }
  if (s->parts.empty()) s->series[0].busy->Increment(Seconds(used));
  device_busy_->Increment(Seconds(used));
  s->spent += used;
  s->left -= used;
  if (!step_over) return;
  const Duration spent = std::exchange(s->spent, Duration());
  if (!options_.on_step) return;
  options_.on_step({s->model.views.front().variant,
                    sched::SizeOf(s->plan, s->parts), Seconds(spent)});
}

void Engine::CountSequences(State* s) {
  std::vector<int> running(s->series.size()), all(s->series.size());
  for (const sched::SequenceId id : s->scheduler->running_ids()) {
    ++running[static_cast<size_t>(s->sequences.at(id).request->view)];
  }
  for (const auto& [id, sequence] : s->sequences) {
    ++all[static_cast<size_t>(sequence.request->view)];
  }
  for (size_t v = 0; v < s->series.size(); ++v) {
    s->series[v].running->Set(running[v]);
    s->series[v].queued->Set(all[v] - running[v]);
  }
}

void Engine::Publish(State* s) {
  const sched::Scheduler& sched = *s->scheduler;
  core::Snapshot view;
  view.running = sched.running();
  view.queued = sched.queued();
  view.pages_free = sched.pages_free();
  view.pages_total = sched.pages_total();
  view.turn_weight = turns_.Weight(s->index);
  view.prompt_tokens = PromptTokens(*s);
  s->pages_series.free->Set(static_cast<double>(view.pages_free));
  s->pages_series.total->Set(static_cast<double>(view.pages_total));
  s->pages_series.cached->Set(sched.pages_cached());
  CountSequences(s);
  const auto digest = s->scheduler->Digest();
  {
    MutexLock lock(mutex_);
    for (size_t v = 0; v < s->model.views.size(); ++v) {
      view.admissions = s->admissions[v];
      const ModelView& of = s->model.views[v];
      Published& out = published_[of.variant];
      out.view = view;
      out.digest = digest;
      out.reads = of.view;
    }
  }
  if (s->draft.s != nullptr) Publish(s->draft.s);  // guests have pages there
}

int64_t Engine::PromptTokens(const State& s) {
  std::span<const sched::Slice> under_way;
  if (s.stepping) under_way = s.plan.slices;
  return s.scheduler->PromptTokens(under_way);
}

// As Turns::NextStepOf has it. A step that takes longer than was expected ends
// any moment.
Duration Engine::LeftOf(const State& s) {
  if (RequestsAtWork(s) == 0) return Duration(-1);
  return s.stepping ? std::max(s.left, Duration(1)) : Duration(0);
}

// When a step of each model may begin, now that `running` has its turn (null:
// nobody has). Prices ask while it runs.
void Engine::PublishTurns(const State* running) {
  std::vector<Duration> left;
  for (const auto& s : models_) left.push_back(LeftOf(*s));
  sched::Turns::Turn turn;
  if (running != nullptr) {
    turn.model = running->index;
    turn.whole = turn.left = std::min(LeftOf(*running), options_.slice);
  }
  const Time now = clock_->Now();
  MutexLock lock(mutex_);
  for (const auto& s : models_) {
    const auto next = turns_.NextStepOf(s->index, turn, left);
    const int64_t prompts = PromptTokens(*s);
    for (const ModelView& view : s->model.views) {
      Published& of = published_.at(view.variant);
      of.step_begins = now + next.until;
      of.view.run_seconds = Seconds(next.run);
      of.view.prompt_tokens = prompts;
    }
  }
}

}  // namespace aio::engine
