// SPDX-License-Identifier: Apache-2.0
//
// Requests coming in and going away.
#include <utility>

#include "base/check.h"
#include "engine/engine.h"

namespace aio::engine {
namespace {

Error UnknownVariant(std::string_view variant) {
  return {ErrorCode::kNotFound,
          "this engine hosts no variant '" + std::string(variant) + "'", ""};
}

Error NoDraftModel(std::string_view variant) {
  return {
      ErrorCode::kInvalidArgument,
      "no model drafts for the variant '" + std::string(variant) +
          "' (variants.X.draft); aio.speculation may be auto, off or lookup",
      "aio.speculation"};
}

// A score and the answer of one request may be under way at once.
std::string ScoreKey(const std::string& request_id) {
  return request_id + "#score";
}

}  // namespace

void Engine::Admit(GenerateJob job) {
  const std::string id = job.request->id;
  const auto [s, view] = Find(job.plan.variant);
  if (s == nullptr) {
    job.sink->OnDone(UnknownVariant(job.plan.variant));
    return;
  }
  if (s->requests.count(id) > 0) {
    job.sink->OnDone(Error{ErrorCode::kInternal,
                           "request '" + id + "' is already running", ""});
    return;
  }
  if (job.plan.strategy == core::Strategy::kDraft &&
      !s->speculation->has_draft_model()) {
    job.sink->OnDone(NoDraftModel(job.plan.variant));
    return;
  }
  auto made = std::make_unique<Request>();
  Request* request = made.get();
  request->id = id;
  request->view = view;
  request->generate = std::move(job);
  request->usage.prompt_tokens =
      static_cast<int>(request->generate.prompt.size()) -
      request->generate.shown_tokens;
  request->open_choices = request->generate.request->choices;
  const GenerateJob& g = request->generate;
  const sched::SequenceId sequence = next_sequence_++;
  const ModelView& as = s->model.views[view];
  const auto added = s->scheduler->Add(
      sequence, g.prompt, sched::SaltOf(as.view, g.request->tenant),
      sched::ClaimOf(*g.request, g.plan));
  if (!added) {
    g.sink->OnDone(added.error());
    return;
  }
  AddSequence(s, request, 0, sequence);
  s->requests[id] = std::move(made);
  ++s->admissions[view];
  const int room = s->model.forward->context_tokens_max() -
                   static_cast<int>(g.prompt.size());
  CHECK(room >= 1);
  const int limit = std::min(room, g.request->max_tokens.value_or(room));
  for (int c = 0; c < g.request->choices; ++c) {
    request->choices.emplace_back(*g.request, g.plan.seed, c, g.prompt,
                                  s->model.tokenizer, limit);
    request->choices.back().GoOn(
        std::span(g.prompt).last(static_cast<size_t>(g.shown_tokens)));
    if (g.marks) request->choices.back().WatchThinking(*g.marks, g.in_thought);
  }
  core::Served served;
  served.variant = as.variant;
  served.strategy = g.plan.strategy;
  served.fingerprint = as.fingerprint;
  served.seed = g.plan.seed;
  g.sink->OnStart(served);
}

void Engine::Admit(ScoreJob job) {
  const auto [s, view] = Find(job.variant);
  if (s == nullptr) {
    job.done(UnknownVariant(job.variant));
    return;
  }
  std::vector<int32_t> tokens = job.prompt;
  tokens.insert(tokens.end(), job.suffix.begin(), job.suffix.end());
  const std::string key = ScoreKey(job.request_id);
  if (s->requests.count(key) > 0) {
    job.done(Error{ErrorCode::kInternal, "this request is being scored", ""});
    return;
  }
  if (static_cast<int>(tokens.size()) >
      s->model.forward->context_tokens_max()) {
    job.done(Error{ErrorCode::kInvalidArgument,
                   "the probe does not fit the context", ""});
    return;
  }
  const sched::SequenceId sequence = next_sequence_++;
  const auto added =
      s->scheduler->Add(sequence, std::move(tokens),
                        sched::SaltOf(s->model.views[view].view, job.salt),
                        {job.salt, job.weight});
  if (!added) {
    job.done(added.error());
    return;
  }
  auto made = std::make_unique<Request>();
  made->id = key;
  made->view = view;
  made->score = std::make_unique<ScoreJob>(std::move(job));
  AddSequence(s, made.get(), 0, sequence);
  s->requests[key] = std::move(made);
}

void Engine::AddSequence(State* s, Request* request, int choice,
                         sched::SequenceId id) {
  s->sequences[id] = {request, choice};
  if (!request->score) {
    const GenerateJob& g = request->generate;
    sched::Speculation::About about{g.plan.strategy, g.plan.intent,
                                    request->view, 0, g.draft};
    const bool may = s->model.views[request->view].speculation;
    if (about.strategy == core::Strategy::kAuto && !may) {
      about.strategy = core::Strategy::kPlain;
    }
    if (const auto& [draft, view] = s->draft; draft != nullptr) {
      about.salt =
          sched::SaltOf(draft->model.views[view].view, g.request->tenant);
    }
    s->speculation->Add(id, about);
  }
  request->sequences.push_back(id);
}

void Engine::CancelNow(const std::string& request_id) {
  const Error cancelled{ErrorCode::kCancelled, "cancelled", ""};
  for (auto& s : models_) {
    for (const std::string& key : {request_id, ScoreKey(request_id)}) {
      const auto it = s->requests.find(key);
      if (it != s->requests.end()) Retire(s.get(), it->second.get(), cancelled);
    }
    Publish(s.get());
  }
}

void Engine::ExpireScores(State* s) {
  std::vector<Request*> late;
  for (auto& [id, request] : s->requests) {
    if (request->score && clock_->Now() >= request->score->deadline) {
      late.push_back(request.get());
    }
  }
  for (Request* request : late) {
    Retire(s, request,
           Error{ErrorCode::kDeadline, "the probe took too long", ""});
  }
}

// The one place where a request ends: frees its pages, then says so, once.
void Engine::Retire(State* s, Request* request, Result<core::Done> result) {
  const auto it = s->requests.find(request->id);
  CHECK(it != s->requests.end());
  const std::unique_ptr<Request> owned = std::move(it->second);
  s->requests.erase(it);
  for (const sched::SequenceId id : owned->sequences) {
    if (s->sequences.erase(id) == 0) continue;
    s->scheduler->Remove(id);
    s->speculation->Remove(id);
  }
  // Seen before the answer's end is: a client that has its answer finds the
  // pages free.
  Publish(s);
  if (!owned->score) {
    owned->generate.sink->OnDone(std::move(result));
  } else if (!result) {
    owned->score->done(std::move(result).error());
  }
}

}  // namespace aio::engine
