// SPDX-License-Identifier: Apache-2.0
#include "engine/draft_model.h"

#include <algorithm>

namespace aio::engine {

void DraftModel::Add(sched::SequenceId id, uint64_t salt) {
  scheduler_.AddGuest(id, salt);
}

void DraftModel::Remove(sched::SequenceId id) {
  if (scheduler_.HasGuest(id)) scheduler_.RemoveGuest(id);
  std::erase_if(unread_, [id](const Unread& u) { return u.id == id; });
}

int DraftModel::Prepare(sched::SequenceId id, std::span<const int32_t> tokens) {
  sched::StepPlan plan;
  const int computed = scheduler_.PrepareGuest(id, tokens, &plan);
  for (const auto& copy : plan.copies) forward_.CopyPage(copy.from, copy.to);
  return computed;
}

// What is not computed of the text, at most `most` columns; false if there are
// no pages, or more is left than that and logits are wanted.
bool DraftModel::AddColumns(sched::SequenceId id,
                            std::span<const int32_t> tokens, int most,
                            bool logits) {
  const int begin = Prepare(id, tokens);
  if (begin < 0) return false;
  const auto size = static_cast<int>(tokens.size());
  const int end = std::min(size, begin + most);
  if (logits && end < size) return false;
  for (int p = begin; p < end; ++p) {
    columns_.push_back({tokens[static_cast<size_t>(p)], p,
                        scheduler_.PagesOf(id), logits && p + 1 == end, bits_});
  }
  return true;
}

bool DraftModel::IsReady(sched::SequenceId id,
                         std::span<const int32_t> tokens) {
  const int computed = Prepare(id, tokens);
  return computed >= 0 &&
         static_cast<int>(tokens.size()) - computed <= kReadyColumns;
}

// All but the last token, which waits for the first round: its logits are
// wanted then.
void DraftModel::Read(sched::SequenceId id, std::span<const int32_t> tokens) {
  if (tokens.size() < 2) return;
  unread_.push_back({id, {tokens.begin(), tokens.end() - 1}});
}

void DraftModel::ReadOn(int columns) {
  columns = std::min(columns, forward_.columns_max());
  columns_.clear();
  std::vector<std::pair<sched::SequenceId, int>> read;
  for (const Unread& text : unread_) {
    const int left = columns - static_cast<int>(columns_.size());
    if (left < 1 || !AddColumns(text.id, text.tokens, left, false)) continue;
    read.emplace_back(text.id, columns_.back().position + 1);
  }
  if (!columns_.empty()) forward_.Step(columns_);
  for (const auto& [id, computed] : read) {
    scheduler_.CommitGuest(id, computed, computed);
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
  columns_.clear();
  std::vector<Draft*> asking;
  for (Draft& draft : drafts_) {
    if (draft.tokens.size() >= draft.wanted) continue;
    const int room = forward_.columns_max() - static_cast<int>(columns_.size());
    if (scheduler_.HasGuest(draft.id) &&
        static_cast<int>(draft.tokens.size()) < forward_.context_tokens_max() &&
        AddColumns(draft.id, draft.tokens, std::min(kReadyColumns, room),
                   true)) {
      asking.push_back(&draft);
    } else {
      draft.wanted = draft.tokens.size();
    }
  }
  if (asking.empty()) return false;
  forward_.Step(columns_);
  for (size_t i = 0; i < asking.size(); ++i) {
    const auto logits = forward_.Logits(static_cast<int>(i));
    std::vector<int32_t>& tokens = asking[i]->tokens;
    scheduler_.CommitGuest(asking[i]->id, static_cast<int>(tokens.size()),
                           static_cast<int>(asking[i]->known));
    tokens.push_back(pick_(asking[i]->id, tokens, asking[i]->known, logits));
  }
  return true;
}

std::span<const int32_t> DraftModel::DraftOf(sched::SequenceId id) const {
  for (const Draft& draft : drafts_) {
    if (draft.id == id) return std::span(draft.tokens).subspan(draft.known);
  }
  return {};
}

}  // namespace aio::engine
