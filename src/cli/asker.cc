// SPDX-License-Identifier: Apache-2.0
#include "cli/asker.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/mutex.h"
#include "orchestrator/watch.h"

namespace aio::cli {

struct Asker::Shared {
  const Time begin = std::chrono::steady_clock::now();
  bool served_by_upstream = false;
  Mutex mutex;
  std::map<std::string, orchestrator::Orchestrator*> running GUARDED_BY(mutex);

  double Now() const {
    return Seconds(std::chrono::steady_clock::now() - begin);
  }
};

namespace {

// The `model` of an upstream's chunk; empty if it does not say.
std::string ModelOf(const std::string& raw_json) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(raw_json, error);
  if (error || !value.is_object()) return "";
  const boost::json::value* model = value.get_object().if_contains("model");
  if (model == nullptr || !model->is_string()) return "";
  return std::string(model->get_string());
}

}  // namespace

IoThread::IoThread(Graph* graph)
    : io_(graph->io()), guard_(io_.get_executor()) {
  io_.restart();
  thread_ = std::thread([this] { io_.run(); });
}

IoThread::~IoThread() {
  io_.stop();
  thread_.join();
}

Asker::Asker(Options options)
    : options_(options), shared_(std::make_shared<Shared>()) {
  shared_->served_by_upstream = options.served_by_upstream;
}

double Asker::Now() const { return shared_->Now(); }

namespace {

// The mean margins that escalation would look at.
class Margins {
 public:
  void Add(const core::Delta& delta, std::optional<eval::Margin>* said) {
    for (const core::TokenLogprob& token : delta.logprobs) {
      if (!mean_.Add(token)) continue;
      const double mean = mean_.value();
      if (mean_.count() <= orchestrator::MeanMargin::kWindow) {
        *said = eval::Margin{mean, mean};
      } else {
        (*said)->least = std::min((*said)->least, mean);
      }
    }
  }

 private:
  orchestrator::MeanMargin mean_;
};

std::shared_ptr<core::Request> RequestFor(const eval::Task& task,
                                          const Asker::Options& options) {
  auto request = std::make_shared<core::Request>();
  request->messages = task.messages;
  request->max_tokens =
      task.max_tokens > 0 ? task.max_tokens : options.max_tokens;
  request->stop = task.stop;
  request->sampling.temperature = 0;
  request->sampling.seed = 1;
  request->sampling.logprobs = options.margins;
  request->sampling.top_logprobs = options.margins ? 2 : 0;
  return request;
}

}  // namespace

void Asker::Ask(orchestrator::Orchestrator* orchestrator,
                const std::string& model, const eval::Task& task,
                eval::AskDone done, core::Strategy strategy) {
  // Calls come one after the other, so the sink needs no lock of its own.
  class TimingSink : public core::Sink {
   public:
    TimingSink(std::shared_ptr<Shared> shared, std::string id,
               eval::AskDone done)
        : shared_(std::move(shared)),
          id_(std::move(id)),
          done_(std::move(done)) {
      reply_.begun = shared_->Now();
    }
    void OnStart(const core::Served& served) override {
      reply_.served = served.variant;
      reply_.fingerprint = served.fingerprint;
      if (served.intent != "unknown") reply_.sensed = served.intent;
      reply_.probe_seconds = Seconds(served.probe);
    }
    void OnDelta(core::Delta delta) override {
      if (std::exchange(first_, false)) {
        reply_.first_seconds = shared_->Now() - reply_.begun;
      }
      if (shared_->served_by_upstream && !upstream_known_) {
        const std::string model = ModelOf(delta.raw_json);
        upstream_known_ = !model.empty();
        if (upstream_known_) reply_.served = model;
      }
      if (delta.choice == 0) reply_.text += delta.text;
      margins_.Add(delta, &reply_.margin);
    }
    void OnDone(Result<core::Done> done) override {
      reply_.seconds = shared_->Now() - reply_.begun;
      {
        MutexLock lock(shared_->mutex);
        shared_->running.erase(id_);
      }
      if (!done) return done_(std::move(done).error());
      reply_.usage = done->usage;
      const bool cut = !done->finish.empty() &&
                       done->finish[0] == core::FinishReason::kLength;
      reply_.finish = cut ? "length" : "stop";
      done_(std::move(reply_));
    }

   private:
    std::shared_ptr<Shared> shared_;
    const std::string id_;
    eval::AskDone done_;
    eval::Reply reply_;
    Margins margins_;
    bool first_ = true;
    bool upstream_known_ = false;
  };

  auto request = RequestFor(task, options_);
  request->hints.strategy = strategy;
  request->id = "eval-" + std::to_string(++count_);
  // "large+no_think" is large, told so.
  const core::ThinkingRowParts told = core::PartsOfThinkingRow(model);
  request->model = told.variant;
  request->thinking = told.thinking;
  {
    MutexLock lock(shared_->mutex);
    shared_->running[request->id] = orchestrator;
  }
  const std::string id = request->id;
  orchestrator->Handle(std::move(request), std::make_shared<TimingSink>(
                                               shared_, id, std::move(done)));
}

void Asker::CancelAll() {
  std::map<std::string, orchestrator::Orchestrator*> running;
  {
    MutexLock lock(shared_->mutex);
    running = shared_->running;
  }
  for (const auto& [id, orchestrator] : running) orchestrator->Cancel(id);
}

}  // namespace aio::cli
