// SPDX-License-Identifier: Apache-2.0
//
// Drafts of a smaller resident model: it reads the texts of the larger one's
// sequences as guests of its own scheduler (sched/scheduler.h) and says what it
// would say next, for all of them in one step a token. What the larger one
// keeps stays in its KV cache, the rest is written over.
//
// Thread safety: none; the engine thread only, while no step of the smaller
// model is under way.
// See docs/speculation.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cost/step_table.h"
#include "model/forward.h"
#include "sched/scheduler.h"

namespace aio::engine {

class DraftModel {
 public:
  // A sequence's next token by the logits behind `text`, of which the first
  // `known` tokens are said and the rest is drafted.
  using Pick =
      std::function<int32_t(sched::SequenceId id, std::span<const int32_t> text,
                            size_t known, std::span<const float> logits)>;

  // Who drafts: a model, and what its columns read of nested weights.
  struct Who {
    model::Forward* forward = nullptr;  // both must outlive the DraftModel
    sched::Scheduler* scheduler = nullptr;
    std::optional<cost::StepTable> table;
    uint8_t bits = 8;
  };
  DraftModel(Who who, Pick pick)
      : forward_(*who.forward),
        scheduler_(*who.scheduler),
        table_(std::move(who.table)),
        bits_(who.bits),
        pick_(std::move(pick)) {}

  const cost::StepTable* table() const { return table_ ? &*table_ : nullptr; }
  void Add(sched::SequenceId id, uint64_t salt);
  void Remove(sched::SequenceId id);

  // Whether so little of the text is left to read that the first round of a
  // draft does it. Not so if there are no pages.
  bool IsReady(sched::SequenceId id, std::span<const int32_t> tokens);
  // A text that is not ready is to be read by ReadOn: in one step, with those
  // that came before it, as far as `columns` columns go.
  void Read(sched::SequenceId id, std::span<const int32_t> tokens);
  void ReadOn(int columns);

  // Begins drafts of `count` tokens behind each text.
  struct Wanted {
    sched::SequenceId id;
    std::span<const int32_t> tokens;  // valid until the last round
    int count;
  };
  void Begin(std::span<const Wanted> wanted);
  // One more token of each draft that is not complete, by one step; false if
  // all are.
  bool Round();
  // Fewer tokens than wanted if pages ran out or the sequence has gone.
  std::span<const int32_t> DraftOf(sched::SequenceId id) const;

  // Columns that the first round may have for one text: the tokens kept of the
  // last draft and one more, mostly.
  static constexpr int kReadyColumns = 16;

 private:
  struct Draft {
    sched::SequenceId id;
    std::vector<int32_t> tokens;  // of the text, then those drafted
    size_t known = 0;             // of the text
    size_t wanted = 0;            // of both
  };

  // Tokens that are computed, after the copies; -1: no pages.
  int Prepare(sched::SequenceId id, std::span<const int32_t> tokens);
  bool AddColumns(sched::SequenceId id, std::span<const int32_t> tokens,
                  int most, bool logits);

  model::Forward& forward_;
  sched::Scheduler& scheduler_;
  const std::optional<cost::StepTable> table_;
  const uint8_t bits_;
  const Pick pick_;
  std::vector<Draft> drafts_;
  // Texts to read.
  struct Unread {
    sched::SequenceId id;
    std::vector<int32_t> tokens;
  };
  std::vector<Unread> unread_;
  std::vector<model::Column> columns_;
};

}  // namespace aio::engine
