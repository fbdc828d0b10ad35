// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "cli/graph.h"

namespace aio::cli {
namespace {

namespace asio = boost::asio;

// Brings every call onto io's thread, where RunOne waits.
class PostingSink : public core::Sink {
 public:
  struct State {
    Answer answer;
    std::optional<Result<core::Done>> done;
    std::function<void(const core::Delta&)> on_delta;
    Time begin;
    bool first = true;
  };
  PostingSink(asio::io_context* io, std::shared_ptr<State> state)
      : io_(io), state_(std::move(state)) {}

  void OnStart(const core::Served& served) override {
    asio::post(*io_, [s = state_, served] { s->answer.served = served; });
  }
  void OnDelta(core::Delta delta) override {
    const Time now = std::chrono::steady_clock::now();
    asio::post(*io_, [s = state_, delta = std::move(delta), now] {
      if (std::exchange(s->first, false)) {
        s->answer.to_first_token = now - s->begin;
      }
      if (delta.choice == 0) s->answer.text += delta.text;
      if (s->on_delta) s->on_delta(delta);
    });
  }
  void OnDone(Result<core::Done> done) override {
    const Time now = std::chrono::steady_clock::now();
    asio::post(*io_, [s = state_, io = io_, done = std::move(done), now] {
      s->answer.total = now - s->begin;
      s->done = done;
      io->stop();
    });
  }

 private:
  asio::io_context* io_;
  std::shared_ptr<State> state_;
};

}  // namespace

Result<Answer> RunOne(Graph* graph,
                      std::shared_ptr<const core::Request> request,
                      const std::function<void(const core::Delta&)>& on_delta) {
  asio::io_context& io = graph->io();
  auto state = std::make_shared<PostingSink::State>();
  state->on_delta = on_delta;
  state->begin = std::chrono::steady_clock::now();
  io.restart();
  const auto guard = asio::make_work_guard(io);
  graph->orchestrator().Handle(std::move(request),
                               std::make_shared<PostingSink>(&io, state));
  io.run();
  if (!state->done) {
    return Error{ErrorCode::kCancelled, "stopped before the answer came", ""};
  }
  if (!*state->done) return state->done->error();
  state->answer.done = **state->done;
  return std::move(state->answer);
}

Result<orchestrator::Explanation> RouteOne(
    Graph* graph, std::shared_ptr<const core::Request> request) {
  asio::io_context& io = graph->io();
  std::optional<Result<orchestrator::Explanation>> answer;
  io.restart();
  const auto guard = asio::make_work_guard(io);
  graph->orchestrator().Route(std::move(request),
                              [&](Result<orchestrator::Explanation> result) {
                                asio::post(io, [&, result = std::move(result)] {
                                  answer = result;
                                  io.stop();
                                });
                              });
  io.run();
  if (!answer) {
    return Error{ErrorCode::kCancelled, "stopped before the answer came", ""};
  }
  return std::move(*answer);
}

}  // namespace aio::cli
