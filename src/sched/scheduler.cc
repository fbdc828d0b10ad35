// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace aio::sched {

Scheduler::Scheduler(const Options& options)
    : options_(options), pool_(options.pages) {
  CHECK(options.columns_max >= options.sequences_max);
  CHECK(options.columns_beside_decode >= 1);
}

Result<void> Scheduler::Add(SequenceId id, int tokens) {
  CHECK(tokens >= 1 && !Has(id));
  if (queued() >= options_.queue_max) {
    return Error{ErrorCode::kOverloaded,
                 "the queue is full (" + std::to_string(options_.queue_max) +
                     " requests wait); retry later",
                 ""};
  }
  sequences_[id].known = tokens;
  queue_.push_back(id);
  return {};
}

void Scheduler::Fork(SequenceId id, int tokens, SequenceId parent,
                     int common) {
  CHECK(tokens >= 1 && !Has(id));
  sequences_[id].known = tokens;
  queue_.push_back(id);
  const Sequence& from = At(parent);
  // The last token is always computed again: its logits are wanted.
  const int usable = std::min({common, from.computed, tokens - 1});
  const int pages = usable / options_.page_tokens;
  Sequence& to = At(id);
  to.pages.assign(from.pages.begin(), from.pages.begin() + pages);
  for (const int32_t page : to.pages) pool_.Share(page);
  to.computed = pages * options_.page_tokens;
}

void Scheduler::Extend(SequenceId id) { ++At(id).known; }

void Scheduler::Remove(SequenceId id) {
  Release(&At(id), 0);
  sequences_.erase(id);
  std::erase(running_, id);
  std::erase(queue_, id);
  std::erase(held_, id);
}

void Scheduler::Hold(SequenceId id, int tokens) {
  Sequence& sequence = At(id);
  CHECK(tokens <= sequence.computed);
  Release(&sequence, tokens);
  sequence.held = true;
  std::erase(running_, id);
  std::erase(queue_, id);
  held_.push_back(id);
}

void Scheduler::Resume(SequenceId id, int tokens) {
  Sequence& sequence = At(id);
  CHECK(sequence.held && tokens > sequence.computed);
  sequence.held = false;
  sequence.known = tokens;
  std::erase(held_, id);
  queue_.push_back(id);
}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  Admit(&plan);
  bool decoding = false;
  // A copy: granting pages may pause sequences, which shortens running_.
  const std::vector<SequenceId> order = running_;
  for (const SequenceId id : order) {
    const Sequence& s = At(id);
    if (s.known - s.computed != 1) continue;
    decoding = true;
    Choose(id, 1, &plan);
  }
  const int limit =
      decoding ? std::min(options_.columns_max,
                          plan.columns + options_.columns_beside_decode)
               : options_.columns_max;
  for (const SequenceId id : order) {
    const Sequence& s = At(id);
    const int wanted = std::min(s.known - s.computed, limit - plan.columns);
    if (s.known - s.computed > 1 && wanted > 0) Choose(id, wanted, &plan);
  }
  return plan;
}

void Scheduler::Choose(SequenceId id, int columns, StepPlan* plan) {
  if (std::find(running_.begin(), running_.end(), id) == running_.end()) {
    return;  // paused a moment ago, for an older one
  }
  const int begin = At(id).computed;
  if (!Grant(id, begin + columns, plan)) return;
  plan->slices.push_back({id, begin, columns, begin + columns == At(id).known});
  plan->columns += columns;
}

void Scheduler::Commit(const StepPlan& plan) {
  for (const Slice& slice : plan.slices) {
    const auto it = sequences_.find(slice.id);
    if (it != sequences_.end()) {
      it->second.computed = slice.begin + slice.count;
    }
  }
}

const std::vector<int32_t>& Scheduler::PagesOf(SequenceId id) const {
  const auto it = sequences_.find(id);
  CHECK(it != sequences_.end());
  return it->second.pages;
}

Scheduler::Sequence& Scheduler::At(SequenceId id) {
  const auto it = sequences_.find(id);
  CHECK(it != sequences_.end());
  return it->second;
}

// First come, first served: nothing overtakes the head of the queue, so a long
// prompt is not starved by short ones.
void Scheduler::Admit(StepPlan* plan) {
  while (!queue_.empty() && running() < options_.sequences_max) {
    const SequenceId id = queue_.front();
    const Sequence& s = At(id);
    const int missing = PagesFor(s.known) - static_cast<int>(s.pages.size());
    while (pool_.free() < missing && DropHeld(plan)) {
    }
    if (pool_.free() < missing && !running_.empty()) return;
    queue_.pop_front();
    running_.push_back(id);
  }
}

bool Scheduler::Grant(SequenceId id, int tokens, StepPlan* plan) {
  const auto needed = static_cast<size_t>(PagesFor(tokens));
  while (At(id).pages.size() < needed) {
    if (pool_.free() > 0) {
      At(id).pages.push_back(pool_.Take());
      continue;
    }
    if (DropHeld(plan) || StripQueued()) continue;
    // Slices already planned belong to older sequences or to decode columns;
    // a paused one's slice is taken out of the plan again.
    const SequenceId newest = running_.back();
    PauseNewest();
    ++plan->paused;
    std::erase_if(plan->slices, [&](const Slice& slice) {
      if (slice.id != newest) return false;
      plan->columns -= slice.count;
      return true;
    });
    if (newest == id) return false;
  }
  return true;
}

bool Scheduler::DropHeld(StepPlan* plan) {
  if (held_.empty()) return false;
  const SequenceId id = held_.front();
  plan->dropped.push_back(id);
  Remove(id);
  return true;
}

bool Scheduler::StripQueued() {
  for (auto it = queue_.rbegin(); it != queue_.rend(); ++it) {
    Sequence& waiting = At(*it);
    if (waiting.pages.empty()) continue;
    Release(&waiting, 0);
    return true;
  }
  return false;
}

void Scheduler::PauseNewest() {
  CHECK(!running_.empty());
  const SequenceId id = running_.back();
  running_.pop_back();
  Release(&At(id), 0);
  queue_.push_front(id);
}

void Scheduler::Release(Sequence* sequence, int keep_tokens) {
  const auto keep = static_cast<size_t>(PagesFor(keep_tokens));
  while (sequence->pages.size() > keep) {
    pool_.Give(sequence->pages.back());
    sequence->pages.pop_back();
  }
  sequence->computed = std::min(sequence->computed, keep_tokens);
}

}  // namespace aio::sched
