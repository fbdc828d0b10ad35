// SPDX-License-Identifier: Apache-2.0
//
// The model probe costs its small variant nothing: what it computed of the
// prompt serves when that variant then answers, bit for bit.
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/asio_executor.h"
#include "base/metrics.h"
#include "base/thread_pool.h"
#include "engine/local_backend.h"
#include "gguf/gguf.h"
#include "model/cpu_forward.h"
#include "tests/golden/waiting.h"

namespace aio::engine {
namespace {

class ProbeBranchTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = gguf::File::Open("models/stories260K-Q8_0.gguf");
    ASSERT_TRUE(file) << file.error().message;
    auto tokenizer = tokenizer::Tokenizer::Load(*file);
    ASSERT_TRUE(tokenizer);
    LocalBackend::Resident resident;
    model::CpuOptions options;
    options.pool = &pool_;
    options.pages = 64;
    auto forward = model::LoadCpuForward(*file, options);
    ASSERT_TRUE(forward) << forward.error().message;
    resident.model.views = {{.variant = "small"}};
    resident.model.forward = std::move(*forward);
    resident.model.tokenizer = *tokenizer;
    resident.prompts.tokenizer = *tokenizer;
    resident.prompts.context_tokens_max =
        resident.model.forward->context_tokens_max();
    std::vector<LocalBackend::Resident> residents;
    residents.push_back(std::move(resident));
    backend_ = std::make_unique<LocalBackend>(std::move(residents), Options(),
                                              &worker_, &metrics_);
  }
  void TearDown() override { workers_.join(); }

  std::shared_ptr<core::Request> Ask(const std::string& id) {
    auto request = std::make_shared<core::Request>();
    request->id = id;
    request->chat = false;
    request->prompt =
        "Once upon a time, there was a little girl named Lily. She had a red "
        "ball and a dog. One day, the dog took the ball and ran";
    request->max_tokens = 40;
    request->sampling.temperature = 0;
    request->sampling.logprobs = true;
    request->sampling.top_logprobs = 20;
    return request;
  }
  core::Scores Score(const std::shared_ptr<core::Request>& request) {
    core::ScoreRequest score;
    score.request = request;
    score.variant = "small";
    score.suffix = "Category:";
    score.labels = {"a", "b", "c", "d"};
    golden::Waiting<Result<core::Scores>> answer;
    backend_->Score(score, Time::max(), answer.Setter());
    auto scores = answer.Get();
    EXPECT_TRUE(scores) << scores.error().message;
    return *scores;
  }
  golden::Answer Serve(const std::shared_ptr<core::Request>& request) {
    auto sink = std::make_shared<golden::WaitingSink>();
    core::Plan plan;
    plan.variant = "small";
    plan.seed = 1;
    backend_->Start(request, plan, sink);
    return sink->Get();
  }

  boost::asio::thread_pool workers_{1};
  AsioExecutor worker_{workers_.get_executor()};
  ThreadPool pool_{2};
  Metrics metrics_;
  std::unique_ptr<LocalBackend> backend_;
};

TEST_F(ProbeBranchTest, ServingAfterAProbeIsPlainServingBitForBit) {
  const golden::Answer plain = Serve(Ask("plain"));
  ASSERT_TRUE(plain.done);
  EXPECT_EQ(plain.done->usage.cached_tokens, 0);

  const auto request = Ask("probed");
  EXPECT_TRUE(Score(request).kept);
  const golden::Answer probed = Serve(request);
  ASSERT_TRUE(probed.done);
  EXPECT_EQ(probed.done->usage.cached_tokens,
            probed.done->usage.prompt_tokens - 1)
      << "the prompt was computed twice";

  EXPECT_EQ(probed.text, plain.text);
  ASSERT_EQ(probed.logprobs.size(), plain.logprobs.size());
  ASSERT_GE(plain.logprobs.size(), 40u);
  for (size_t i = 0; i < plain.logprobs.size(); ++i) {
    const auto& a = plain.logprobs[i];
    const auto& b = probed.logprobs[i];
    ASSERT_EQ(a.id, b.id);
    ASSERT_EQ(a.top.size(), 20u);
    for (size_t k = 0; k < a.top.size(); ++k) {
      ASSERT_EQ(a.top[k].id, b.top[k].id);
      ASSERT_EQ(std::memcmp(&a.top[k].logprob, &b.top[k].logprob, 4), 0)
          << "token " << i << ", alternative " << k;
    }
  }
}

TEST_F(ProbeBranchTest, TheProbeAnswersTheSameWithOthersRunning) {
  const core::Scores alone = Score(Ask("a"));
  auto sink = std::make_shared<golden::WaitingSink>();
  auto busy = Ask("busy");
  busy->max_tokens = 200;
  core::Plan plan;
  plan.variant = "small";
  backend_->Start(busy, plan, sink);
  const core::Scores beside = Score(Ask("b"));
  EXPECT_EQ(alone.logits, beside.logits);
  EXPECT_TRUE(sink->Get().done);
}

}  // namespace
}  // namespace aio::engine
