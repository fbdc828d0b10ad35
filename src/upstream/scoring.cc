// SPDX-License-Identifier: Apache-2.0
#include "upstream/scoring.h"

#include <algorithm>
#include <utility>

#include "openai/answer.h"
#include "upstream/labels.h"

namespace aio::upstream {

OpenAiBackend::Scoring::Scoring(std::shared_ptr<Shared> shared,
                                core::ScoreRequest request, Time deadline,
                                ScoreDone done)
    : shared_(std::move(shared)),
      request_(std::move(request)),
      deadline_(deadline),
      done_(std::move(done)) {}

Result<void> OpenAiBackend::Scoring::Begin() {
  {
    const MutexLock lock(shared_->mutex);
    const bool exact = shared_->continues && request_.request->chat;
    form_ = exact ? SuffixForm::kContinued : SuffixForm::kInUserTurn;
  }
  return Ask();
}

Result<void> OpenAiBackend::Scoring::Ask() {
  ASSIGN_OR_RETURN(const std::string model, shared_->ModelOf(request_.variant));
  const double bytes_max =
      shared_->BytesPerToken(request_.variant) * request_.tokens_max;
  Replica::Job job;
  job.request_id = request_.request->id;
  job.target = TargetOf(*request_.request);
  job.deadline = deadline_;
  ASSIGN_OR_RETURN(job.body,
                   ScoringBody(*request_.request, model, request_.suffix, form_,
                               static_cast<size_t>(std::max(bytes_max, 0.0))));
  const auto self = shared_from_this();
  return shared_->replica->Run(
      std::move(job),
      [self](std::string_view message) { return self->OnMessage(message); },
      [self](const Ended& ended) { return self->OnEnd(ended); });
}

Result<bool> OpenAiBackend::Scoring::OnMessage(std::string_view message) {
  if (message == "[DONE]") return true;
  auto answer = openai::ParseAnswer(message, 1);
  if (!answer) return ForClients(std::move(answer).error());
  for (core::Delta& delta : answer->deltas) {
    if (!token_ && !delta.logprobs.empty()) {
      token_ = std::move(delta.logprobs.front());
    }
  }
  if (answer->usage) tokens_ = answer->usage->prompt_tokens;
  return false;
}

Result<void> OpenAiBackend::Scoring::OnEnd(const Ended& ended) {
  const Result<void>& result = ended.result;
  const bool refused =
      !result && result.error().code == ErrorCode::kInvalidArgument;
  if (refused && form_ == SuffixForm::kContinued) {
    form_ = SuffixForm::kInUserTurn;
    fell_back_ = true;
    const Result<void> asked = Ask();
    if (!asked) done_(asked.error());
    return result;
  }
  if (result && fell_back_) {
    const MutexLock lock(shared_->mutex);
    shared_->continues = false;
  }
  done_(result ? Scored() : Result<core::Scores>(result.error()));
  return result;
}

Result<core::Scores> OpenAiBackend::Scoring::Scored() const {
  if (!token_ || token_->top.empty()) {
    return Error{ErrorCode::kUnsupported,
                 "the upstream sends no logprobs, so it cannot score", ""};
  }
  core::Scores scores;
  ASSIGN_OR_RETURN(scores.logits, LabelLogits(*token_, request_.labels));
  scores.tokens = tokens_ > 0 ? tokens_
                              : shared_->EstimatedTokens(*request_.request,
                                                         request_.variant);
  return scores;
}

}  // namespace aio::upstream
