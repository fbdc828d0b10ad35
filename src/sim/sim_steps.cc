// SPDX-License-Identifier: Apache-2.0
//
// Turns and steps, as the engine has them (engine/engine.cc), on virtual time.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/sim_state.h"

namespace aio::sim {

// A step of the draft model for all of its parts.
std::vector<int32_t> SimBackend::Guests::Run(std::span<const Part> parts) {
  cost::StepSize step = {.columns = 0};
  step.coarse = coarse_;
  std::vector<int32_t> next;
  for (const Part& part : parts) {
    step.columns += part.end - part.begin;
    step.Add(part.begin, part.end - part.begin);
    if (!part.draws) continue;
    const auto it = owner_.requests_.find(part.id);
    if (it == owner_.requests_.end()) {
      next.push_back(0);
      continue;
    }
    const SimRequest& sim = *it->second->sim;
    const int32_t right = sim.TokenAt(part.end);
    const bool kept = RandomUnit(owner_.options_.seed, sim.conversation,
                                 static_cast<uint64_t>(part.end)) <
                      of_.model.draft_acceptance;
    next.push_back(kept ? right : right ^ 1);
  }
  of_.guest_seconds += draft_.model.cost.Seconds(step);
  return next;
}

// Those who come at the same moment are in the same step.
void SimBackend::Wake() {
  if (running_ || waking_) return;
  waking_ = true;
  executor_->Post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    waking_ = false;
    BeginSlice();
  });
}

void SimBackend::BeginSlice() {
  const int next =
      turns_.Next([this](int i) { return RequestsAtWork(*models_[i]); });
  if (next < 0) return;
  Model* m = models_[next].get();
  if (!m->stepping) BeginStep(m);
  running_ = true;
  const Duration took = std::min(m->left, m->turn);
  turn_ = {m->number, took, took};
  turn_end_ = executor_->Now() + took;
  executor_->PostAt(executor_->Now() + took,
                    [this, m, took, alive = std::weak_ptr(alive_)] {
                      if (!alive.expired()) EndSlice(m, took);
                    });
}

void SimBackend::BeginStep(Model* m) {
  m->plan = m->scheduler->Plan();
  m->guest_seconds = 0;
  const bool coarse = sched::OrderByView(
      m->views,
      [this](sched::SequenceId id) {
        return static_cast<int>(requests_.at(id)->view);
      },
      &m->plan, &m->parts);
  m->speculation->Propose(
      [this](sched::SequenceId id) {
        const Request& r = *requests_.at(id);
        return r.sink ? r.length - r.said - 1 : 0;
      },
      coarse, m->scheduler.get(), &m->plan);
  while (m->speculation->Round()) {
  }
  for (const auto& admitted : m->plan.admitted) {
    Request& r = *requests_.at(admitted.id);
    r.usage.cached_tokens = admitted.cached_tokens;
    if (r.sink) {
      m->queueing[r.view].push_back(Seconds(executor_->Now() - r.entered_at));
    }
  }
  work_.paused += m->plan.paused;
  m->stepping = true;
  if (m->plan.slices.empty()) {
    m->left = m->turn = Duration(0);
    return;
  }
  TimeStep(m);
}

// A turn goes on to the end of the layer in which its slice of time is over.
void SimBackend::TimeStep(Model* m) {
  const double seconds =
      m->guest_seconds +
      m->model.cost.Seconds(sched::SizeOf(m->plan, m->parts)) +
      std::exchange(m->first_step_seconds, 0);
  m->left = FromSeconds(seconds / speed_);
  m->turn = options_.slice;
  if (m->model.layers == 0) return;
  const Duration layer = std::max(Duration(1), m->left / m->model.layers);
  m->turn = (options_.slice + layer - Duration(1)) / layer * layer;
}

void SimBackend::EndSlice(Model* m, Duration took) {
  running_ = false;
  m->left -= took;
  const bool over = m->left <= Duration(0);
  turns_.Charge(m->number, took, over);
  work_.busy_seconds += Seconds(took);
  for (size_t i = 0; i < m->parts.size(); ++i) {
    m->work[static_cast<size_t>(m->parts[i].view)].busy_seconds +=
        Seconds(took) * m->plan.slices[i].count / m->plan.columns;
  }
  if (over) Harvest(m);
  Wake();
}

