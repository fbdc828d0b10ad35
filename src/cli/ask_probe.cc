// SPDX-License-Identifier: Apache-2.0
#include "cli/ask_probe.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/mutex.h"

namespace aio::cli {
namespace {

namespace asio = boost::asio;

using Requests = std::vector<std::shared_ptr<const core::Request>>;

Time Now() { return std::chrono::steady_clock::now(); }

// A backend that remembers what it was asked to score and what it said. Any
// thread.
class Recorder : public core::Backend {
 public:
  explicit Recorder(std::shared_ptr<core::Backend> backend)
      : backend_(std::move(backend)) {}

  core::Snapshot View(std::string_view variant) const override {
    return backend_->View(variant);
  }
  void Peek(std::shared_ptr<const core::Request> request,
            std::string_view variant, std::optional<core::Thinking> thinking,
            PeekDone done) override {
    backend_->Peek(std::move(request), variant, thinking, std::move(done));
  }
  void Start(std::shared_ptr<const core::Request> request, core::Plan plan,
             std::shared_ptr<core::Sink> sink) override {
    backend_->Start(std::move(request), std::move(plan), std::move(sink));
  }
  void Cancel(std::string_view id) override { backend_->Cancel(id); }
  void Score(core::ScoreRequest request, Time deadline,
             ScoreDone done) override {
    auto remember = [shared = shared_, request,
                     done = std::move(done)](Result<core::Scores> scores) {
      if (scores) {
        MutexLock lock(shared->mutex);
        shared->last = request;
        shared->said[request.request->id] = *scores;
      }
      done(std::move(scores));
    };
    backend_->Score(std::move(request), deadline, std::move(remember));
  }

  // The request scored last, and what was said of it.
  core::ScoreRequest Last() const {
    MutexLock lock(shared_->mutex);
    return shared_->last;
  }
  std::optional<core::Scores> Take(const std::string& id) const {
    MutexLock lock(shared_->mutex);
    const auto node = shared_->said.extract(id);
    if (node.empty()) return std::nullopt;
    return node.mapped();
  }

 private:
  struct Shared {
    Mutex mutex;
    core::ScoreRequest last GUARDED_BY(mutex);
    std::map<std::string, core::Scores> said GUARDED_BY(mutex);
  };
  const std::shared_ptr<core::Backend> backend_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// Runs io() until somebody has called the function that `begin` is given.
template <typename Begin>
void RunUntilDone(Graph* graph, Begin begin) {
  asio::io_context& io = graph->io();
  io.restart();
  const auto guard = asio::make_work_guard(io);
  begin([&io] { asio::post(io, [&io] { io.stop(); }); });
  io.run();
}

// All members are touched on io() only; callbacks of backends post there.
class Asker {
 public:
  Asker(Graph* graph, std::shared_ptr<Recorder> recorder,
        std::shared_ptr<probe::ModelProbe> probe, const config::Probe& config,
        const AskOptions& options)
      : graph_(graph),
        variants_(graph->orchestrator().variants()),
        recorder_(std::move(recorder)),
        probe_(std::move(probe)),
        config_(config),
        options_(options) {}

  std::vector<ProbeAnswer> Run(const Requests& requests) {
    requests_ = &requests;
    const Error none{ErrorCode::kNotFound, "no model probe is configured", ""};
    answers_.assign(requests.size(), {{}, none, {}});
    if (requests.empty()) return {};
    RunUntilDone(graph_, [this](std::function<void()> done) {
      all_done_ = std::move(done);
      asio::post(graph_->io(), [this] {
        for (int i = 0; i < options_.in_flight; ++i) Next();
      });
    });
    return std::move(answers_);
  }

 private:
  void Next() {
    if (next_ == requests_->size()) return;
    Peek(next_++);
  }

