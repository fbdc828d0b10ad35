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

Attempt::Attempt(std::shared_ptr<Answer> answer, core::Served served,
                 const Executor* executor,
                 std::shared_ptr<std::atomic<int>> said,
                 std::shared_ptr<Kept> kept, std::function<void(End)> ended)
    : answer_(std::move(answer)),
      served_(std::move(served)),
      executor_(executor),
      said_(std::move(said)),
      kept_(std::move(kept)),
      ended_(std::move(ended)) {}

Attempt::~Attempt() {
  if (!ended_) return;
  OnDone(Error{ErrorCode::kInternal, "the backend dropped the request", ""});
}

void Attempt::OnStart(const core::Served& served) {
  if (!ended_ || begun_) return;
  if (!served.variant.empty()) served_.variant = served.variant;
  served_.strategy = served.strategy;
  served_.fingerprint = served.fingerprint;
}

void Attempt::Begin() {
  if (begun_) return;
  begun_ = true;
  answer_->Start(served_);
}

void Attempt::OnDelta(core::Delta delta) {
  if (!ended_) return;
  if (!first_) first_ = executor_->Now();
  said_->fetch_add(1, std::memory_order_relaxed);
  if (kept_) kept_->Add(delta.text);
  Begin();
  answer_->Delta(std::move(delta));
}

void Attempt::OnDone(Result<core::Done> done) {
  if (!ended_) return;
  const bool own = !done && (done.error().code == ErrorCode::kInvalidArgument ||
                             done.error().code == ErrorCode::kCancelled);
  End end{std::move(done), first_, executor_->Now(), false};
  if (end.done) {
    Begin();  // an answer may be empty
    answer_->Done(end.done);
  } else if (begun_ || own) {
    answer_->Done(end.done);
  } else {
    end.open = true;
  }
  const std::function<void(End)> ended = std::exchange(ended_, nullptr);
  answer_.reset();
  ended(std::move(end));
}

}  // namespace aio::orchestrator
