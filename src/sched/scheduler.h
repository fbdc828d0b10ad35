// SPDX-License-Identifier: Apache-2.0
//
// What one model runs next, planned in indices: which sequences are admitted,
// which pages they own, which positions of which sequence the next step
// computes. Knows no tensor, no thread and no clock, so that the simulator runs
// this very object.
//
// Pages are shared through a prefix tree: what a sequence has computed is known
// there as soon as a page is full, and with its last, partly filled page once
// its prompt is done, or it is paused or over. An admitted sequence goes on
// from the longest beginning that is known: full pages are shared, the page
// where it parts from them is copied (StepPlan.copies). Further choices of a
// request, the next turn of a conversation, a probed prompt and a paused
// sequence all come back that way.
//
// Tenants that wait have their turns by what they ask for (base/fair_queue.h),
// so that one with a thousand requests does not hold up one with a single one;
// within a tenant, first come, first served.
//
// A step takes the decode columns first (sequences that lack one position),
// then waiting prefill (ChoosePrefill). When pages run out, what nobody uses is
// evicted; then the newest running sequence is paused: it gives its pages back,
// waits before all others and is recomputed later. The oldest can always
// go on, because one sequence alone fits (REQUIRED of the caller: pages *
// page_tokens >= its longest sequence).
//
// Thread safety: none; the engine thread only.
// Cost: Plan is O(sequences + pages granted), and O(prompt pages) to look up a
// prompt that waits.
// See docs/kv_cache.md.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/fair_queue.h"
#include "base/result.h"
#include "core/backend.h"
#include "cost/step_table.h"
#include "sched/page_pool.h"
#include "sched/prefix_tree.h"

namespace aio::sched {

using SequenceId = uint64_t;

struct Options {
  int pages = 0;
  int page_tokens = 32;
  int sequences_max = 32;  // running at once
  int columns_max = 512;   // of one step: the prefill chunk of a lone prompt
  // Prefill columns of a step that also decodes, where no step table says
  // better: small, because every decoding user waits for them.
  int columns_beside_decode = 32;
  int queue_max = 256;  // waiting; past it Add fails
  // Off: KV is shared among sequences that run, and nothing outlives them.
  bool prefix_cache = true;
  uint64_t secret = 0;  // enters PrefixDigest's hashes; random in production
  // What a step takes; with it prefill beside decoding is as wide as keeps the
  // step within slowdown_max of the decoding alone.
  std::optional<cost::StepTable> step_table;
  double slowdown_max = 1.5;
};

// Whose a sequence is, and what it is expected to take beside its prompt: when
// its turn comes, if it has to wait.
struct Claim {
  uint64_t tenant = 0;
  double weight = 1;  // of the tenant; > 0
  double answer_tokens = 0;
};
Claim ClaimOf(const core::Request& request, const core::Plan& plan);

// Positions [begin, begin + count) of one sequence. The last `drafts` of them
// are past the end of what is known, guesses that the step verifies. Logits are
// wanted if the slice reaches that end: of the last known position and all
// drafts.
struct Slice {
  SequenceId id = 0;
  int begin = 0;
  int count = 0;
  bool logits = false;
  int drafts = 0;

  int known() const { return count - drafts; }
};

struct StepPlan {
  // To be done in this order before anything is computed, even if there is no
  // slice: a page may be the source of one and the target of a later one.
  struct Copy {
    int32_t from = 0;
    int32_t to = 0;
  };
  // Sequences that run for the first time.
  struct Admitted {
    SequenceId id = 0;
    int known_tokens = 0;
    int cached_tokens = 0;  // of those, KV was there
  };

  std::vector<Copy> copies;
  std::vector<Slice> slices;  // each sequence at most once
  int columns = 0;
  std::vector<Admitted> admitted;
  int paused = 0;   // sequences paused to make room
  int evicted = 0;  // pages that the prefix tree gave up
};

class Scheduler {
 public:
  explicit Scheduler(const Options& options);

  // A new sequence waits for admission. Only sequences of one salt share KV.
  // kOverloaded if the queue is full. REQUIRES: a token; id not in use.
  Result<void> Add(SequenceId id, std::vector<int32_t> tokens, uint64_t salt,
                   const Claim& claim = {});
  // The same with the prompt of `parent`. Never refused: whoever was admitted
  // may have its further choices (bounded by the server's limit).
  void Fork(SequenceId id, SequenceId parent);
  // One more token is known (just sampled).
  void Extend(SequenceId id, int32_t token);
  // Ends a sequence; its pages are free for others at once. Unknown ids are a
  // bug.
  void Remove(SequenceId id);

  // Admits, grants pages, chooses slices. The caller copies pages, runs the
  // slices, then commits.
  StepPlan Plan();
  // Up to `count` drafts for a sequence whose slice reaches the end of what is
  // known; how many there are pages for. Never pauses anyone.
  int AddDrafts(SequenceId id, int count, StepPlan* plan);
  // The slices of `plan` have been computed (those of sequences removed since
  // are ignored). Drafts count for nothing until they are accepted.
  void Commit(const StepPlan& plan);
  // One more token is known, and computed: a draft of the step just committed
  // was right. What the step wrote behind the accepted ones is no part of the
  // sequence: positions are written anew before they are read, and pages enter
  // the tree by what is known alone.
  void Accept(SequenceId id, int32_t token);

