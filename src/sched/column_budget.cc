// SPDX-License-Identifier: Apache-2.0
#include "sched/column_budget.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace aio::sched {
namespace {

// Less gain than this is within what step tables are off.
constexpr double kGainMin = 1.02;
// A switch that is held on may cost a step so much, against wavering between
// almost equal choices; a stair that a prompt in the step brings near is none.
constexpr double kHoldCostMax = 1.25;

}  // namespace

int DraftSwitch::Hold(int count) {
  const bool wanted = count > 0;
  if (wanted != on_ && held_ >= kHoldSteps) {
    on_ = wanted;
    held_ = 0;
  }
  if (held_ < kHoldSteps) ++held_;
  if (on_) return std::max(count, 1);
  return 0;
}

// Rounds of the draft model follow each other and the step.
double ColumnBudget::Goodput(const Base& base, int columns,
                             double tokens) const {
  double seconds = base.table->Seconds(columns, base.context);
  for (const int sequences : rounds_) {
    seconds += base.draft_table->Seconds(sequences, base.context);
  }
  return seconds > 0 ? tokens / seconds : 0;
}

void ColumnBudget::Scan(const Base& base, std::span<const DraftOffer> offers) {
  counts_.assign(offers.size(), 0);
  scanned_.assign(offers.size(), 0);
  next_.clear();
  rounds_.clear();
  for (const DraftOffer& offer : offers) next_.push_back(offer.acceptance);
  double tokens = base.tokens;
  double best = Goodput(base, base.columns, tokens) * kGainMin;
  for (int added = 1; added <= base.columns_free; ++added) {
    const auto most = std::ranges::max_element(next_);
    if (most == next_.end() || *most <= 0) return;
    const auto i = static_cast<size_t>(most - next_.begin());
    const DraftOffer& offer = offers[i];
    tokens += *most;
    const auto round = static_cast<size_t>(scanned_[i]++);
    *most = scanned_[i] < offer.tokens ? *most * offer.acceptance : 0;
    if (offer.by_model) {
      if (rounds_.size() <= round) rounds_.push_back(0);
      ++rounds_[round];
    }
    const double goodput = Goodput(base, base.columns + added, tokens);
    if (goodput <= best) continue;
    best = goodput;
    counts_ = scanned_;
  }
}

std::span<const int> ColumnBudget::Share(const Base& base,
                                         std::span<const DraftOffer> offers) {
  CHECK(base.table != nullptr && base.columns >= 1);
  Scan(base, offers);
  const int wanted = std::accumulate(counts_.begin(), counts_.end(), 0);
  held_ = counts_;
  int drafts = 0;
  for (size_t i = 0; i < offers.size(); ++i) {
    held_[i] = std::min(offers[i].hold->Hold(counts_[i]),
                        std::max(0, base.columns_free - drafts));
    drafts += held_[i];
  }
  const auto step = [&](int more) {
    return base.table->Seconds(base.columns + more, base.context);
  };
  if (drafts > wanted && step(drafts) > kHoldCostMax * step(wanted)) {
    drafts = wanted;
  } else {
    counts_ = held_;
  }
  since_draft_ = drafts > 0 || offers.empty() ? 0 : since_draft_ + 1;
  if (since_draft_ < kProbeSteps || base.columns_free < 1) return counts_;
  // The likeliest of them tells most.
  const auto likeliest = std::ranges::max_element(
      offers, {}, [](const DraftOffer& o) { return o.acceptance; });
  counts_[static_cast<size_t>(likeliest - offers.begin())] = 1;
  since_draft_ = 0;
  return counts_;
}

}  // namespace aio::sched
