// SPDX-License-Identifier: Apache-2.0
#include "engine/speculation.h"

#include <algorithm>
#include <utility>

namespace aio::engine {
namespace {

class LookupDrafter : public Drafter {
 public:
  explicit LookupDrafter(const LookupOptions& options) : lookup_(options) {}
  Draft Propose(std::span<const int32_t> tokens, int most) override {
    Lookup::Match match = lookup_.Find(tokens, most);
    return {cost::LookupBucket(match.length), std::move(match.tokens)};
  }

 private:
  Lookup lookup_;
};

}  // namespace

Speculation::Speculation(const SpeculationOptions& options, std::string variant,
                         std::optional<cost::StepTable> table, Metrics* metrics)
    : options_(options),
      variant_(std::move(variant)),
      table_(std::move(table)),
      metrics_(metrics) {}

void Speculation::Add(sched::SequenceId id, core::Strategy strategy,
                      std::optional<core::Label> intent) {
  Sequence& s = sequences_[id];
  s.asked = strategy == core::Strategy::kLookup;
  s.drafts = s.asked || (strategy == core::Strategy::kAuto && options_.enabled);
  s.intent = intent;
  if (!s.drafts) return;
  s.drafter = options_.drafter
                  ? options_.drafter()
                  : std::make_unique<LookupDrafter>(options_.lookup);
}

void Speculation::Propose(const std::function<int(sched::SequenceId)>& room,
                          sched::Scheduler* scheduler, sched::StepPlan* plan) {
  Gather(room, *scheduler, *plan);
  columns_ = plan->columns;
  if (offers_.empty()) return;
  const std::span<const int> counts = Counts();
  for (size_t i = 0; i < offering_.size(); ++i) {
    Sequence* s = offering_[i].sequence;
    const int wanted = std::min(counts[i], offers_[i].tokens);
    const int given =
        wanted > 0 ? scheduler->AddDrafts(offering_[i].id, wanted, plan) : 0;
    s->draft.tokens.resize(static_cast<size_t>(given));
  }
  columns_ = plan->columns;
}

// What each decoding sequence has to offer, and the step without it.
void Speculation::Gather(const std::function<int(sched::SequenceId)>& room,
                         const sched::Scheduler& scheduler,
                         const sched::StepPlan& plan) {
  offering_.clear();
  offers_.clear();
  base_ = {};
  base_.table = table_ ? &*table_ : nullptr;
  base_.columns = plan.columns;
  base_.columns_free = options_.drafts_max;
  for (const sched::Slice& slice : plan.slices) {
    base_.context += slice.begin + slice.count;
    base_.tokens += slice.logits ? 1 : 0;
    const auto it = sequences_.find(slice.id);
    if (it == sequences_.end()) continue;
    Sequence& s = it->second;
    s.draft.tokens.clear();
    if (!slice.logits || slice.count > 1 || !s.drafts) continue;
    if (!table_ && !s.asked) continue;
    const int most = std::min(room(slice.id), options_.draft_max);
    if (most < 1) continue;
    s.draft = s.drafter->Propose(scheduler.TokensOf(slice.id), most);
    if (s.draft.tokens.empty()) continue;
    const auto bucket = static_cast<size_t>(s.draft.bucket);
    offering_.push_back({slice.id, &s});
    offers_.push_back({static_cast<int>(s.draft.tokens.size()),
                       acceptance_.Of(s.own, s.intent, s.draft.bucket), false,
                       &s.switches[bucket]});
  }
}

std::span<const int> Speculation::Counts() {
  if (table_) return budget_.Share(base_, offers_);
  int left = base_.columns_free;
  blind_.clear();
  for (const sched::DraftOffer& offer : offers_) {
    blind_.push_back(std::min({offer.tokens, kBlindDrafts, left}));
    left -= blind_.back();
  }
  return blind_;
}

std::span<const int32_t> Speculation::DraftOf(sched::SequenceId id) const {
  const auto it = sequences_.find(id);
  if (it == sequences_.end()) return {};
  return it->second.draft.tokens;
}

void Speculation::Learn(sched::SequenceId id, int drafted, int accepted) {
  Sequence& s = sequences_.at(id);
  acceptance_.Learn(s.intent, s.draft.bucket, drafted, accepted, &s.own);
  Series& series = SeriesOf(s.intent);
  series.drafted->Increment(drafted);
  series.accepted->Increment(accepted);
  if (!table_) return;
  // A token kept saves its sequence a step of those that it would have shared
  // with the others; its columns have cost their part of what the step took
  // longer.
  const double plain = table_->Seconds(base_.columns, base_.context);
  const double extra = table_->Seconds(columns_, base_.context) - plain;
  series.gained->Increment(accepted * plain / base_.tokens -
                           extra * drafted / (columns_ - base_.columns));
}

Speculation::Series& Speculation::SeriesOf(std::optional<core::Label> intent) {
  Series& series =
      series_[intent ? static_cast<size_t>(*intent) : core::kLabels];
  if (series.drafted != nullptr) return series;
  const Labels labels = {
      {"variant", variant_},
      {"strategy", std::string(core::Name(core::Strategy::kLookup))},
      {"intent", intent ? std::string(core::Name(*intent)) : "unknown"}};
  series.drafted = metrics_->Counter("aio_speculation_drafted_tokens_total",
                                     "Tokens drafted and verified", labels);
  series.accepted = metrics_->Counter("aio_speculation_accepted_tokens_total",
                                      "Drafted tokens that were kept", labels);
  series.gained = metrics_->Gauge(
      "aio_speculation_gained_seconds",
      "Device time that drafts have saved by the step table, so far", labels);
  return series;
}

}  // namespace aio::engine
