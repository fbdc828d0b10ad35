// SPDX-License-Identifier: Apache-2.0
#include "engine/choice.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace aio::engine {

using Where = ThinkingSplitter::Where;

// The first word of an answer keeps its leading space unless there was no
// prompt for it to follow.
Choice::Choice(const core::Request& request, uint64_t seed, int index,
               std::span<const int32_t> prompt,
               std::shared_ptr<const tokenizer::Tokenizer> tokenizer, int limit)
    : sampling_(request.sampling),
      index_(index),
      limit_(limit),
      tokenizer_(tokenizer),
      sampler_(request.sampling, seed, index, prompt),
      stops_(request.stop),
      decoder_(tokenizer, prompt.empty() || (prompt.size() == 1 &&
                                             prompt[0] == tokenizer->bos())) {
  CHECK(limit >= 1);
}

void Choice::WatchThinking(const tokenizer::ThinkingMarks& marks, bool open) {
  splitter_.emplace(marks, open);
  for (const std::string& mark : {marks.open, marks.close}) {
    const int32_t id = tokenizer_->Find(mark);
    if (id >= 0 && tokenizer_->Bytes(id).empty()) mark_tokens_[id] = mark;
  }
}

core::Delta Choice::Push(std::span<const float> logits) {
  CHECK(!finish_);
  core::Delta delta;
  delta.choice = index_;
  last_token_ = sampler_.Sample(logits, position_);
  if (static_cast<size_t>(position_) < sampling_.forced.size()) {
    last_token_ = sampling_.forced[static_cast<size_t>(position_)];
  }
  ++position_;
  sampler_.Accept(last_token_);
  const bool end = tokenizer_->IsEnd(last_token_);
  std::string piece = end ? decoder_.Finish() : decoder_.Push(last_token_);
  const auto mark = mark_tokens_.find(last_token_);
  if (mark != mark_tokens_.end()) piece += mark->second;
  const auto before = splitter_ ? splitter_->where() : Where::kAnswer;
  piece = Split(std::move(piece), &delta);
  produced_ += piece.size();
  if (!end) Note(logits);
  if (splitter_) Settle(before);
  Show(piece, &delta);
  if (stops_.stopped() || end) {
    finish_ = core::FinishReason::kStop;
  } else if (position_ >= limit_) {
    finish_ = core::FinishReason::kLength;
  }
  if (finish_ && !stops_.stopped()) Finish(end, &delta);
  return delta;
}

// What was held back. `end`: the decoder has nothing left.
void Choice::Finish(bool end, core::Delta* delta) {
  std::string rest = end ? "" : Split(decoder_.Finish(), delta);
  if (splitter_) {
    ThinkingSplitter::Pieces last = splitter_->Finish();
    delta->reasoning += last.thought;
    rest += last.answer;
  }
  produced_ += rest.size();
  Show(rest, delta);
  if (!stops_.stopped()) delta->text += stops_.Finish();
  for (Pending& p : pending_) delta->logprobs.push_back(std::move(p.logprob));
  pending_.clear();
  for (auto& l : undecided_) delta->logprobs.push_back(std::move(l));
  undecided_.clear();
}

// The answer's part; the thought's goes to `delta`.
std::string Choice::Split(std::string piece, core::Delta* delta) {
  if (!splitter_) return piece;
  ThinkingSplitter::Pieces pieces = splitter_->Push(piece);
  delta->reasoning += pieces.thought;
  return std::move(pieces.answer);
}

// Where the token that came last, and those not decided before it, belong.
void Choice::Settle(Where before) {
  const Where now = splitter_->where();
  if (now == Where::kBegin) return;
  const bool answer = now == Where::kAnswer && before != Where::kThought;
  for (auto& l : undecided_) {
    if (answer) pending_.push_back({produced_, std::move(l)});
  }
  undecided_.clear();
}

void Choice::Note(std::span<const float> logits) {
  if (!sampling_.logprobs) return;
  core::TokenLogprob l = LogprobOf(logits, last_token_, sampling_.top_logprobs);
  l.bytes = std::string(tokenizer_->Bytes(last_token_, true));
  for (auto& top : l.top) {
    top.bytes = std::string(tokenizer_->Bytes(top.id, true));
  }
  if (splitter_) {
    undecided_.push_back(std::move(l));
  } else {
    pending_.push_back({produced_, std::move(l)});
  }
}

void Choice::Show(std::string_view piece, core::Delta* delta) {
  delta->text += stops_.Push(piece);
  while (!pending_.empty() && pending_.front().end <= stops_.shown()) {
    delta->logprobs.push_back(std::move(pending_.front().logprob));
    pending_.pop_front();
  }
}

}  // namespace aio::engine
