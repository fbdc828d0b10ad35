// SPDX-License-Identifier: Apache-2.0
//
// How sure a variant is of what it says: the margin of a token is the
// probability of the likeliest one less that of the second, before temperature,
// whichever was drawn. A mean margin that is small says that the variant is
// failing (docs/escalation.md).
//
// Thread safety: none; used by one attempt.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "core/backend.h"
#include "core/request.h"

namespace aio::orchestrator {

class Watch {
 public:
  static constexpr int kWindow = 16;  // tokens that a mean is of, at most

  struct Options {
    double margin_min = 0;  // a mean under it is failing
    // Text that is shown as it comes is held until so many tokens were judged;
    // other text is held to its end.
    int tokens = kWindow;
    // Whether judging goes on behind that.
    bool after_shown = false;
  };
  enum class Verdict : uint8_t { kHold, kShow, kFailing };

  // `request` is the client's, who sees the log-probabilities it asked for and
  // no others.
  Watch(const Options& options, const core::Request& request);

  // Takes the margins out of a delta. A backend that gives none is not held up:
  // its second piece of text is shown, and it is never failing. REQUIRES: not
  // failing.
  Verdict Add(core::Delta* delta);
  // Whether an answer of which nothing was shown, and which is over, is failing
  // by what there is of it.
  bool Failing() const { return count_ > 0 && Mean() < options_.margin_min; }
  double Mean() const;  // of the last kWindow tokens
  int tokens() const { return count_; }
  bool streamed() const { return streamed_; }

 private:
  bool Judge(const core::TokenLogprob& token);
  void Strip(core::Delta* delta) const;

  const Options options_;
  const bool streamed_;
  const std::optional<int> tokens_max_;
  const bool logprobs_;
  const int top_logprobs_;
  std::deque<double> margins_;  // the last ones
  int count_ = 0;               // of all
  int texts_ = 0;               // deltas with text
  bool shown_ = false;
  bool resumable_ = true;  // nothing was said beside the text
};

}  // namespace aio::orchestrator
