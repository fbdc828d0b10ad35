// SPDX-License-Identifier: Apache-2.0
//
// A complete Backend without a model: answers with the last message, word by
// word, one task of the executor each. For tests of everything above the seam.
//
// Thread safety: all calls and all tasks on one executor.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace aio::core {

class EchoBackend : public Backend {
 public:
  struct Options {
    std::string fingerprint = "echo";
    Duration per_word{};      // time between words
    int words_max = 1 << 20;  // fails with `error` after this many
    Error error{ErrorCode::kUnavailable, "the echo broke", ""};
    std::vector<float> scores;  // answer to Score; empty: kUnsupported
  };

  EchoBackend(Executor* executor, Options options)
      : executor_(executor), options_(std::move(options)) {}
  explicit EchoBackend(Executor* executor) : EchoBackend(executor, Options()) {}

  Snapshot View(std::string_view) const override {
    Snapshot s;
    s.running = static_cast<int>(running_.size());
    s.admissions = admissions_;
    return s;
  }
  void Peek(std::shared_ptr<const Request> request, std::string_view,
            std::optional<Thinking>, PeekDone done) override {
    PromptSize size;
    size.tokens = static_cast<int>(Words(*request).size());
    done(size);
  }
  void Start(std::shared_ptr<const Request> request, Plan plan,
             std::shared_ptr<Sink> sink) override {
    ++admissions_;
    auto run = std::make_shared<Run>();
    run->words = Words(*request);
    run->sink = std::move(sink);
    run->plan = std::move(plan);
    run->choices = request->choices;
    run->max_tokens = request->max_tokens.value_or(1 << 20);
    run->id = request->id;
    running_[run->id] = run;
    executor_->Post([this, run] { Begin(run); });
  }
  void Cancel(std::string_view id) override {
    const auto it = running_.find(std::string(id));
    if (it == running_.end()) return;
    Finish(it->second, Error{ErrorCode::kCancelled, "cancelled", ""});
  }
  void Score(ScoreRequest, Time, ScoreDone done) override {
    if (options_.scores.empty()) {
      done(Error{ErrorCode::kUnsupported, "an echo has no opinion", ""});
      return;
    }
    done(Scores{options_.scores, 1, false});
  }

 private:
  struct Run {
    std::string id;
    std::vector<std::string> words;
    std::shared_ptr<Sink> sink;
    Plan plan;
    int choices = 1;
    int max_tokens = 0;
    int at = 0;
    bool over = false;
  };

  static std::vector<std::string> Words(const Request& request) {
    const std::string& text = request.chat && !request.messages.empty()
                                  ? request.messages.back().content
                                  : request.prompt;
    std::vector<std::string> words;
    size_t from = 0;
    while (from < text.size()) {
      size_t to = text.find(' ', from + 1);
      if (to == std::string::npos) to = text.size();
      words.push_back(text.substr(from, to - from));
      from = to;
    }
    return words;
  }

  void Begin(const std::shared_ptr<Run>& run) {
    if (run->over) return;
    Served served;
    served.variant = run->plan.variant;
    served.strategy = run->plan.strategy;
    served.fingerprint = options_.fingerprint;
    served.seed = run->plan.seed;
    if (options_.words_max > 0) run->sink->OnStart(served);
    Next(run);
  }
  void Next(const std::shared_ptr<Run>& run) {
    if (run->over) return;
    const int limit =
        std::min<int>(static_cast<int>(run->words.size()), run->max_tokens);
    if (run->at >= options_.words_max) return Finish(run, options_.error);
    if (run->at >= limit) return Finish(run, Completed(*run));
    for (int c = 0; c < run->choices; ++c) {
      Delta delta;
      delta.choice = c;
      delta.text = run->words[run->at];
      run->sink->OnDelta(std::move(delta));
    }
    ++run->at;
    executor_->PostAt(executor_->Now() + options_.per_word,
                      [this, run] { Next(run); });
  }
  static Done Completed(const Run& run) {
    Done done;
    const bool cut = run.at < static_cast<int>(run.words.size());
    done.finish.assign(run.choices,
                       cut ? FinishReason::kLength : FinishReason::kStop);
    done.usage.prompt_tokens = static_cast<int>(run.words.size());
    done.usage.completion_tokens = run.at * run.choices;
    return done;
  }
  void Finish(std::shared_ptr<Run> run, Result<Done> result) {
    run->over = true;
    running_.erase(run->id);
    run->sink->OnDone(std::move(result));
    run->sink.reset();
  }

  Executor* executor_;
  Options options_;
  uint64_t admissions_ = 0;
  std::map<std::string, std::shared_ptr<Run>> running_;
};

}  // namespace aio::core
