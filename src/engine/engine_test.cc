// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

TEST_F(EngineTest, AnAnswerIsWhatStepByStepDecodingGives) {
  Make();
  auto request = Ask("a");
  auto sink = Start(request, {1, 2, 3});
  Finish();
  ASSERT_TRUE(sink->ok());
  EXPECT_EQ(sink->text[0], Expected(*request, {1, 2, 3}));
  EXPECT_GT(sink->text[0].size(), 3u);
  EXPECT_EQ((*sink->done)->usage.prompt_tokens, 3);
}

TEST_F(EngineTest, TwoModelsTakingTurnsByTheLayerDoNotDisturbEachOther) {
  Make();
  auto request = Ask("a");
  auto other = Ask("b");
  auto small = Start(request, {1, 2, 3});
  auto large = Start(other, {1, 2, 3}, "large");
  Finish();
  ASSERT_TRUE(small->ok() && large->ok());
  EXPECT_EQ(small->text[0], Expected(*request, {1, 2, 3}));
  EXPECT_NE(large->text[0], small->text[0]);
  small_ = large_;
  EXPECT_EQ(large->text[0], Expected(*other, {1, 2, 3}));
}

TEST_F(EngineTest, ManyAtOnceOutOfPagesGiveTheSameTextsAsAlone) {
  // 5 pages for 12 requests of up to 70 tokens: pausing is certain.
  sched::Options sched;
  sched.sequences_max = 6;
  sched.columns_beside_decode = 8;
  Make({.pages = 5}, sched);
  std::vector<std::shared_ptr<core::Request>> requests;
  std::vector<std::shared_ptr<Answer>> sinks;
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 12; ++i) {
    auto r = Ask("r" + std::to_string(i));
    r->sampling.seed = i;
    r->stop = {"zz"};
    std::vector<int32_t> prompt;
    for (int k = 0; k < 5 + 3 * i; ++k) prompt.push_back((i * k + k) % 60);
    sinks.push_back(Start(r, prompt));
    requests.push_back(r);
    prompts.push_back(prompt);
    for (int k = 0; k < i; ++k) engine_->Step();
  }
  Finish();
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(sinks[i]->ok()) << i;
    EXPECT_EQ(sinks[i]->text[0], Expected(*requests[i], prompts[i])) << i;
  }
  EXPECT_EQ(engine_->View("small").pages_free, 5);
  EXPECT_EQ(
      metrics_.Export().find("aio_engine_paused_total{variant=\"small\"} 0"),
      std::string::npos)
      << "nothing was paused: the test does not test";
}

TEST_F(EngineTest, ChoicesShareThePromptAndDifferInTheirDraws) {
  Make();
  auto request = Ask("n");
  request->choices = 3;
  std::vector<int32_t> prompt(70, 5);
  auto sink = Start(request, prompt);
  Finish();
  ASSERT_TRUE(sink->ok());
  EXPECT_EQ((*sink->done)->finish.size(), 3u);
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(sink->text[c], Expected(*request, prompt, c)) << c;
  }
  EXPECT_NE(sink->text[0], sink->text[1]);
  EXPECT_EQ(engine_->View("small").pages_free, small_.pages);
}

TEST_F(EngineTest, CancelFreesThePagesAtOnceEvenInsideAStep) {
  Make();
  auto first = Start(Ask("a"), std::vector<int32_t>(60, 1));
  auto other = Start(Ask("b"), {1}, "large");
  for (int i = 0; i < 3; ++i) engine_->Step();
  EXPECT_EQ(first->text[0], "") << "its first step is still under way";
  EXPECT_LT(engine_->View("small").pages_free, small_.pages);
  engine_->Cancel("a");
  engine_->Step();
  EXPECT_EQ(engine_->View("small").pages_free, small_.pages);
  ASSERT_TRUE(first->done.has_value());
  EXPECT_EQ(first->done->error().code, ErrorCode::kCancelled);
  Finish();
  EXPECT_TRUE(other->ok());
}

TEST_F(EngineTest, CancelOfAnUnknownRequestIsIgnored) {
  Make();
  engine_->Cancel("nobody");
  EXPECT_FALSE(engine_->Step());
}

TEST_F(EngineTest, AFullQueueAnswersOverloaded) {
  sched::Options sched;
  sched.sequences_max = 1;
  sched.queue_max = 2;
  Make({}, sched);
  std::vector<std::shared_ptr<Answer>> sinks;
  for (int i = 0; i < 5; ++i) {
    sinks.push_back(Start(Ask(std::to_string(i)), {1}));
  }
  Finish();
  EXPECT_TRUE(sinks[0]->ok());
  int overloaded = 0;
  for (auto& s : sinks) {
    ASSERT_TRUE(s->done.has_value());
    if (!*s->done) {
      EXPECT_EQ(s->done->error().code, ErrorCode::kOverloaded);
      ++overloaded;
    }
  }
  EXPECT_EQ(overloaded, 3);
}

