// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/watch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace aio::orchestrator {

bool MeanMargin::Add(const core::TokenLogprob& token) {
  if (token.top.size() < 2) return false;
  margins_.push_back(std::exp(static_cast<double>(token.top[0].logprob)) -
                     std::exp(static_cast<double>(token.top[1].logprob)));
  if (margins_.size() > kWindow) margins_.pop_front();
  ++count_;
  return true;
}

double MeanMargin::value() const {
  return std::accumulate(margins_.begin(), margins_.end(), 0.0) /
         static_cast<double>(std::max<size_t>(1, margins_.size()));
}

Watch::Watch(const Options& options, const core::Request& request)
    : options_(options),
      streamed_(request.streamed),
      tokens_max_(request.max_tokens),
      logprobs_(request.sampling.logprobs),
      top_logprobs_(request.sampling.top_logprobs) {}

Watch::Verdict Watch::Add(core::Delta* delta) {
  if (!delta->reasoning.empty() || !delta->tool_calls.empty()) {
    resumable_ = false;
  }
  bool failing = false;
  for (const core::TokenLogprob& token : delta->logprobs) {
    failing = failing || Judge(token);
  }
  if (failing) return Verdict::kFailing;
  Strip(delta);
  texts_ += delta->text.empty() && delta->reasoning.empty() ? 0 : 1;
  const bool blind = texts_ >= 2 && mean_.count() == 0;
  shown_ = shown_ || (streamed_ && (blind || mean_.count() >= options_.tokens));
  return shown_ ? Verdict::kShow : Verdict::kHold;
}

// Whether the answer is failing at this token. One that has reached its limit
// has no room for anybody to go on.
bool Watch::Judge(const core::TokenLogprob& token) {
  if (!mean_.Add(token)) return false;
  const int count = mean_.count();
  const bool past = shown_ || (streamed_ && count > options_.tokens);
  if (past && !(options_.after_shown && resumable_)) return false;
  if (past && tokens_max_ && count >= *tokens_max_) return false;
  return count >= std::min(MeanMargin::kWindow, options_.tokens) && Failing();
}

void Watch::Strip(core::Delta* delta) const {
  if (!logprobs_) return delta->logprobs.clear();
  const auto most = static_cast<size_t>(top_logprobs_);
  for (core::TokenLogprob& token : delta->logprobs) {
    if (token.top.size() > most) token.top.resize(most);
  }
}

}  // namespace aio::orchestrator