  void Peek(size_t i) {
    answers_[i].sizes.assign(
        variants_.size(),
        Error{ErrorCode::kDeadline, "did not answer the peek", ""});
    const auto missing = std::make_shared<size_t>(variants_.size());
    for (size_t v = 0; v < variants_.size(); ++v) {
      variants_[v].backend->Peek(
          (*requests_)[i], variants_[v].name, std::nullopt,
          [this, i, v, missing](Result<core::PromptSize> size) {
            asio::post(graph_->io(), [this, i, v, missing, size] {
              answers_[i].sizes[v] = size;
              if (--*missing == 0) Ask(i);
            });
          });
    }
  }

  void Ask(size_t i) {
    if (!probe_) return Finish();
    std::shared_ptr<const core::Prepared> prepared;
    for (size_t v = 0; v < variants_.size(); ++v) {
      const auto& size = answers_[i].sizes[v];
      if (variants_[v].name == config_.model && size) prepared = size->prepared;
    }
    const Time begun = Now();
    probe_->Ask((*requests_)[i], prepared, begun + options_.deadline,
                [this, i, begun](Result<core::Intent> intent) {
                  const Duration took = Now() - begun;
                  asio::post(graph_->io(), [this, i, took, intent] {
                    answers_[i].took = took;
                    Answered(i, intent);
                  });
                });
  }

  void Answered(size_t i, const Result<core::Intent>& intent) {
    const std::string& id = (*requests_)[i]->id;
    const auto scores = recorder_->Take(id);
    if (intent && scores) {
      answers_[i].scores = *scores;
    } else if (!intent) {
      answers_[i].scores = intent.error();
    }
    recorder_->Cancel(id);  // what is left of it: nobody answers this request
    Finish();
  }

  void Finish() {
    ++done_;
    if (options_.progress) options_.progress(static_cast<int>(done_));
    if (done_ == requests_->size()) return all_done_();
    Next();
  }

  Graph* const graph_;
  const std::vector<core::Variant>& variants_;
  const std::shared_ptr<Recorder> recorder_;
  const std::shared_ptr<probe::ModelProbe> probe_;  // null: none
  const config::Probe& config_;
  const AskOptions& options_;
  const Requests* requests_ = nullptr;
  std::vector<ProbeAnswer> answers_;
  std::function<void()> all_done_;
  size_t next_ = 0, done_ = 0;
};

Result<void> Prepare(Graph* graph, probe::ModelProbe* probe,
                     Duration deadline) {
  std::optional<Result<void>> prepared;
  RunUntilDone(graph, [&](std::function<void()> done) {
    probe->Prepare(Now() + deadline,
                   [&prepared, done, graph](const Result<void>& result) {
                     asio::post(graph->io(), [&prepared, done, result] {
                       prepared = result;
                       done();
                     });
                   });
  });
  if (prepared) return *prepared;
  return Error{ErrorCode::kCancelled, "stopped while preparing the probe", ""};
}

}  // namespace

Result<ProbeAnswers> AskProbe(Graph* graph, const config::Probe& config,
                              const Requests& requests,
                              const AskOptions& options) {
  ProbeAnswers answers;
  const auto executor = std::make_shared<AsioExecutor>(graph->workers());
  std::shared_ptr<Recorder> recorder;
  std::shared_ptr<probe::ModelProbe> probe;
  for (const core::Variant& variant : graph->orchestrator().variants()) {
    if (variant.name != config.model) continue;
    recorder = std::make_shared<Recorder>(variant.backend);
    // What is recorded are logits, which the temperature does not change.
    ASSIGN_OR_RETURN(probe, probe::ModelProbe::Make(recorder, executor.get(),
                                                    ProbeOptions(config)));
    RETURN_IF_ERROR(Prepare(graph, probe.get(), options.deadline));
    answers.asked = recorder->Last();
    const auto prior = recorder->Take(answers.asked.request->id);
    if (prior) answers.prior = prior->logits;
  }
  Asker asker(graph, recorder, probe, config, options);
  answers.requests = asker.Run(requests);
  return answers;
}

}  // namespace aio::cli
