// SPDX-License-Identifier: Apache-2.0
//
// Between a backend and the client's sink. An Answer makes sure that the client
// sees exactly one OnDone, whatever fails in between; an Attempt is the sink
// that one backend is given for one try at it.
//
// Thread safety: none of their own. An answer is used by one attempt or by the
// orchestrator's executor, handed over by a posted task, never by both at once.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/executor.h"
#include "base/result.h"
#include "core/backend.h"

namespace aio::orchestrator {

// The client's side. The last owner to let go of an answer that nobody ended
// cancels it.
class Answer {
 public:
  explicit Answer(std::shared_ptr<core::Sink> sink) : sink_(std::move(sink)) {}
  ~Answer();
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void Start(const core::Served& served) { sink_->OnStart(served); }
  void Delta(core::Delta delta) { sink_->OnDelta(std::move(delta)); }
  // The first call counts; later ones do nothing.
  void Done(Result<core::Done> done);

 private:
  std::shared_ptr<core::Sink> sink_;  // null once done
};

// The text of an answer, for who compares it later; at most `bytes_max`.
struct Kept {
  explicit Kept(size_t most) : bytes_max(most) {}
  void Add(const std::string& more);

  const size_t bytes_max;
  std::string text;
  bool whole = true;  // false: there was more, and `text` is empty
};

// How an attempt ended, for the orchestrator.
struct End {
  Result<core::Done> done;
  std::optional<Time> first;  // of the first delta
  Time last{};                // of OnDone
  bool open = false;          // the client has not been told: retry, or tell
};

// Holds OnStart back until the first delta, so that a try which fails before it
// leaves no trace and another candidate may answer instead.
class Attempt final : public core::Sink {
 public:
  // `served` is what the orchestrator knows of Served; `ended` is called once,
  // from whichever thread the backend ends on.
  // `said` counts the deltas; `kept` keeps their text, or is null.
  Attempt(std::shared_ptr<Answer> answer, core::Served served,
          const Executor* executor, std::shared_ptr<std::atomic<int>> said,
          std::shared_ptr<Kept> kept, std::function<void(End)> ended);
  // A backend that lets go of its sink without a word has failed.
  ~Attempt() override;

  void OnStart(const core::Served& served) override;
  void OnDelta(core::Delta delta) override;
  void OnDone(Result<core::Done> done) override;

 private:
  void Begin();

  std::shared_ptr<Answer> answer_;
  core::Served served_;
  const Executor* executor_;
  const std::shared_ptr<std::atomic<int>> said_;
  const std::shared_ptr<Kept> kept_;  // null: nobody wants it
  std::function<void(End)> ended_;    // null once called
  std::optional<Time> first_;
  bool begun_ = false;  // the client has seen OnStart
};

}  // namespace aio::orchestrator
