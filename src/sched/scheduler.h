// SPDX-License-Identifier: Apache-2.0
//
// What one model runs next, planned in indices: which sequences are admitted,
// which pages they own, which positions of which sequence the next step
// computes. Knows no tensor, no thread and no clock, so that the simulator runs
// this very object.
//
// Sequences are served in order of admission. A step takes the decode columns
// first (sequences that lack one position), then waiting prefill. When pages
// run out, held sequences are dropped first, then waiting ones lose the pages
// they brought; then the newest running sequence
// is paused: it gives its pages back, waits at the head of the queue and is
// recomputed later. The oldest can always go on, because one sequence alone
// fits (REQUIRED of the caller: pages * page_tokens >= its longest sequence).
//
// Thread safety: none; the engine thread only.
// Cost: Plan is O(sequences + pages granted).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/result.h"
#include "sched/page_pool.h"

namespace aio::sched {

using SequenceId = uint64_t;

struct Options {
  int pages = 0;
  int page_tokens = 32;
  int sequences_max = 32;  // running at once
  int columns_max = 512;   // of one step: the prefill chunk of a lone prompt
  // Prefill columns of a step that also decodes: small, because every decoding
  // user waits for them.
  int columns_beside_decode = 32;
  int queue_max = 256;  // waiting; past it Add fails
};

// Positions [begin, begin + count) of one sequence. Its last column's logits
// are wanted if the slice reaches the end of what is known.
struct Slice {
  SequenceId id = 0;
  int begin = 0;
  int count = 0;
  bool logits = false;
};

struct StepPlan {
  std::vector<Slice> slices;  // each sequence at most once
  int columns = 0;
  int paused = 0;                   // sequences paused to make room
  std::vector<SequenceId> dropped;  // held sequences that are gone
};

class Scheduler {
 public:
  explicit Scheduler(const Options& options);

  // A new sequence of `tokens` known tokens waits for admission. kOverloaded
  // if the queue is full. REQUIRES: tokens >= 1; id not in use.
  Result<void> Add(SequenceId id, int tokens);
  // The same, sharing the whole pages of `parent` that cover its first
  // `common` tokens, as far as they are computed. Never refused: whoever was
  // admitted may have its further choices (bounded by the server's limit).
  void Fork(SequenceId id, int tokens, SequenceId parent, int common);
  // One more token is known (just sampled).
  void Extend(SequenceId id);
  // Ends a sequence; its pages are free at once. Unknown ids are a bug.
  void Remove(SequenceId id);

  // Keeps the first `tokens` computed positions of a sequence without running
  // it, until Resume, Remove, or until its pages are needed (StepPlan.dropped).
  void Hold(SequenceId id, int tokens);
  // A held sequence runs again with `tokens` known tokens.
  void Resume(SequenceId id, int tokens);

  // Admits, grants pages, chooses slices. The caller runs them, then commits.
  StepPlan Plan();
  // The slices of `plan` have been computed (those of sequences removed since
  // are ignored).
  void Commit(const StepPlan& plan);

  const std::vector<int32_t>& PagesOf(SequenceId id) const;
  bool Has(SequenceId id) const { return sequences_.count(id) > 0; }
  bool HasWork() const { return !running_.empty() || !queue_.empty(); }
  int running() const { return static_cast<int>(running_.size()); }
  int queued() const { return static_cast<int>(queue_.size()); }
  int pages_free() const { return pool_.free(); }
  int pages_total() const { return pool_.total(); }

 private:
  struct Sequence {
    int known = 0;     // tokens whose ids are known
    int computed = 0;  // positions whose KV is valid
    bool held = false;
    std::vector<int32_t> pages;
  };

  Sequence& At(SequenceId id);
  int PagesFor(int tokens) const {
    return (tokens + options_.page_tokens - 1) / options_.page_tokens;
  }
  void Admit(StepPlan* plan);
  // Grants pages so that `sequence` covers `tokens`; false if it cannot even
  // after dropping held ones and pausing all that is newer than `id`.
  bool Grant(SequenceId id, int tokens, StepPlan* plan);
  bool DropHeld(StepPlan* plan);
  // Takes the pages that the last waiting sequence brought with it (a fork's
  // shared prefix, a resumed one's prompt); it recomputes them later.
  bool StripQueued();
  void PauseNewest();
  void Release(Sequence* sequence, int keep_tokens);
  void Choose(SequenceId id, int columns, StepPlan* plan);

  Options options_;
  PagePool pool_;
  std::map<SequenceId, Sequence> sequences_;
  std::vector<SequenceId> running_;  // admission order
  std::deque<SequenceId> queue_;     // paused ones at the front
  std::vector<SequenceId> held_;     // oldest first
};

}  // namespace aio::sched
