// SPDX-License-Identifier: Apache-2.0
//
// One question of one token to an upstream; two exchanges if it refuses the
// first form.
//
// Thread safety: Begin once; the rest runs on its exchange's strand.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "upstream/body.h"
#include "upstream/shared.h"

namespace aio::upstream {

class OpenAiBackend::Scoring
    : public std::enable_shared_from_this<OpenAiBackend::Scoring> {
 public:
  Scoring(std::shared_ptr<Shared> shared, core::ScoreRequest request,
          Time deadline, ScoreDone done);

  // An error is returned, and then nobody is called.
  Result<void> Begin();

 private:
  Result<void> Ask();
  Result<bool> OnMessage(std::string_view message);
  Result<void> OnEnd(const Ended& ended);
  Result<core::Scores> Scored() const;

  const std::shared_ptr<Shared> shared_;
  const core::ScoreRequest request_;
  const Time deadline_;
  const ScoreDone done_;
  SuffixForm form_ = SuffixForm::kContinued;
  bool fell_back_ = false;
  std::optional<core::TokenLogprob> token_;
  int tokens_ = 0;
};

}  // namespace aio::upstream
