// SPDX-License-Identifier: Apache-2.0
#include "engine/choice.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace aio::engine {

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
  const std::string piece =
      end ? decoder_.Finish() : decoder_.Push(last_token_);
  produced_ += piece.size();
  if (!end) Note(logits);
  Show(piece, &delta);
  if (stops_.stopped() || end) {
    finish_ = core::FinishReason::kStop;
  } else if (position_ >= limit_) {
    finish_ = core::FinishReason::kLength;
  }
  if (finish_ && !stops_.stopped()) {
    if (!end) {
      const std::string rest = decoder_.Finish();
      produced_ += rest.size();
      Show(rest, &delta);
    }
    if (!stops_.stopped()) delta.text += stops_.Finish();
    for (Pending& p : pending_) delta.logprobs.push_back(std::move(p.logprob));
    pending_.clear();
  }
  return delta;
}

void Choice::Note(std::span<const float> logits) {
  if (!sampling_.logprobs) return;
  core::TokenLogprob l = LogprobOf(logits, last_token_, sampling_.top_logprobs);
  l.bytes = std::string(tokenizer_->Bytes(last_token_, true));
  for (auto& top : l.top) {
    top.bytes = std::string(tokenizer_->Bytes(top.id, true));
  }
  pending_.push_back({produced_, std::move(l)});
}

void Choice::Show(std::string_view piece, core::Delta* delta) {
  delta->text += stops_.Push(piece);
  while (!pending_.empty() && pending_.front().end <= stops_.shown()) {
    delta->logprobs.push_back(std::move(pending_.front().logprob));
    pending_.pop_front();
  }
}

}  // namespace aio::engine
