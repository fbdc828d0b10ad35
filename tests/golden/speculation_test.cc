// SPDX-License-Identifier: Apache-2.0
//
// Speculation changes no byte of what the trained pair says: to prompts that
// make it write JSON and tool calls, where drafts are many and one wrong
// character breaks a client, and to the pair's own extraction tasks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/asio_executor.h"
#include "base/metrics.h"
#include "base/random.h"
#include "engine/engine.h"
#include "model/cpu_forward.h"
#include "tests/golden/waiting.h"

namespace aio::golden {
namespace {

using core::Strategy;

constexpr int kPrompts = 200;

// A list of records, or of calls, that wants to go on.
std::string JsonPrompt(uint64_t seed) {
  const auto pick = [&](uint64_t i, const auto& words) {
    return std::string(words[RandomBits(seed, 1, i) % std::size(words)]);
  };
  constexpr std::array kTools = {"get_weather", "search", "send_mail",
                                 "lookup"};
  constexpr std::array kKeys = {"city", "name", "unit", "to", "query", "id"};
  constexpr std::array kValues = {"Paris", "Alice", "celsius",
                                  "Bob",   "7",     "ok"};
  const bool calls = seed % 2 == 0;
  const std::string tool = pick(0, kTools), a = pick(1, kKeys),
                    b = pick(2, kKeys);
  std::string text;
  for (uint64_t line = 0; line < 2 + seed % 3; ++line) {
    const std::string object = "{\"" + a + "\": \"" + pick(9 + line, kValues) +
                               "\", \"" + b + "\": \"" +
                               pick(20 + line, kValues) + "\"}";
    text += calls ? "<tool_call>\n{\"name\": \"" + tool +
                        "\", \"arguments\": " + object + "}\n</tool_call>\n"
                  : object + ",\n";
  }
  return text + (calls ? "<tool_call>\n{\"name\": \"" : "{\"" + a + "\": \"");
}

class SpeculationTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto file = gguf::File::Open(GetParam());
    ASSERT_TRUE(file) << file.error().message;
    engine::Model model;
    model.views = {{.variant = "m"}};
    tokenizer_ = *tokenizer::Tokenizer::Load(*file);
    model.tokenizer = tokenizer_;
    model::CpuOptions options;
    options.pool = &pool_;
    options.pages = 64;
    model.forward = *model::LoadCpuForward(*file, options);
    model.sched.sequences_max = 5;
    std::vector<engine::Model> models;
    models.push_back(std::move(model));
    engine_ = std::make_unique<engine::Engine>(
        std::move(models), engine::Options(), &clock_, &metrics_);
  }
  std::shared_ptr<WaitingSink> Ask(int i, Strategy strategy) {
    auto request = std::make_shared<core::Request>();
    request->id = std::string(core::Name(strategy)) + std::to_string(i);
    request->max_tokens = 48;
    request->sampling.temperature = i % 4 == 0 ? 0.8f : 0.0f;
    request->sampling.repetition_penalty = i % 8 == 1 ? 1.1f : 1.0f;
    request->sampling.logprobs = i % 3 == 0;
    core::Plan plan;
    plan.variant = "m";
    plan.strategy = strategy;
    plan.seed = static_cast<uint64_t>(i);
    auto sink = std::make_shared<WaitingSink>();
    EXPECT_TRUE(engine_->Submit(engine::GenerateJob{
        request, plan, tokenizer_->Encode(JsonPrompt(static_cast<uint64_t>(i))),
        sink}));
    return sink;
  }

  ThreadPool pool_{2};
  boost::asio::io_context io_;
  AsioExecutor clock_{io_.get_executor()};
  Metrics metrics_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<engine::Engine> engine_;
};
INSTANTIATE_TEST_SUITE_P(Nano, SpeculationTest,
                         testing::Values("models/nano-s.gguf",
                                         "models/nano-l.gguf"),
                         [](const auto& info) {
                           return info.index == 0 ? "small" : "large";
                         });

TEST_P(SpeculationTest, JsonAndToolCallsAreTheSameBytesWithDrafts) {
  std::vector<std::shared_ptr<WaitingSink>> plain, with;
  for (const Strategy strategy : {Strategy::kPlain, Strategy::kLookup}) {
    for (int i = 0; i < kPrompts; ++i) {
      (strategy == Strategy::kPlain ? plain : with).push_back(Ask(i, strategy));
    }
    while (engine_->Step()) {
    }
  }
  int drafted = 0, accepted = 0;
  for (size_t i = 0; i < kPrompts; ++i) {
    const Answer want = plain[i]->Get(), got = with[i]->Get();
    ASSERT_TRUE(want.done && got.done);
    ASSERT_EQ(got.text, want.text) << i;
    ASSERT_EQ(got.logprobs.size(), want.logprobs.size());
    for (size_t j = 0; j < want.logprobs.size(); ++j) {
      ASSERT_EQ(got.logprobs[j].logprob, want.logprobs[j].logprob) << i;
    }
    drafted += got.done->usage.drafted_tokens;
    accepted += got.done->usage.accepted_tokens;
    EXPECT_EQ(want.done->usage.drafted_tokens, 0);
  }
  EXPECT_GT(accepted, 500);
  EXPECT_GT(drafted - accepted, 500);
}

}  // namespace
}  // namespace aio::golden
