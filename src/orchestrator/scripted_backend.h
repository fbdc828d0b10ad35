// SPDX-License-Identifier: Apache-2.0
//
// For tests: a Backend whose every answer the test gives by hand, and a sink
// that fails the test if it is called out of order.
//
// Thread safety: none.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace aio::orchestrator {

class CheckingSink : public core::Sink {
 public:
  ~CheckingSink() override { EXPECT_EQ(dones, 1) << "OnDone exactly once"; }
  void OnStart(const core::Served& s) override {
    EXPECT_FALSE(served.has_value()) << "a second OnStart";
    EXPECT_EQ(dones, 0) << "OnStart after OnDone";
    served = s;
  }
  void OnDelta(core::Delta delta) override {
    EXPECT_TRUE(served.has_value()) << "OnDelta before OnStart";
    EXPECT_EQ(dones, 0) << "OnDelta after OnDone";
    text += delta.text;
  }
  void OnDone(Result<core::Done> done) override {
    ++dones;
    result = std::move(done);
  }
  // The code it ended with; fails the test if it has not, or well.
  ErrorCode code() const {
    EXPECT_EQ(dones, 1);
    if (!result || *result) return ErrorCode::kInternal;
    return result->error().code;
  }
  bool ok() const { return dones == 1 && result && result->has_value(); }

  std::optional<core::Served> served;
  std::string text;
  int dones = 0;
  std::optional<Result<core::Done>> result;
};

class ScriptedBackend : public core::Backend {
 public:
  struct Run {
    std::shared_ptr<const core::Request> request;
    core::Plan plan;
    std::shared_ptr<core::Sink> sink;

    void Say(const std::string& text) {
      sink->OnStart({plan.variant, plan.strategy, "scripted", "", "", 0});
      core::Delta delta;
      delta.text = text;
      sink->OnDelta(std::move(delta));
    }
    void Finish(int tokens = 1) {
      core::Done done;
      done.finish = {core::FinishReason::kStop};
      done.usage.prompt_tokens = 10;
      done.usage.completion_tokens = tokens;
      std::exchange(sink, nullptr)->OnDone(done);
    }
    void Fail(ErrorCode code) {
      std::exchange(sink, nullptr)->OnDone(Error{code, "scripted", ""});
    }
  };

  core::Snapshot View(std::string_view variant) const override {
    const auto it = views.find(std::string(variant));
    return it == views.end() ? core::Snapshot{} : it->second;
  }
  void Peek(std::shared_ptr<const core::Request>, std::string_view variant,
            std::optional<core::Thinking> thinking, PeekDone done) override {
    ++peeks;
    told.push_back(thinking);
    if (hold_peeks) {
      held_peeks.push_back(std::move(done));
      return;
    }
    const auto it = peek_errors.find(std::string(variant));
    if (it != peek_errors.end()) return done(it->second);
    core::PromptSize size;
    size.tokens = prompt_tokens;
    size.cached_tokens = cached_tokens;
    size.prepared = prepared;
    size.exact = exact;
    done(size);
  }
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override {
    runs.push_back({std::move(request), std::move(plan), std::move(sink)});
    if (on_start) on_start(runs.back());
  }
  void Cancel(std::string_view id) override {
    cancels.emplace_back(id);
    for (Run& run : runs) {
      if (run.sink && run.request->id == id) run.Fail(ErrorCode::kCancelled);
    }
  }
  void Score(core::ScoreRequest, Time, ScoreDone done) override {
    done(Error{ErrorCode::kUnsupported, "scripted", ""});
  }

  std::map<std::string, core::Snapshot> views;
  int prompt_tokens = 10;
  int cached_tokens = 0;  // of these
  bool exact = true;
  std::shared_ptr<const core::Prepared> prepared;
  std::map<std::string, Error> peek_errors;
  bool hold_peeks = false;
  int peeks = 0;
  std::vector<std::optional<core::Thinking>> told;  // [peek]
  std::vector<PeekDone> held_peeks;
  std::vector<Run> runs;
  std::vector<std::string> cancels;
  std::function<void(Run&)> on_start;
};

}  // namespace aio::orchestrator
