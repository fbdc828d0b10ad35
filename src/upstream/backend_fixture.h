// SPDX-License-Identifier: Apache-2.0
//
// What the tests of OpenAiBackend share: a backend over a scripted upstream, a
// clock turned by hand and a sink that keeps everything.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/manual_executor.h"
#include "upstream/openai_backend.h"
#include "upstream/scripted_upstream.h"

namespace aio::upstream {

// Keeps what a backend said.
struct RecordingSink : core::Sink {
  void OnStart(const core::Served& s) override {
    EXPECT_FALSE(served) << "started twice";
    EXPECT_FALSE(done);
    served = s;
  }
  void OnDelta(core::Delta delta) override {
    EXPECT_TRUE(served && !done);
    text += delta.text;
    deltas.push_back(std::move(delta));
  }
  void OnDone(Result<core::Done> result) override {
    EXPECT_FALSE(done) << "ended twice";
    done = std::move(result);
  }
  ErrorCode error() const {
    EXPECT_TRUE(done && !*done);
    return done && !*done ? done->error().code : ErrorCode::kInternal;
  }
  std::string message() const {
    return done && !*done ? done->error().message : "";
  }

  std::optional<core::Served> served;
  std::vector<core::Delta> deltas;
  std::string text;
  std::optional<Result<core::Done>> done;
};

inline std::string Chunk(const std::string& text) {
  return R"(data: {"id":"c","object":"chat.completion.chunk","model":"m",)"
         R"("system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":")" +
         text + R"("},"logprobs":null,"finish_reason":null}]})" + "\n\n";
}
inline constexpr char kStop[] =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},"
    "\"finish_reason\":\"stop\"}]}\n\n";
inline constexpr char kUsage[] =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,"
    "\"completion_tokens\":2,\"total_tokens\":52}}\n\n";
inline constexpr char kEnd[] = "data: [DONE]\n\n";

inline std::string WholeStream() {
  return Chunk("Hel") + ": keep-alive\n\n" + Chunk("lo") + kStop + kUsage +
         kEnd;
}

class OpenAiBackendTest : public testing::Test {
 protected:
  OpenAiBackendTest() : upstream_(&io_) {
    options_.url = upstream_.url();
    options_.replica.breaker.failures_max = 1;
    options_.variants = {{"npu-7b", "openPangu-7B"}};
    options_.api_key = "s3cret";
  }

  OpenAiBackend& backend() {
    if (!backend_) {
      auto made = OpenAiBackend::Make(options_, io_.get_executor(), &clock_);
      EXPECT_TRUE(made);
      backend_ = *made;
    }
    return *backend_;
  }

  std::shared_ptr<core::Request> NewRequest(const std::string& id = "r1") {
    auto request = std::make_shared<core::Request>();
    request->id = id;
    request->messages = {{core::Role::kUser, std::string(184, 'x')}};
    request->raw_json =
        R"({"model":"auto","messages":[{"role":"user","content":"x"}],)"
        R"("aio":{},"unheard_of":1})";
    return request;
  }

  std::shared_ptr<RecordingSink> Start(
      std::shared_ptr<core::Request> request = nullptr,
      core::Strategy strategy = core::Strategy::kAuto) {
    auto sink = std::make_shared<RecordingSink>();
    core::Plan plan;
    plan.strategy = strategy;
    plan.variant = "npu-7b";
    plan.seed = 42;
    backend().Start(request ? request : NewRequest(), plan, sink);
    return sink;
  }

  // Runs the sockets until `condition`, for at most ten seconds; the backend's
  // clock stands still.
  void RunUntil(const std::function<bool()>& condition) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      clock_.Run();  // what is due now
      if (io_.stopped()) io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
    EXPECT_TRUE(condition());
  }
  void RunToEnd(const RecordingSink& sink) {
    RunUntil([&] { return sink.done.has_value(); });
  }
  // Starts a request, runs it to its end and expects an error.
  std::shared_ptr<RecordingSink> Fails(ErrorCode code) {
    auto sink = Start();
    RunToEnd(*sink);
    EXPECT_EQ(sink->error(), code) << sink->message();
    return sink;
  }
  bool Healthy() { return backend().View("npu-7b").healthy; }

  Result<core::Scores> Score(std::vector<std::string> labels,
                             Time deadline = Time::max()) {
    core::ScoreRequest request;
    request.request = NewRequest();
    request.variant = "npu-7b";
    request.suffix = "Category:";
    request.labels = std::move(labels);
    std::optional<Result<core::Scores>> scores;
    backend().Score(request, deadline, [&](Result<core::Scores> result) {
      EXPECT_FALSE(scores) << "answered twice";
      scores = std::move(result);
    });
    RunUntil([&] { return scores.has_value(); });
    return scores ? *scores : Error{ErrorCode::kInternal, "no answer", ""};
  }

  boost::asio::io_context io_;
  ManualExecutor clock_;
  ScriptedUpstream upstream_;
  OpenAiBackend::Options options_;
  std::shared_ptr<OpenAiBackend> backend_;
};

}  // namespace aio::upstream
