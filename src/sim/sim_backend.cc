// SPDX-License-Identifier: Apache-2.0
//
// Requests coming in and going away. Steps are in sim_steps.cc.
#include "sim/sim_backend.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/sim_state.h"

namespace aio::sim {
namespace {

std::string ScoreKey(std::string_view id) { return std::string(id) + "#score"; }

// REQUIRED of whoever asks (sim_backend.h).
const SimRequest& Sim(const core::Request& request) {
  return static_cast<const SimRequest&>(request);
}

Error Gone() { return {ErrorCode::kUnavailable, "the backend is gone", ""}; }

}  // namespace

SimBackend::SimBackend(std::vector<SimModel> models, Options options,
                       Executor* executor, Metrics* metrics)
    : options_(std::move(options)),
      executor_(executor),
      turns_(static_cast<int>(models.size()), options_.slice),
      alive_(std::make_shared<bool>(true)) {
  for (SimModel& model : models) AddModel(std::move(model), metrics);
  FindDraftModels();
}

SimBackend::~SimBackend() = default;

void SimBackend::AddModel(SimModel model, Metrics* metrics) {
  CHECK(!model.views.empty());
  auto m = std::make_unique<Model>();
  m->number = static_cast<int>(models_.size());
  std::vector<std::string> variants;
  for (const SimView& view : model.views) {
    variants.push_back(view.variant);
    m->views.push_back(view.view);
  }
  m->work.resize(variants.size());
  m->queueing.resize(variants.size());
  m->admissions.resize(variants.size());
  if (!model.known.fine && !model.known.coarse) {
    model.known = {model.cost.table, model.cost.coarse};
  }
  model.speculation.read_seconds_max = Seconds(options_.slice);
  m->speculation = std::make_unique<sched::Speculation>(
      model.speculation, std::move(variants), model.known, metrics);
  model.sched.step_table =
      model.known.coarse ? model.known.coarse : model.known.fine;
  m->scheduler = std::make_unique<sched::Scheduler>(model.sched);
  m->first_step_seconds = model.first_step_seconds;
  m->model = std::move(model);
  models_.push_back(std::move(m));
}

void SimBackend::FindDraftModels() {
  for (auto& m : models_) {
    if (m->model.draft.empty()) continue;
    const auto [draft, view] = Find(m->model.draft);
    CHECK(draft != nullptr && draft != m.get() && draft->model.draft.empty());
    const bool coarse = draft->views[view] != core::View::k8;
    m->draft_salt = draft->views[view];
    m->guests = std::make_unique<Guests>(this, m.get(), draft, coarse);
    const sched::StepTables& known = draft->model.known;
    m->draft_model = std::make_unique<sched::DraftModel>(
        m->guests.get(), draft->scheduler.get(),
        coarse ? known.coarse : known.fine);
    m->speculation->SetDraftModel(m->draft_model.get(),
                                  [draft = draft] { return !draft->stepping; });
  }
}

SimBackend::Found SimBackend::Find(std::string_view variant) const {
  for (const auto& m : models_) {
    for (size_t v = 0; v < m->views.size(); ++v) {
      if (m->model.views[v].variant == variant) return {m.get(), v};
    }
  }
  return {};
}

const SimBackend::Work& SimBackend::work(std::string_view variant) const {
  const auto [m, view] = Find(variant);
  CHECK(m != nullptr);
  return m->work[view];
}

const std::vector<double>& SimBackend::queueing(
    std::string_view variant) const {
  const auto [m, view] = Find(variant);
  CHECK(m != nullptr);
  return m->queueing[view];
}

// A step goes on, whoever has gone.
int SimBackend::RequestsAtWork(const Model& model) {
  return std::max(model.stepping ? 1 : 0, model.scheduler->RequestsAtWork());
}

sched::Turns::NextStep SimBackend::NextStepOf(const Model& model) const {
  std::vector<Duration> steps;
  for (const auto& m : models_) {
    steps.push_back(m->stepping              ? m->left
                    : RequestsAtWork(*m) > 0 ? Duration(0)
                                             : Duration(-1));
  }
  sched::Turns::Turn turn;
  if (running_) {
    turn = turn_;
    turn.left = turn_end_ - executor_->Now();
  }
  return turns_.NextStepOf(model.number, turn, steps);
}

core::Snapshot SimBackend::View(std::string_view variant) const {
  core::Snapshot out;
  const auto [m, view] = Find(variant);
  if (m == nullptr) return out;
  out.running = m->scheduler->running();
  out.queued = m->scheduler->queued();
  out.pages_free = m->scheduler->pages_free();
  out.pages_total = m->scheduler->pages_total();
  out.admissions = m->admissions[view];
  const sched::Turns::NextStep next = NextStepOf(*m);
  out.turn_weight = turns_.Weight(m->number);
  out.step_in_seconds = Seconds(next.until);
  out.run_seconds = Seconds(next.run);
  out.prompt_tokens = m->scheduler->PromptTokens(m->plan.slices);
  out.healthy = !gone_;
  return out;
}

void SimBackend::Peek(std::shared_ptr<const core::Request> request,
                      std::string_view variant, std::optional<core::Thinking>,
                      PeekDone done) {
  const auto [m, view] = Find(variant);
  CHECK(m != nullptr);
  if (gone_) return done(Gone());
  const SimRequest& sim = Sim(*request);
  core::PromptSize size;
  size.tokens = sim.prompt_length;
  size.cached_tokens = m->scheduler->Digest()->CachedTokens(
      sched::SaltOf(m->views[view], request->tenant), sim.Prompt());
  done(std::move(size));
}

void SimBackend::Start(std::shared_ptr<const core::Request> request,
                       core::Plan plan, std::shared_ptr<core::Sink> sink) {
  const auto [m, view] = Find(plan.variant);
  CHECK(m != nullptr && request->choices == 1);
  auto made = std::make_unique<Request>();
  made->id = request->id;
  made->sim = &Sim(*request);
  made->request = std::move(request);
  made->plan = std::move(plan);
  made->sink = std::move(sink);
  made->model = m;
  made->view = view;
  const int own = made->sim->OutputLength(m->model.views[view].number);
  const int room = m->model.context_tokens_max - made->sim->prompt_length;
  made->length = std::min({own, room, made->request->max_tokens.value_or(own)});
  made->cut = made->length < own;
  Admit(std::move(made));
}

void SimBackend::Score(core::ScoreRequest request, Time deadline,
                       ScoreDone done) {
  const auto [m, view] = Find(request.variant);
  CHECK(m != nullptr);
  if (!options_.scores) {
    return done(Error{ErrorCode::kUnsupported, "it has no opinion", ""});
  }
  auto made = std::make_unique<Request>();
  made->id = ScoreKey(request.request->id);
  made->sim = &Sim(*request.request);
  made->request = request.request;
  made->model = m;
  made->view = view;
  made->labels = std::move(request.labels);
  made->whole = made->sim->prompt_length <= request.tokens_max;
  made->score_tokens = std::min(made->sim->prompt_length, request.tokens_max);
  made->scored = std::move(done);
  const std::string id = made->id;
  Admit(std::move(made));
  if (deadline == Time::max()) return;
  executor_->PostAt(deadline, [this, id, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return;
    Retire(it->second,
           Error{ErrorCode::kDeadline, "the probe took too long", ""});
  });
}

// Into the scheduler's queue, after what reading a request takes.
void SimBackend::Admit(std::unique_ptr<Request> request) {
  Request* r = request.get();
  r->sequence = next_sequence_++;
  CHECK(by_id_.emplace(r->id, r).second);
  requests_.emplace(r->sequence, std::move(request));
  const auto enter = [this, id = r->sequence, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto it = requests_.find(id);
    if (it == requests_.end()) return;  // cancelled on the way
    Enter(it->second.get());
  };
  executor_->PostAt(executor_->Now() + FromSeconds(options_.request_seconds),
                    enter);
}

void SimBackend::Enter(Request* r) {
  if (gone_) return Retire(r, Gone());
  Model* m = r->model;
  std::vector<int32_t> tokens = r->sim->Prompt();
  if (!r->sink) {
    if (!r->whole) {  // the head and the tail
      const int head = r->score_tokens / 2;
      tokens.erase(tokens.begin() + head,
                   tokens.end() - (r->score_tokens - head));
    }
    tokens.insert(tokens.end(), kSuffixTokens, -1);
  }
  const core::View as = m->views[r->view];
  const auto added = m->scheduler->Add(r->sequence, std::move(tokens),
                                       sched::SaltOf(as, r->request->tenant),
                                       sched::ClaimOf(*r->request, r->plan));
  if (!added) return Retire(r, added.error());
  r->entered = true;
  r->entered_at = executor_->Now();
  if (r->sink) {
    ++m->admissions[r->view];
    sched::Speculation::About about{r->plan.strategy, r->plan.intent,
                                    static_cast<int>(r->view), 0};
    if (about.strategy == core::Strategy::kAuto &&
        !m->model.views[r->view].speculation) {
      about.strategy = core::Strategy::kPlain;
    }
    about.salt = sched::SaltOf(m->draft_salt, r->request->tenant);
    m->speculation->Add(r->sequence, about);
    core::Served served;
    served.variant = r->plan.variant;
    served.strategy = r->plan.strategy;
    served.seed = r->plan.seed;
    r->sink->OnStart(served);
  }
  Wake();
}

void SimBackend::Cancel(std::string_view request_id) {
  for (const std::string& key :
       {std::string(request_id), ScoreKey(request_id)}) {
    const auto it = by_id_.find(key);
    if (it == by_id_.end()) continue;
    Retire(it->second, Error{ErrorCode::kCancelled, "cancelled", ""});
  }
}

void SimBackend::SetGone(bool gone) {
  gone_ = gone;
  while (gone && !requests_.empty()) {
    Retire(requests_.begin()->second.get(), Gone());
  }
}

// The one place where a request ends.
void SimBackend::Retire(Request* r, Result<core::Done> result) {
  const auto it = requests_.find(r->sequence);
  const std::unique_ptr<Request> owned = std::move(it->second);
  requests_.erase(it);
  by_id_.erase(owned->id);
  if (owned->entered) {
    owned->model->scheduler->Remove(owned->sequence);
    if (owned->sink) owned->model->speculation->Remove(owned->sequence);
  }
  if (owned->sink) {
    owned->sink->OnDone(std::move(result));
  } else if (!result) {
    owned->scored(result.error());
  }
}

}  // namespace aio::sim
