// SPDX-License-Identifier: Apache-2.0
//
// The embedded engine as a core::Backend: one device, many variants. Rendering
// and tokenizing run on a worker, never on the caller's or the engine's thread.
//
// Thread safety: any thread; Stop and the destructor are the owner's.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "core/backend.h"
#include "engine/engine.h"
#include "engine/prompt.h"

namespace aio::engine {

class LocalBackend : public core::Backend {
 public:
  // A resident model: what runs it and what turns requests into its tokens.
  struct Resident {
    Model model;
    PromptBuilder prompts;
  };

  // `worker` runs the text work and tells the time; it must outlive this
  // object. Starts the engine's thread.
  LocalBackend(std::vector<Resident> residents, const Options& options,
               Executor* worker, Metrics* metrics);
  ~LocalBackend() override;  // as Stop

  // Ends what runs with kUnavailable and waits until the engine's thread has
  // returned; what comes later fails alike. The owner calls it before it lets
  // go, and not from a callback: a callback that is just returning may hold the
  // last reference, and the engine's thread cannot wait for itself.
  void Stop();

  core::Snapshot View(std::string_view variant) const override;
  void Peek(std::shared_ptr<const core::Request> request,
            std::string_view variant, std::optional<core::Thinking> thinking,
            PeekDone done) override;
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override;
  void Cancel(std::string_view request_id) override;
  void Score(core::ScoreRequest request, Time deadline,
             ScoreDone done) override;

 private:
  struct Text;  // what workers read: immutable, shared with tasks under way

  std::shared_ptr<const Text> text_;
  std::shared_ptr<Engine> engine_;
  Executor* worker_;
  std::thread thread_;
};

}  // namespace aio::engine
