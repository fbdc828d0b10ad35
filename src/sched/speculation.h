// SPDX-License-Identifier: Apache-2.0
//
// Speculation of one model: which tokens a step verifies besides those that it
// computes anyway, and what came of them. Whether and how much is drafted is
// the column budget's (sched/column_budget.h), from the step table and from how
// often such drafts were right; what is right is for the sampler of each
// request to say, so that answers are the same bytes with and without.
//
// Thread safety: none; the engine thread only.
// See docs/speculation.md.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "core/intent.h"
#include "core/request.h"
#include "cost/acceptance.h"
#include "sched/column_budget.h"
#include "sched/draft_model.h"
#include "sched/drafter.h"
#include "sched/lookup.h"
#include "sched/scheduler.h"

namespace aio::sched {

struct SpeculationOptions {
  LookupOptions lookup;
  int draft_max = 15;   // tokens of a sequence and step
  int drafts_max = 32;  // of a step: each may have logits of its own
  // Of a draft model: what it says later is kept less and costs as much.
  int model_draft_max = 8;
  // What a step of the draft model that only reads may take: nobody else runs
  // meanwhile. The engine sets it to its slice.
  double read_seconds_max = 0.08;
  // Instead of lookup; for tests.
  MakeDrafter drafter = {};
};

// What steps take with columns of 8 bits, and of 4 alone (docs/nest.md).
struct StepTables {
  std::optional<cost::StepTable> fine, coarse;
};

class Speculation {
 public:
  // Without a step table nobody knows what a column costs: then requests that
  // ask for drafts get kBlindDrafts of them, and others none.
  static constexpr int kBlindDrafts = 7;
  static constexpr int kBlindModelDrafts = 4;

  // `variants`: the views of the model, which metrics and what is learned tell
  // apart.
  Speculation(const SpeculationOptions& options,
              std::vector<std::string> variants, StepTables tables,
              Metrics* metrics);

  // Who drafts besides lookup, while `free` says so. Both must outlive it.
  void SetDraftModel(DraftModel* model, std::function<bool()> free);
  bool has_draft_model() const { return model_ != nullptr; }

  // A sequence of one view; `salt` is of its KV in the draft model.
  struct About {
    core::Strategy strategy = core::Strategy::kPlain;
    std::optional<core::Label> intent;
    int view = 0;
    uint64_t salt = 0;
    // What the sequence may say first. Verified without regard to what it
    // costs, like a prompt: as many a step as have logits, from the prompt's
    // own last step on, until the sampler says something else.
    std::vector<int32_t> given = {};
  };
  void Add(SequenceId id, const About& about);
  void Remove(SequenceId id);

  // Adds drafts to the sequences of `plan` that decode. `room`: tokens that a
  // sequence may still have, the next one not counted. `coarse`: of which steps
  // the table says what this one takes.
  void Propose(const std::function<int(SequenceId)>& room, bool coarse,
               Scheduler* scheduler, StepPlan* plan);
  // What a draft model is to say is said in rounds, each a step of it. True if
  // there are more. The tokens of drafts are known behind the last one.
  bool Round();
  // Of the step under way; as many as the plan's slice has.
  std::span<const int32_t> DraftOf(SequenceId id) const;
  // What the sampler kept of a draft of `drafted` tokens.
  void Learn(SequenceId id, int drafted, int accepted);

 private:
  struct Sequence {
    bool by_model = false;  // the draft model may
    bool asked = false;     // by the request, not by default
    std::optional<core::Label> intent;
    size_t view = 0;
    std::unique_ptr<Drafter> drafter;  // null: none
    cost::Acceptance::Own own;
    std::array<DraftSwitch, cost::kDraftBuckets> switches;
    Draft draft;  // of the step under way
    // About::given, from where the text ended first; empty: nothing is left.
    std::vector<int32_t> given;
    std::optional<size_t> begun;  // tokens of the text there
    bool draft_is_given = false;
  };
  enum Who : uint8_t { kText, kModel, kGiven, kWhos };
  // Series of one view, intent and drafter.
  struct Series {
    prometheus::Counter* drafted = nullptr;
    prometheus::Counter* accepted = nullptr;
    prometheus::Gauge* gained = nullptr;
  };
  struct Offer {
    SequenceId id;
    Sequence* sequence;
    bool ready;  // else the draft model has to read first
  };

  void Give(const std::function<int(SequenceId)>& room, Scheduler* scheduler,
            StepPlan* plan);
  void Gather(const std::function<int(SequenceId)>& room,
              const Scheduler& scheduler, const StepPlan& plan);
  void AddOffer(SequenceId id, std::span<const int32_t> tokens, int most);
  std::span<const int> Counts();
  int ReadColumns() const;
  Series& SeriesOf(const Sequence& s, Who who);

  const SpeculationOptions options_;
  const std::vector<std::string> variants_;  // [view]
  const StepTables tables_;
  Metrics* const metrics_;
  std::vector<cost::Acceptance> acceptance_;  // [view]
  ColumnBudget budget_;
  std::map<SequenceId, Sequence> sequences_;
  using SeriesByIntent =
      std::array<std::array<Series, kWhos>, core::kLabels + 1>;
  std::vector<SeriesByIntent> series_;  // [view]
  DraftModel* model_ = nullptr;
  std::function<bool()> model_free_;
  // Of the step under way.
  std::vector<Offer> offering_;
  std::vector<DraftOffer> offers_;
  std::vector<int> blind_;
  ColumnBudget::Base base_;
  int given_ = 0;    // tokens
  int columns_ = 0;  // drafts among them
};

}  // namespace aio::sched
