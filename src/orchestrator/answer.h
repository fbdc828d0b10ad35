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
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/backend.h"
#include "orchestrator/watch.h"

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

// What an attempt has said that was given up because it was failing.
struct Escalation {
  double margin = 0;  // the mean that was too small
  int tokens = 0;     // that it had said
  // What it had said, or as much of that as the client has seen.
  std::string text;
  int shown_tokens = 0;  // of the text; 0: nothing was shown
};

// How an attempt ended, for the orchestrator.
struct End {
  Result<core::Done> done;
  std::optional<Time> first;  // of the first delta
  std::optional<Time> shown;  // when the client's first text came
  Time last{};                // of OnDone
  bool open = false;          // the client has not been told: retry, or tell
  std::optional<Escalation> escalation;  // then it is open, and no failure
};

// Holds OnStart back until the first delta that may be shown, so that a try
// which fails before it leaves no trace and another candidate may answer
// instead.
class Attempt final : public core::Sink {
 public:
  struct Parts {
    std::shared_ptr<Answer> answer;
    core::Served served;  // as far as the orchestrator knows
    const Executor* executor = nullptr;
    std::shared_ptr<std::atomic<int>> said;  // counts the deltas
    std::shared_ptr<Kept> kept = {};         // keeps their text; may be null
    std::unique_ptr<Watch> watch = {};       // null: nobody would take over
    // Called once if the watch says that it is failing, and is to end it.
    std::function<void()> failing = {};
    // Of another attempt, whose answer this one goes on with; 0: it begins one.
    int shown_tokens = 0;
    // Called once, from whichever thread the backend ends on.
    std::function<void(End)> ended;
  };
  explicit Attempt(Parts parts);
  // A backend that lets go of its sink without a word has failed.
  ~Attempt() override;

  void OnStart(const core::Served& served) override;
  void OnDelta(core::Delta delta) override;
  void OnDone(Result<core::Done> done) override;

 private:
  void Begin();
  void Show(core::Delta delta);
  void ShowHeld();
  void GiveUp();

  Parts parts_;  // `ended` is null once called
  std::optional<Time> first_, shown_;
  bool begun_;  // the client has seen OnStart
  std::vector<core::Delta> held_;
  std::string seen_;  // by the client; only if there is a watch
  int seen_tokens_ = 0;
  std::optional<Escalation> escalation_;  // what comes now is nobody's
};

}  // namespace aio::orchestrator
