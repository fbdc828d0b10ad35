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
#include "engine/drafter.h"
#include "engine/lookup.h"
#include "sched/column_budget.h"
#include "sched/scheduler.h"

namespace aio::engine {

struct SpeculationOptions {
  bool enabled = true;  // for requests that do not say
  LookupOptions lookup;
  int draft_max = 15;   // tokens of a sequence and step
  int drafts_max = 32;  // of a step: each may have logits of its own
  // Instead of lookup; for tests.
  MakeDrafter drafter = {};
};

class Speculation {
 public:
  // Without a step table nobody knows what a column costs: then requests that
  // ask for drafts get kBlindDrafts of them, and others none.
  static constexpr int kBlindDrafts = 7;

  Speculation(const SpeculationOptions& options, std::string variant,
              std::optional<cost::StepTable> table, Metrics* metrics);

  void Add(sched::SequenceId id, core::Strategy strategy,
           std::optional<core::Label> intent);
  void Remove(sched::SequenceId id) { sequences_.erase(id); }

  // Adds drafts to the sequences of `plan` that decode. `room`: tokens that a
  // sequence may still have, the next one not counted.
  void Propose(const std::function<int(sched::SequenceId)>& room,
               sched::Scheduler* scheduler, sched::StepPlan* plan);
  // Of the step under way; as many as the plan's slice has.
  std::span<const int32_t> DraftOf(sched::SequenceId id) const;
  // What the sampler kept of a draft of `drafted` tokens.
  void Learn(sched::SequenceId id, int drafted, int accepted);

 private:
  struct Sequence {
    bool drafts = false;
    bool asked = false;  // by the request, not by default
    std::optional<core::Label> intent;
    std::unique_ptr<Drafter> drafter;
    cost::Acceptance::Own own;
    std::array<sched::DraftSwitch, cost::kDraftBuckets> switches;
    Draft draft;  // of the step under way
  };
  // Series of one intent.
  struct Series {
    prometheus::Counter* drafted = nullptr;
    prometheus::Counter* accepted = nullptr;
    prometheus::Gauge* gained = nullptr;
  };
  struct Offer {
    sched::SequenceId id;
    Sequence* sequence;
  };

  void Gather(const std::function<int(sched::SequenceId)>& room,
              const sched::Scheduler& scheduler, const sched::StepPlan& plan);
  std::span<const int> Counts();
  Series& SeriesOf(std::optional<core::Label> intent);

  const SpeculationOptions options_;
  const std::string variant_;
  const std::optional<cost::StepTable> table_;
  Metrics* const metrics_;
  cost::Acceptance acceptance_;
  sched::ColumnBudget budget_;
  std::map<sched::SequenceId, Sequence> sequences_;
  std::array<Series, core::kLabels + 1> series_{};
  // Of the step under way.
  std::vector<Offer> offering_;
  std::vector<sched::DraftOffer> offers_;
  std::vector<int> blind_;
  sched::ColumnBudget::Base base_;
  int columns_ = 0;  // drafts among them
};

}  // namespace aio::engine
