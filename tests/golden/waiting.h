// SPDX-License-Identifier: Apache-2.0
//
// Waiting for what a backend says on its own threads.
//
// Thread safety: any thread sets, one gets.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace aio::golden {

// One value, set once on another thread.
template <typename T>
class Waiting {
 public:
  // May be called after this object is gone.
  std::function<void(T)> Setter() {
    return [state = state_](T value) {
      {
        std::lock_guard lock(state->mutex);
        state->value = std::move(value);
      }
      state->set.notify_all();
    };
  }
  T Get() {
    std::unique_lock lock(state_->mutex);
    state_->set.wait(lock, [&] { return state_->value.has_value(); });
    return std::move(*state_->value);
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable set;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

struct Answer {
  std::string text;
  std::vector<core::TokenLogprob> logprobs;
  std::optional<core::Done> done;  // empty: it failed
};

class WaitingSink : public core::Sink {
 public:
  void OnStart(const core::Served&) override {}
  void OnDelta(core::Delta delta) override {
    answer_.text += delta.text;
    for (auto& l : delta.logprobs) answer_.logprobs.push_back(std::move(l));
  }
  void OnDone(Result<core::Done> done) override {
    if (done) answer_.done = *std::move(done);
    waiting_.Setter()(std::move(answer_));
  }
  Answer Get() { return waiting_.Get(); }

 private:
  Answer answer_;
  Waiting<Answer> waiting_;
};

}  // namespace aio::golden
