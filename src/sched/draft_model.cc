// SPDX-License-Identifier: Apache-2.0
#include "sched/draft_model.h"

#include <algorithm>

namespace aio::sched {

void DraftModel::Add(SequenceId id, uint64_t salt) {
  scheduler_.AddGuest(id, salt);
}

void DraftModel::Remove(SequenceId id) {
  if (scheduler_.HasGuest(id)) scheduler_.RemoveGuest(id);
  std::erase_if(unread_, [id](const Unread& u) { return u.id == id; });
}

int DraftModel::Prepare(SequenceId id, std::span<const int32_t> tokens) {
  StepPlan plan;
  const int computed = scheduler_.PrepareGuest(id, tokens, &plan);
  for (const auto& copy : plan.copies) steps_.CopyPage(copy.from, copy.to);
  return computed;
}

bool DraftModel::AddPart(SequenceId id, std::span<const int32_t> tokens,
                         int most, bool draws) {
  const int begin = Prepare(id, tokens);
  if (begin < 0) return false;
  const auto size = static_cast<int>(tokens.size());
  const int end = std::min(size, begin + most);
  if (begin == end || (draws && end < size)) return false;
  parts_.push_back({id, tokens, begin, end, tokens.size(), draws});
  return true;
}

// Of so many, those that the parts so far have not taken.
int DraftModel::ColumnsLeft(int columns) const {
  for (const GuestSteps::Part& part : parts_) columns -= part.end - part.begin;
  return columns;
}

bool DraftModel::IsReady(SequenceId id, std::span<const int32_t> tokens) {
  const int computed = Prepare(id, tokens);
  return computed >= 0 &&
         static_cast<int>(tokens.size()) - computed <= kReadyColumns;
}

// All but the last token, which waits for the first round: what comes behind it
// is wanted then.
void DraftModel::Read(SequenceId id, std::span<const int32_t> tokens) {
  if (tokens.size() < 2) return;
  unread_.push_back({id, {tokens.begin(), tokens.end() - 1}});
}

void DraftModel::ReadOn(int columns) {
  columns = std::min(columns, steps_.columns_max());
  parts_.clear();
  for (const Unread& text : unread_) {
    const int left = ColumnsLeft(columns);
    if (left > 0) AddPart(text.id, text.tokens, left, false);
  }
  if (!parts_.empty()) steps_.Run(parts_);
  for (const GuestSteps::Part& part : parts_) {
    scheduler_.CommitGuest(part.id, part.end, part.end);
  }
  unread_.clear();
}

void DraftModel::Begin(std::span<const Wanted> wanted) {
  drafts_.clear();
  for (const Wanted& w : wanted) {
    const size_t known = w.tokens.size();
    drafts_.push_back({w.id,
                       {w.tokens.begin(), w.tokens.end()},
                       known,
                       known + static_cast<size_t>(w.count)});
  }
}

bool DraftModel::Round() {
  parts_.clear();
  std::vector<Draft*> asking;
  for (Draft& draft : drafts_) {
    if (draft.tokens.size() >= draft.wanted) continue;
    const int room = ColumnsLeft(steps_.columns_max());
    if (scheduler_.HasGuest(draft.id) &&
        static_cast<int>(draft.tokens.size()) < steps_.context_tokens_max() &&
        AddPart(draft.id, draft.tokens, std::min(kReadyColumns, room), true)) {
      parts_.back().said = draft.known;
      asking.push_back(&draft);
    } else {
      draft.wanted = draft.tokens.size();
    }
  }
  if (asking.empty()) return false;
  const std::vector<int32_t> next = steps_.Run(parts_);
  for (size_t i = 0; i < asking.size(); ++i) {
    std::vector<int32_t>& tokens = asking[i]->tokens;
    scheduler_.CommitGuest(asking[i]->id, static_cast<int>(tokens.size()),
                           static_cast<int>(asking[i]->known));
    tokens.push_back(next[i]);
  }
  return true;
}

std::span<const int32_t> DraftModel::DraftOf(SequenceId id) const {
  for (const Draft& draft : drafts_) {
    if (draft.id == id) return std::span(draft.tokens).subspan(draft.known);
  }
  return {};
}

}  // namespace aio::sched
