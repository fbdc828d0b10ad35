// SPDX-License-Identifier: Apache-2.0
//
// What a finished step brings: tokens to show, scores to report, requests that
// are over.
#include <prometheus/counter.h>

#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/engine.h"

namespace aio::engine {

void Engine::Harvest(State* s) {
  s->stepping = false;
  Account(s);
  s->scheduler->Commit(s->plan);
  int row = 0;
  for (const sched::Slice& slice : s->plan.slices) {
    if (!slice.logits) continue;
    const int first = std::exchange(row, row + 1 + slice.drafts);
    const auto it = s->sequences.find(slice.id);
    if (it == s->sequences.end()) continue;  // cancelled during the step
    if (it->second.request->score) {
      HarvestScore(s, slice.id, s->model.forward->Logits(first));
    } else {
      HarvestChoice(s, slice, first);
    }
  }
}

// The sampler draws at each position in turn; as long as it draws what was
// drafted, the next one's logits are of the right text.
void Engine::HarvestChoice(State* s, const sched::Slice& slice, int row) {
  const sched::SequenceId id = slice.id;
  Request* request = s->sequences.at(id).request;
  const bool first =
      request->sequences.size() == 1 && request->choices[0].tokens() == 0;
  if (first && request->choices.size() > 1) ForkChoices(s, request, id);
  const Choice& choice = request->choices[s->sequences.at(id).choice];
  const auto draft = s->speculation->DraftOf(id);
  int accepted = 0;
  bool open = Push(s, id, s->model.forward->Logits(row));
  while (open && accepted < slice.drafts &&
         choice.last_token() == draft[accepted]) {
    s->scheduler->Accept(id, choice.last_token());
    ++accepted;
    open = Push(s, id, s->model.forward->Logits(row + accepted));
  }
  if (slice.drafts > 0) {
    // The last token may have been drafted, too, and ended the answer.
    const bool last = !open && accepted < slice.drafts &&
                      choice.last_token() == draft[accepted];
    s->speculation->Learn(id, slice.drafts, accepted + (last ? 1 : 0));
    request->usage.drafted_tokens += slice.drafts;
    request->usage.accepted_tokens += accepted + (last ? 1 : 0);
  }
  if (open) {
    s->scheduler->Extend(id, choice.last_token());
  } else {
    FinishChoice(s, id);
  }
}

// Draws and shows one token; whether the choice goes on.
bool Engine::Push(State* s, sched::SequenceId id,
                  std::span<const float> logits) {
  const Sequence& sequence = s->sequences.at(id);
  Request* request = sequence.request;
  Choice& choice = request->choices[sequence.choice];
  core::Delta delta = choice.Push(logits);
  ++request->usage.completion_tokens;
  if (!delta.text.empty() || !delta.reasoning.empty() ||
      !delta.logprobs.empty()) {
    request->generate.sink->OnDelta(std::move(delta));
  }
  return !choice.finish();
}

void Engine::FinishChoice(State* s, sched::SequenceId id) {
  Request* request = s->sequences.at(id).request;
  s->scheduler->Remove(id);
  s->speculation->Remove(id);
  s->sequences.erase(id);
  if (--request->open_choices > 0) return;
  core::Done done;
  done.usage = request->usage;
  for (const Choice& c : request->choices) done.finish.push_back(*c.finish());
  Retire(s, request, std::move(done));
}

// The other choices find the prompt in the prefix tree: each computes its last
// token.
void Engine::ForkChoices(State* s, Request* request, sched::SequenceId first) {
  for (size_t c = 1; c < request->choices.size(); ++c) {
    const sched::SequenceId id = next_sequence_++;
    s->scheduler->Fork(id, first);
    AddSequence(s, request, static_cast<int>(c), id);
  }
}

// The prompt's KV stays in the prefix tree, where a Start finds it.
void Engine::HarvestScore(State* s, sched::SequenceId id,
                          std::span<const float> logits) {
  Request* request = s->sequences.at(id).request;
  ScoreJob& job = *request->score;
  core::Scores scores;
  scores.tokens = static_cast<int>(job.prompt.size() + job.suffix.size()) -
                  request->usage.cached_tokens;
  for (const int32_t label : job.labels) scores.logits.push_back(logits[label]);
  scores.kept =
      s->model.sched.prefix_cache && job.whole && job.prompt.size() > 1;
  const auto done = std::move(job.done);
  Retire(s, request, core::Done());
  done(std::move(scores));
}

// Exact counters: a step reads the weights once, whatever its width, and the
// KV of every context once.
void Engine::Account(State* s) {
  const model::Forward& forward = *s->model.forward;
  const sched::WeightShares shares(
      forward.weight_bytes(), forward.coarse_weight_bytes(), s->plan, s->parts);
  // [view] columns, and those with 8 bits.
  std::vector<int> columns(s->series.size()), fine(s->series.size());
  for (size_t i = 0; i < s->parts.size(); ++i) {
    const sched::Slice& slice = s->plan.slices[i];
    const auto& [view, is_fine] = s->parts[i];
    columns[view] += slice.count;
    if (is_fine) fine[view] += slice.count;
    const double kv = static_cast<double>(slice.begin + slice.count) *
                      static_cast<double>(forward.kv_bytes_per_token());
    s->series[view].kv_bytes->Increment(kv);
    const auto it = s->sequences.find(slice.id);
    if (it == s->sequences.end()) continue;
    const double weights = shares.Of(slice, s->parts[i]);
    core::Usage& usage = it->second.request->usage;
    usage.weight_bytes_read += static_cast<int64_t>(weights);
    usage.bytes_read += static_cast<int64_t>(weights + kv);
  }
  for (size_t v = 0; v < columns.size(); ++v) {
    if (columns[v] == 0) continue;
    s->series[v].steps->Increment();
    s->series[v].columns->Increment(columns[v]);
    s->series[v].weight_bytes->Increment(shares.Of(columns[v], fine[v]));
  }
}

}  // namespace aio::engine