void SimBackend::Harvest(Model* m) {
  m->stepping = false;
  // Kept apart: an answer's end may start a request here, and a step with it.
  const sched::StepPlan plan = std::exchange(m->plan, {});
  Account(m, plan);
  m->scheduler->Commit(plan);
  for (const sched::Slice& slice : plan.slices) {
    if (!slice.logits) continue;
    const auto it = requests_.find(slice.id);
    if (it == requests_.end()) continue;  // cancelled during the step
    Request* r = it->second.get();
    if (r->sink) {
      HarvestAnswer(m, slice, r);
    } else {
      HarvestScore(r);
    }
  }
}

void SimBackend::HarvestAnswer(Model* m, const sched::Slice& slice,
                               Request* r) {
  const auto drafted = m->speculation->DraftOf(slice.id);
  const std::vector<int32_t> draft(drafted.begin(), drafted.end());
  int accepted = 0;
  int32_t token = r->Next();
  bool open = Say(r);
  while (open && accepted < slice.drafts && token == draft[accepted]) {
    m->scheduler->Accept(slice.id, token);
    ++accepted;
    token = r->Next();
    open = Say(r);
  }
  if (slice.drafts > 0) {
    const bool last =
        !open && accepted < slice.drafts && token == draft[accepted];
    m->speculation->Learn(slice.id, slice.drafts, accepted + (last ? 1 : 0));
    r->usage.drafted_tokens += slice.drafts;
    r->usage.accepted_tokens += accepted + (last ? 1 : 0);
  }
  if (open) {
    m->scheduler->Extend(slice.id, token);
    return;
  }
  core::Done done;
  done.usage = r->usage;
  done.usage.prompt_tokens = r->sim->prompt_length;
  done.finish = {r->cut ? core::FinishReason::kLength
                        : core::FinishReason::kStop};
  Retire(r, std::move(done));
}

// One token to the client; whether the answer goes on.
bool SimBackend::Say(Request* r) {
  ++r->said;
  ++r->usage.completion_tokens;
  core::Delta delta;
  delta.text = "x";
  r->sink->OnDelta(std::move(delta));
  return r->said < r->length;
}

void SimBackend::HarvestScore(Request* r) {
  core::Scores scores;
  scores.logits = options_.scores(*r->sim, r->labels);
  scores.tokens = r->score_tokens + kSuffixTokens - r->usage.cached_tokens;
  scores.kept = r->model->model.sched.prefix_cache && r->whole;
  const ScoreDone done = std::move(r->scored);
  Retire(r, core::Done());
  done(std::move(scores));
}

// As Engine::Account.
void SimBackend::Account(Model* m, const sched::StepPlan& plan) {
  if (plan.slices.empty()) return;
  const SimModel& model = m->model;
  const int64_t coarse = model.coarse_weight_bytes > 0
                             ? model.coarse_weight_bytes
                             : model.weight_bytes;
  const sched::WeightShares shares(model.weight_bytes, coarse, plan, m->parts);
  ++work_.steps;
  std::vector<bool> seen(m->work.size());
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    const sched::Slice& slice = plan.slices[i];
    const auto view = static_cast<size_t>(m->parts[i].view);
    const double kv = static_cast<double>(slice.begin + slice.count) *
                      static_cast<double>(model.kv_bytes_per_token);
    const double weights = shares.Of(slice, m->parts[i]);
    for (Work* work : {&work_, &m->work[view]}) {
      work->columns += slice.count;
      work->weight_bytes += weights;
      work->kv_bytes += kv;
    }
    if (!seen[view]) ++m->work[view].steps;
    seen[view] = true;
    const auto it = requests_.find(slice.id);
    if (it == requests_.end()) continue;
    core::Usage& usage = it->second->usage;
    usage.weight_bytes_read += static_cast<int64_t>(weights);
    usage.bytes_read += static_cast<int64_t>(weights + kv);
  }
}

}  // namespace aio::sim