TEST_F(EngineTest, AKeyWithOneRequestDoesNotWaitForAllOfAnother) {
  sched::Options sched;
  sched.sequences_max = 1;
  Make({}, sched);
  std::vector<std::shared_ptr<core::Request>> requests;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i <= 10; ++i) {
    requests.push_back(Ask(std::to_string(i)));
    requests.back()->max_tokens = 5;
    requests.back()->tenant = i < 10 ? 1 : 2;
    prompts.push_back({1 + i, 2, 3, 4});
    answers.push_back(Start(requests.back(), prompts.back()));
  }
  const auto done = [](const auto& answer) { return answer->done.has_value(); };
  while (!done(answers[10])) ASSERT_TRUE(engine_->Step());
  EXPECT_LE(std::ranges::count_if(answers, done), 1 + 1);
  Finish();
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i]->text[0], Expected(*requests[i], prompts[i]));
  }
}

TEST_F(EngineTest, AnAnswerEndsWhereTheContextDoes) {
  Make({.context = 40, .pages = 2});
  auto request = Ask("a");
  request->max_tokens = 1000;
  request->sampling.temperature = 0;
  auto sink = Start(request, std::vector<int32_t>(39, 7));
  Finish();
  ASSERT_TRUE(sink->ok());
  EXPECT_EQ((*sink->done)->usage.completion_tokens, 1);
}

TEST_F(EngineTest, AStopStringCutsTextAndLogprobsAlike) {
  Make();
  auto request = Ask("a");
  const std::string full = Expected(*request, {4, 5});
  ASSERT_GT(full.size(), 6u);
  request->stop = {full.substr(3, 2)};
  request->sampling.logprobs = true;
  request->sampling.top_logprobs = 2;
  auto sink = Start(request, {4, 5});
  Finish();
  ASSERT_TRUE(sink->ok());
  EXPECT_EQ(sink->text[0], full.substr(0, 3));
  EXPECT_EQ((*sink->done)->finish[0], core::FinishReason::kStop);
  std::string of_tokens;
  for (const auto& l : sink->logprobs) {
    of_tokens += l.bytes;
    EXPECT_LE(l.logprob, 0);
    EXPECT_EQ(l.top.size(), 2u);
  }
  EXPECT_EQ(of_tokens, sink->text[0]);
}

TEST_F(EngineTest, AProbeLeavesThePromptForItsOwnRequest) {
  Make();
  const std::vector<int32_t> prompt(50, 6);
  std::optional<Result<core::Scores>> scores;
  ASSERT_TRUE(engine_->Submit(Probe("a", prompt, &scores)));
  Finish();
  ASSERT_TRUE(scores && *scores);
  std::vector<int32_t> branch = prompt;
  branch.insert(branch.end(), {9, 8});
  const auto expected = HashForward::Expected(small_, branch);
  EXPECT_EQ((*scores)->logits, (std::vector<float>{expected[3], expected[4]}));
  EXPECT_TRUE((*scores)->kept);
  auto request = Ask("a");
  auto sink = Start(request, prompt);
  Finish();
  ASSERT_TRUE(sink->ok());
  EXPECT_EQ((*sink->done)->usage.cached_tokens, 49);
  EXPECT_EQ(sink->text[0], Expected(*request, prompt));
  EXPECT_EQ(engine_->View("small").pages_free, small_.pages);
}

TEST_F(EngineTest, AProbePastItsDeadlineFailsAndFreesItsPages) {
  Make();
  std::optional<Result<core::Scores>> scores;
  ScoreJob job = Probe("a", std::vector<int32_t>(100, 1), &scores);
  job.deadline = clock_.Now() + std::chrono::milliseconds(5);
  ASSERT_TRUE(engine_->Submit(std::move(job)));
  engine_->Step();
  ASSERT_FALSE(scores.has_value());
  clock_.Advance(std::chrono::milliseconds(6));
  Finish();
  ASSERT_TRUE(scores.has_value());
  EXPECT_EQ(scores->error().code, ErrorCode::kDeadline);
  EXPECT_EQ(engine_->View("small").pages_free, small_.pages);
}

TEST_F(EngineTest, UsageCountsWeightsOncePerStepAndKvPerContext) {
  Make();
  auto request = Ask("a");
  request->max_tokens = 3;
  request->sampling.temperature = 0;
  auto sink = Start(request, {11, 12});
  Finish();
  ASSERT_TRUE(sink->ok());
  ASSERT_EQ((*sink->done)->usage.completion_tokens, 3);
  // Steps of 2, 1 and 1 columns: contexts 2, 3 and 4.
  EXPECT_EQ((*sink->done)->usage.bytes_read, 3 * 1000 + (2 + 3 + 4) * 10);
  EXPECT_EQ((*sink->done)->usage.weight_bytes_read, 3 * 1000);
}

TEST_F(EngineTest, StopEndsEveryRequestOnce) {
  Make();
  ASSERT_GT(Expected(*Ask("a"), {4, 5}).size(), 6u);
  auto a = Start(Ask("a"), {4, 5});
  engine_->Step();
  auto b = Start(Ask("b"), {4, 5});
  engine_->Stop();
  engine_->Run();
  for (auto& sink : {a, b}) {
    ASSERT_TRUE(sink->done.has_value());
    EXPECT_EQ(sink->done->error().code, ErrorCode::kUnavailable);
  }
  EXPECT_FALSE(engine_->Submit(GenerateJob{Ask("c"), {}, {1}, a}));
}

}  // namespace
}  // namespace aio::engine
