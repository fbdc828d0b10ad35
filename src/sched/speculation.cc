// SPDX-License-Identifier: Apache-2.0
#include "sched/speculation.h"

#include <algorithm>
#include <utility>

namespace aio::sched {
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

Speculation::Speculation(const SpeculationOptions& options,
                         std::vector<std::string> variants, StepTables tables,
                         Metrics* metrics)
    : options_(options),
      variants_(std::move(variants)),
      tables_(std::move(tables)),
      metrics_(metrics),
      acceptance_(variants_.size()),
      series_(variants_.size()) {}

void Speculation::SetDraftModel(DraftModel* model, std::function<bool()> free) {
  model_ = model;
  model_free_ = std::move(free);
}

void Speculation::Add(SequenceId id, const About& about) {
  using core::Strategy;
  Sequence& s = sequences_[id];
  const bool any = about.strategy == Strategy::kAuto;
  s.asked =
      about.strategy == Strategy::kLookup || about.strategy == Strategy::kDraft;
  s.intent = about.intent;
  s.view = static_cast<size_t>(about.view);
  s.given = about.given;
  s.by_model = model_ != nullptr && (any || about.strategy == Strategy::kDraft);
  if (s.by_model) model_->Add(id, about.salt);
  if (!any && about.strategy != Strategy::kLookup) return;
  s.drafter = options_.drafter
                  ? options_.drafter()
                  : std::make_unique<LookupDrafter>(options_.lookup);
}

void Speculation::Remove(SequenceId id) {
  const auto it = sequences_.find(id);
  if (it == sequences_.end()) return;
  if (it->second.by_model) model_->Remove(id);
  sequences_.erase(it);
}

void Speculation::Propose(const std::function<int(SequenceId)>& room,
                          bool coarse, Scheduler* scheduler, StepPlan* plan) {
  const auto& table = coarse ? tables_.coarse : tables_.fine;
  base_ = {};
  base_.table = table ? &*table : nullptr;
  Give(room, scheduler, plan);
  Gather(room, *scheduler, *plan);
  columns_ = plan->columns;
  std::vector<DraftModel::Wanted> wanted;
  bool read = false;
  const std::span<const int> counts =
      offers_.empty() ? std::span<const int>() : Counts();
  for (size_t i = 0; i < offering_.size(); ++i) {
    const auto& [id, s, ready] = offering_[i];
    const int count = std::min(counts[i], offers_[i].tokens);
    if (count > 0 && !ready) {
      model_->Read(id, scheduler->TokensOf(id));
      read = true;
    }
    const int given =
        count > 0 && ready ? scheduler->AddDrafts(id, count, plan) : 0;
    s->draft.tokens.resize(static_cast<size_t>(given));
    if (given > 0 && offers_[i].by_model) {
      wanted.push_back({id, scheduler->TokensOf(id), given});
    }
  }
  columns_ = plan->columns;
  if (read) model_->ReadOn(ReadColumns());
  if (model_ != nullptr) model_->Begin(wanted);
}

// What is left of what sequences were given, as far as logits go. The last
// token drawn was no draft, so it is compared here.
void Speculation::Give(const std::function<int(SequenceId)>& room,
                       Scheduler* scheduler, StepPlan* plan) {
  given_ = 0;
  for (const Slice& slice : plan->slices) {
    const auto it = sequences_.find(slice.id);
    if (it == sequences_.end()) continue;
    Sequence& s = it->second;
    s.draft.tokens.clear();
    s.draft_is_given = false;
    if (!slice.logits || s.given.empty()) continue;
    const std::vector<int32_t>& text = scheduler->TokensOf(slice.id);
    if (!s.begun) s.begun = text.size();
    const size_t said = text.size() - *s.begun;
    if (said >= s.given.size() ||
        !std::equal(text.begin() + static_cast<ptrdiff_t>(*s.begun), text.end(),
                    s.given.begin())) {
      s.given = {};
      continue;
    }
    const int most =
        std::min({room(slice.id), static_cast<int>(s.given.size() - said),
                  options_.drafts_max - given_});
    if (most <= 0) continue;
    const int count = scheduler->AddDrafts(slice.id, most, plan);
    const auto from = s.given.begin() + static_cast<ptrdiff_t>(said);
    s.draft.tokens.assign(from, from + count);
    s.draft_is_given = count > 0;
    given_ += count;
  }
}

// What each decoding sequence has to offer, and the step without it.
void Speculation::Gather(const std::function<int(SequenceId)>& room,
                         const Scheduler& scheduler, const StepPlan& plan) {
  offering_.clear();
  offers_.clear();
  base_.draft_table = model_ != nullptr ? model_->table() : nullptr;
  base_.columns = plan.columns;
  base_.columns_free = options_.drafts_max - given_;
  for (const Slice& slice : plan.slices) {
    base_.context += slice.begin + slice.count;
    base_.tokens += slice.logits ? 1 : 0;
    const auto it = sequences_.find(slice.id);
    if (it == sequences_.end()) continue;
    if (!slice.logits || slice.count > 1) continue;
    if (base_.table == nullptr && !it->second.asked) continue;
    const int most = std::min(room(slice.id), options_.draft_max);
    if (most > 0) AddOffer(slice.id, scheduler.TokensOf(slice.id), most);
  }
}

// The likelier of the text's own words and the draft model's, if there are any;
// of equals the text's, which cost nothing.
void Speculation::AddOffer(SequenceId id, std::span<const int32_t> tokens,
                           int most) {
  Sequence& s = sequences_.at(id);
  double acceptance = 0;
  if (s.drafter) s.draft = s.drafter->Propose(tokens, most);
  if (!s.draft.tokens.empty()) {
    acceptance = acceptance_[s.view].Of(s.own, s.intent, s.draft.bucket);
  }
  const bool can = s.by_model && model_free_() &&
                   (base_.table == nullptr || base_.draft_table != nullptr);
  const double by_model =
      can ? acceptance_[s.view].Of(s.own, s.intent, cost::kModelBucket) : 0;
  if (by_model <= acceptance) {
    if (acceptance == 0) return;
    auto& hold = s.switches[static_cast<size_t>(s.draft.bucket)];
    offering_.push_back({id, &s, true});
    offers_.push_back(
        {static_cast<int>(s.draft.tokens.size()), acceptance, false, &hold});
    return;
  }
  s.draft.bucket = cost::kModelBucket;
  s.draft.tokens.assign(
      static_cast<size_t>(std::min(most, options_.model_draft_max)), 0);
  offering_.push_back({id, &s, model_->IsReady(id, tokens)});
  offers_.push_back({static_cast<int>(s.draft.tokens.size()), by_model, true,
                     &s.switches[cost::kModelBucket]});
}

// Of a step of the draft model that reads: the sooner it has read, the sooner
// it drafts, but those who wait for it wait at most twice as long, and other
// models no longer than for a slice.
int Speculation::ReadColumns() const {
  constexpr int kLeast = 8, kMost = 512;
  if (base_.table == nullptr || base_.draft_table == nullptr) {
    return 4 * kLeast;
  }
  const double most =
      std::min(base_.table->Seconds(base_.columns, base_.context),
               options_.read_seconds_max);
  int columns = kLeast;
  while (columns < kMost &&
         base_.draft_table->Seconds(2 * columns, base_.context) <= most) {
    columns *= 2;
  }
  return columns;
}

bool Speculation::Round() {
  if (model_ == nullptr) return false;
  if (model_free_() && model_->Round()) return true;
  for (const Offer& offer : offering_) {
    const auto it = sequences_.find(offer.id);
    if (it == sequences_.end()) continue;  // cancelled meanwhile
    Draft& draft = it->second.draft;
    if (draft.bucket != cost::kModelBucket) continue;
    const auto said = model_->DraftOf(offer.id);
    draft.made = std::min(said.size(), draft.tokens.size());
    std::copy_n(said.begin(), draft.made, draft.tokens.begin());
  }
  return false;
}

std::span<const int> Speculation::Counts() {
  if (base_.table != nullptr) return budget_.Share(base_, offers_);
  int left = base_.columns_free;
  blind_.clear();
  for (const DraftOffer& offer : offers_) {
    const int most = offer.by_model ? kBlindModelDrafts : kBlindDrafts;
    blind_.push_back(std::min({offer.tokens, most, left}));
    left -= blind_.back();
  }
  return blind_;
}

std::span<const int32_t> Speculation::DraftOf(SequenceId id) const {
  const auto it = sequences_.find(id);
  if (it == sequences_.end()) return {};
  return it->second.draft.tokens;
}

void Speculation::Learn(SequenceId id, int drafted, int accepted) {
  Sequence& s = sequences_.at(id);
  if (s.draft_is_given) {
    Series& series = SeriesOf(s, kGiven);
    series.drafted->Increment(drafted);
    series.accepted->Increment(accepted);
    return;
  }
  const bool by_model = s.draft.bucket == cost::kModelBucket;
  // What a draft model had no time or pages to say was nobody's guess.
  const int guessed =
      by_model ? std::min(drafted, static_cast<int>(s.draft.made)) : drafted;
  acceptance_[s.view].Learn(s.intent, s.draft.bucket, guessed,
                            std::min(accepted, guessed), &s.own);
  Series& series = SeriesOf(s, by_model ? kModel : kText);
  series.drafted->Increment(drafted);
  series.accepted->Increment(accepted);
  if (base_.table == nullptr) return;
  // A token kept saves its sequence a step of those that it would have shared
  // with the others; its columns have cost their part of what the step took
  // longer.
  const double plain = base_.table->Seconds(base_.columns, base_.context);
  const double longer = base_.table->Seconds(columns_, base_.context) - plain;
  double paid = longer * drafted / (columns_ - base_.columns);
  if (by_model) paid += guessed * base_.draft_table->Seconds(1, 0);
  series.gained->Increment(accepted * plain / base_.tokens - paid);
}

Speculation::Series& Speculation::SeriesOf(const Sequence& s, Who who) {
  const auto& intent = s.intent;
  Series& series = series_[s.view][intent ? static_cast<size_t>(*intent)
                                          : core::kLabels][who];
  if (series.drafted != nullptr) return series;
  constexpr std::array<const char*, kWhos> kNames = {"lookup", "draft",
                                                     "given"};
  const Labels labels = {
      {"variant", variants_[s.view]},
      {"strategy", kNames[who]},
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

}  // namespace aio::sched
