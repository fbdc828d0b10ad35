// SPDX-License-Identifier: Apache-2.0
//
// How many drafted tokens of each sequence a step verifies. All drafts compete
// for columns: the one most likely to be kept comes first, and of all prefixes
// of that order the step takes the one with the best goodput, the tokens that
// it may expect over the seconds that it takes. The whole order is looked at,
// since steps cost by stairs. So where columns are free many are drafted, and
// as the batch fills, none.
//
// Thread safety: none; one per model.
// Cost: O(columns x offers), no allocation past the first steps of a width.
// See docs/speculation.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cost/step_table.h"

namespace aio::sched {

// Keeps a sequence's drafts from flickering: whether it drafts changes at most
// every kHoldSteps steps in which it could.
class DraftSwitch {
 public:
  static constexpr int kHoldSteps = 8;
  // What the sequence is to draft if the budget grants `count`.
  int Hold(int count);
  bool on() const { return on_; }

 private:
  bool on_ = true;
  int held_ = kHoldSteps;
};

struct DraftOffer {
  int tokens = 0;         // positions on offer, >= 1
  double acceptance = 0;  // of each, if those before it are kept
  // Made by a draft model when asked for: each round of it, one more token of
  // all that take part, is a step of that model.
  bool by_model = false;
  DraftSwitch* hold = nullptr;  // REQUIRED
};

class ColumnBudget {
 public:
  // When nothing is drafted, one token is in every so many steps, to see
  // whether that is still right.
  static constexpr int kProbeSteps = 32;

  // The step without drafts.
  struct Base {
    const cost::StepTable* table = nullptr;  // REQUIRED
    int columns = 0;
    int tokens = 0;        // that it brings: sequences that decode
    int64_t context = 0;   // tokens, of all sequences
    int columns_free = 0;  // that drafts may have
    // Of the draft model; null: no offer is by_model.
    const cost::StepTable* draft_table = nullptr;
  };

  // Drafts of each offer. Valid until the next call.
  std::span<const int> Share(const Base& base,
                             std::span<const DraftOffer> offers);

 private:
  double Goodput(const Base& base, int columns, double tokens) const;
  void Scan(const Base& base, std::span<const DraftOffer> offers);

  std::vector<int> counts_;   // [offer]
  std::vector<int> scanned_, held_;  // [offer]
  std::vector<double> next_;  // [offer]: survival of its next position
  std::vector<int> rounds_;   // of the draft model: sequences in each
  int since_draft_ = 0;       // steps with offers and no draft
};

}  // namespace aio::sched