  // Guests: texts of another model's sequences, which this model reads to draft
  // for them. They have no turn in Plan, only pages that nobody else needs:
  // before a sequence is paused or waits, the newest guest loses its own.
  void AddGuest(SequenceId id, uint64_t salt);
  void RemoveGuest(SequenceId id);
  bool HasGuest(SequenceId id) const { return guests_.count(id) > 0; }
  // The guest's text is `tokens` from now on; what was computed of their common
  // beginning, or is in the tree, stays. Grants pages for all of it and returns
  // how many tokens are computed; at most all but the last. -1: no pages.
  // Copies go to `plan` alone. REQUIRES: not empty.
  int PrepareGuest(SequenceId id, std::span<const int32_t> tokens,
                   StepPlan* plan);
  // So many tokens of its text are computed now. Of the first `known`, which no
  // later text will change, full pages are known to the tree.
  void CommitGuest(SequenceId id, int computed, int known);
  // Of a guest as well.
  const std::vector<int32_t>& PagesOf(SequenceId id) const;
  const std::vector<int32_t>& TokensOf(SequenceId id) const;
  bool Has(SequenceId id) const { return sequences_.count(id) > 0; }
  // In the order of their admission; the others wait.
  const std::vector<SequenceId>& running_ids() const { return running_; }
  // That turns of the device are given for (sched/turns.h): no more than there
  // are places; 0: has no work.
  int RequestsAtWork() const {
    return std::min(running() + queued(), options_.sequences_max);
  }
  int running() const { return static_cast<int>(running_.size()); }
  int queued() const {
    return static_cast<int>(paused_.size() + queue_.size());
  }
  // Prompt tokens still to compute when the step of these slices is over; of
  // those that wait, as if nothing were cached.
  int64_t PromptTokens(std::span<const Slice> under_way) const;
  // Pages that no sequence uses: empty ones, and cached ones to be evicted.
  int pages_free() const { return pool_.free() + tree_.idle(); }
  int pages_cached() const { return tree_.size(); }  // used or not
  int pages_total() const { return pool_.total(); }
  // For prices, on any thread; the same object until something changes.
  std::shared_ptr<const PrefixDigest> Digest() { return tree_.Digest(); }

 private:
  struct Sequence {
    std::vector<int32_t> tokens;  // the known ones
    int prompt = 0;               // of those, at the start
    int computed = 0;             // positions whose KV is valid
    uint64_t salt = 0;
    Claim claim;
    bool admitted = false;  // at least once
    uint64_t served = 0;    // the number of its last slice
    int nodes = 0;          // leading pages that are full nodes of the tree
    std::vector<int32_t> pages;

    int known() const { return static_cast<int>(tokens.size()); }
    int left() const { return known() - computed; }
  };

  Sequence& At(SequenceId id);
  const Sequence& At(SequenceId id) const;
  int PagesFor(int tokens) const {
    return (tokens + options_.page_tokens - 1) / options_.page_tokens;
  }
  void Admit(StepPlan* plan);
  void Begin(SequenceId id, const PrefixTree::Match& match, StepPlan* plan);
  // Gives a sequence without pages those of a match.
  void Attach(const PrefixTree::Match& match, Sequence* s, StepPlan* plan);
  // An empty page, evicting for it; -1 if all are in use.
  int32_t TakePage(StepPlan* plan);
  // Takes the newest guest's pages that are its own; false if none has any.
  bool DropGuest();
  void ReleaseGuest(Sequence* guest);
  // Grants pages so that the sequence covers `tokens`; false if it cannot even
  // after pausing all that is newer.
  bool Grant(SequenceId id, int tokens, StepPlan* plan);
  void PauseNewest(StepPlan* plan);
  // Makes what is computed known to the tree: full pages and, with `tail`, the
  // last one as far as it goes.
  void Store(Sequence* sequence, bool tail);
  void Release(Sequence* sequence);
  void ForgetUnused();
  void ChooseDecode(const std::vector<SequenceId>& order, StepPlan* plan);
  void ChoosePrefill(const std::vector<SequenceId>& order, StepPlan* plan);
  int ColumnsBeside(int decode_columns) const;
  void Choose(SequenceId id, int columns, StepPlan* plan);

  Options options_;
  PagePool pool_;
  PrefixTree tree_;
  std::map<SequenceId, Sequence> sequences_;
  std::map<SequenceId, Sequence> guests_;
  std::vector<SequenceId> running_;  // admission order
  std::deque<SequenceId> paused_;    // go on before anyone begins
  FairQueue<SequenceId> queue_;      // never admitted
  uint64_t slices_ = 0;              // so far
};

}  // namespace aio::sched
