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
#include <optional>
#include <span>
#include <vector>

#include "cost/step_table.h"
#include "sched/scheduler.h"

namespace aio::sched {

// What carries out the steps of guests: the smaller model's forward pass, or
// the time that it would take.
class GuestSteps {
 public:
  // Positions [begin, end) of a guest.
  struct Part {
    SequenceId id = 0;
    std::span<const int32_t> text;  // its tokens, `end` or more
    int begin = 0;
    int end = 0;
    size_t said = 0;     // tokens of the text that are no drafts
    bool draws = false;  // whether the token behind `end` is wanted
  };

  virtual ~GuestSteps() = default;
  virtual int columns_max() const = 0;  // of one step
  virtual int context_tokens_max() const = 0;
  virtual void CopyPage(int32_t from, int32_t to) = 0;
  // One step. The next token of each part that draws, in order.
  virtual std::vector<int32_t> Run(std::span<const Part> parts) = 0;
};

class DraftModel {
 public:
  // Both must outlive it.
  DraftModel(GuestSteps* steps, Scheduler* scheduler,
             std::optional<cost::StepTable> table)
      : steps_(*steps), scheduler_(*scheduler), table_(std::move(table)) {}

  const cost::StepTable* table() const { return table_ ? &*table_ : nullptr; }
  void Add(SequenceId id, uint64_t salt);
  void Remove(SequenceId id);

  // Whether so little of the text is left to read that the first round of a
  // draft does it. Not so if there are no pages.
  bool IsReady(SequenceId id, std::span<const int32_t> tokens);
  // A text that is not ready is to be read by ReadOn: in one step, with those
  // that came before it, as far as `columns` columns go.
  void Read(SequenceId id, std::span<const int32_t> tokens);
  void ReadOn(int columns);

  // Begins drafts of `count` tokens behind each text.
  struct Wanted {
    SequenceId id;
    std::span<const int32_t> tokens;  // valid until the last round
    int count;
  };
  void Begin(std::span<const Wanted> wanted);
  // One more token of each draft that is not complete, by one step; false if
  // all are.
  bool Round();
  // Fewer tokens than wanted if pages ran out or the sequence has gone.
  std::span<const int32_t> DraftOf(SequenceId id) const;

  // Columns that the first round may have for one text: the tokens kept of the
  // last draft and one more, mostly.
  static constexpr int kReadyColumns = 16;

 private:
  struct Draft {
    SequenceId id;
    std::vector<int32_t> tokens;  // of the text, then those drafted
    size_t known = 0;             // of the text
    size_t wanted = 0;            // of both
  };

  // Tokens that are computed, after the copies; -1: no pages.
  int Prepare(SequenceId id, std::span<const int32_t> tokens);
  // What is not computed of the text, at most `most` columns; false if there
  // are no pages, or more is left than that and its next token is wanted.
  bool AddPart(SequenceId id, std::span<const int32_t> tokens, int most,
               bool draws);
  int ColumnsLeft(int columns) const;

  GuestSteps& steps_;
  Scheduler& scheduler_;
  const std::optional<cost::StepTable> table_;
  std::vector<Draft> drafts_;
  // Texts to read.
  struct Unread {
    SequenceId id;
    std::vector<int32_t> tokens;
  };
  std::vector<Unread> unread_;
  std::vector<GuestSteps::Part> parts_;  // of the step to be run
};

}  // namespace aio::sched
