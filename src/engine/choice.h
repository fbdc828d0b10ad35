// SPDX-License-Identifier: Apache-2.0
//
// One choice of an answer: logits in, text out. Samples, decodes, watches for
// the end token, stop strings and the length limit, tells thoughts from the
// answer, and keeps log-probabilities in step with the text they belong to.
// Stop strings and log-probabilities are of the answer: a client that did not
// ask for thoughts must not find them cut short by its own stop strings.
//
// Thread safety: none; the engine thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/request.h"
#include "engine/sampler.h"
#include "engine/stop_matcher.h"
#include "engine/thinking_splitter.h"
#include "tokenizer/tokenizer.h"

namespace aio::engine {

class Choice {
 public:
  // `limit`: tokens it may have, >= 1.
  Choice(const core::Request& request, uint64_t seed, int index,
         std::span<const int32_t> prompt,
         std::shared_ptr<const tokenizer::Tokenizer> tokenizer, int limit);

  // Tokens of this answer that were shown: to the penalties they are output.
  void GoOn(std::span<const int32_t> shown) {
    for (const int32_t id : shown) sampler_.Accept(id);
  }
  // From here on thoughts are told from the answer; `open`: the prompt ends
  // within one.
  void WatchThinking(const tokenizer::ThinkingMarks& marks, bool open);

  // Draws the next token. Returns what can be shown now; often text, sometimes
  // nothing yet. REQUIRES: !finish().
  core::Delta Push(std::span<const float> logits);

  // What Push would draw behind `drafted`, were these the logits there.
  int32_t Guess(std::span<const float> logits,
                std::span<const int32_t> drafted) {
    return sampler_.Guess(logits, position_, drafted);
  }

  int32_t last_token() const { return last_token_; }
  int tokens() const { return position_; }
  int tokens_left() const { return limit_ - position_; }
  std::optional<core::FinishReason> finish() const { return finish_; }

 private:
  void Show(std::string_view piece, core::Delta* delta);
  void Finish(bool end, core::Delta* delta);
  std::string Split(std::string piece, core::Delta* delta);
  void Note(std::span<const float> logits);
  void Settle(ThinkingSplitter::Where before);

  core::Sampling sampling_;
  int index_;
  int limit_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  Sampler sampler_;
  StopMatcher stops_;
  tokenizer::StreamDecoder decoder_;
  int position_ = 0;
  int32_t last_token_ = -1;
  std::optional<core::FinishReason> finish_;
  size_t produced_ = 0;  // bytes of text before stop strings were looked for
  struct Pending {
    size_t end;  // of its text within produced_
    core::TokenLogprob logprob;
  };
  std::deque<Pending> pending_;  // not shown yet
  std::optional<ThinkingSplitter> splitter_;
  // The marks, where they are tokens that decode to nothing.
  std::map<int32_t, std::string> mark_tokens_;
  // Of tokens that may yet turn out to be a mark.
  std::vector<core::TokenLogprob> undecided_;
};

}  // namespace aio::engine
