// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/answer.h"

namespace aio::orchestrator {

Answer::~Answer() {
  Done(Error{ErrorCode::kCancelled, "the server is stopping", ""});
}

void Answer::Done(Result<core::Done> done) {
  if (!sink_) return;
  const std::shared_ptr<core::Sink> sink = std::move(sink_);
  sink->OnDone(std::move(done));
}

void Kept::Add(const std::string& more) {
  whole = whole && more.size() <= bytes_max - text.size();
  if (whole) {
    text += more;
  } else {
    text.clear();
  }
}

Attempt::Attempt(Parts parts)
    : parts_(std::move(parts)), begun_(parts_.shown_tokens > 0) {}

Attempt::~Attempt() {
  if (!parts_.ended) return;
  OnDone(Error{ErrorCode::kInternal, "the backend dropped the request", ""});
}

void Attempt::OnStart(const core::Served& served) {
  if (!parts_.ended || begun_) return;
  if (!served.variant.empty()) parts_.served.variant = served.variant;
  parts_.served.strategy = served.strategy;
  parts_.served.fingerprint = served.fingerprint;
}

void Attempt::Begin() {
  if (begun_) return;
  begun_ = true;
  parts_.answer->Start(parts_.served);
}

void Attempt::OnDelta(core::Delta delta) {
  if (!parts_.ended || escalation_) return;
  if (!first_) first_ = parts_.executor->Now();
  parts_.said->fetch_add(1, std::memory_order_relaxed);
  if (!parts_.watch) return Show(std::move(delta));
  const bool bare = delta.logprobs.empty();
  switch (parts_.watch->Add(&delta)) {
    case Watch::Verdict::kFailing:
      held_.push_back(std::move(delta));
      GiveUp();
      return parts_.failing();
    case Watch::Verdict::kHold:
      return held_.push_back(std::move(delta));
    case Watch::Verdict::kShow:
      break;
  }
  ShowHeld();
  // Nothing is left of a token without text whose margin was all that counted.
  if (bare || !delta.text.empty() || !delta.logprobs.empty()) {
    Show(std::move(delta));
  }
  seen_tokens_ = parts_.watch->tokens();
}

void Attempt::Show(core::Delta delta) {
  // Where all came at the end, it is what the first token took that counts.
  const bool late = parts_.watch && parts_.watch->streamed();
  if (!begun_) shown_ = late ? parts_.executor->Now() : first_;
  if (parts_.kept) parts_.kept->Add(delta.text);
  if (parts_.watch) seen_ += delta.text;
  Begin();
  parts_.answer->Delta(std::move(delta));
}

void Attempt::ShowHeld() {
  for (core::Delta& delta : std::exchange(held_, {})) Show(std::move(delta));
}

// What was held is what the next one may verify.
void Attempt::GiveUp() {
  escalation_.emplace();
  escalation_->margin = parts_.watch->margin();
  escalation_->tokens = parts_.watch->tokens();
  escalation_->shown_tokens = begun_ ? seen_tokens_ : 0;
  escalation_->text = seen_;
  if (!begun_) {
    for (const core::Delta& delta : held_) escalation_->text += delta.text;
  }
  held_.clear();
}

void Attempt::OnDone(Result<core::Done> done) {
  if (!parts_.ended) return;
  const bool own = !done && (done.error().code == ErrorCode::kInvalidArgument ||
                             done.error().code == ErrorCode::kCancelled);
  if (done && parts_.watch && !begun_ && parts_.watch->Failing()) GiveUp();
  if (escalation_) done = Error{ErrorCode::kCancelled, "escalated", ""};
  if (done) ShowHeld();
  End end{std::move(done), first_, shown_, parts_.executor->Now(), false, {}};
  if (end.done) {
    Begin();  // an answer may be empty
    core::Done all = *end.done;
    all.usage.completion_tokens += parts_.shown_tokens;
    parts_.answer->Done(std::move(all));
  } else if (!escalation_ && (begun_ || own)) {
    parts_.answer->Done(end.done);
  } else {
    end.open = true;
    end.escalation = std::move(escalation_);
  }
  const std::function<void(End)> ended = std::exchange(parts_.ended, nullptr);
  parts_.failing = nullptr;
  parts_.answer.reset();
  ended(std::move(end));
}

}  // namespace aio::orchestrator
