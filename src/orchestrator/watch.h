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

// The mean margin of the last tokens.
class MeanMargin {
 public:
  static constexpr int kWindow = 16;  // tokens, at most

  // False if the token does not say how likely the second is.
  bool Add(const core::TokenLogprob& token);
  double value() const;                 // 0 if there are none
  int count() const { return count_; }  // of all, since the first

 private:
  std::deque<double> margins_;
  int count_ = 0;
};

class Watch {
 public:
  struct Options {
    double margin_min = 0;  // a mean under it is failing
    // Text that is shown as it comes is held until so many tokens were judged;
    // other text is held to its end.
    int tokens = MeanMargin::kWindow;
    // Whether judging goes on behind that.
    bool after_shown = false;
  };
  enum class Verdict : uint8_t { kHold, kShow, kFailing };

  // `request` is the client's, who sees the log-probabilities it asked for and
  // no others.
  Watch(const Options& options, const core::Request& request);

  // Takes the margins out of a delta. What has none, the answer of a backend
  // that gives none or a thought, is not held up: its second piece is shown,
  // and the answer is not failing any more. REQUIRES: not failing.
  Verdict Add(core::Delta* delta);
  // Whether an answer of which nothing was shown, and which is over, is failing
  // by what there is of it.
  bool Failing() const {
    return mean_.count() > 0 && mean_.value() < options_.margin_min;
  }
  double margin() const { return mean_.value(); }
  int tokens() const { return mean_.count(); }
  bool streamed() const { return streamed_; }

 private:
  bool Judge(const core::TokenLogprob& token);
  void Strip(core::Delta* delta) const;

  const Options options_;
  const bool streamed_;
  const std::optional<int> tokens_max_;
  const bool logprobs_;
  const int top_logprobs_;
  MeanMargin mean_;
  int texts_ = 0;  // deltas with text or thought
  bool shown_ = false;
  bool resumable_ = true;  // nothing was said beside the text
};

}  // namespace aio::orchestrator
