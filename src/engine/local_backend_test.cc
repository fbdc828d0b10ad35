// SPDX-License-Identifier: Apache-2.0
//
// Thoughts on their way from a prompt to a sink.
#include "engine/local_backend.h"

#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/asio_executor.h"
#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

using core::Thinking;

// "thought|answer", once it is complete.
class SplitSink : public core::Sink {
 public:
  void OnStart(const core::Served&) override {}
  void OnDelta(core::Delta delta) override {
    thought_ += delta.reasoning;
    answer_ += delta.text;
  }
  void OnDone(Result<core::Done> done) override {
    EXPECT_TRUE(done);
    done_.set_value(thought_ + "|" + answer_);
  }
  std::string Get() { return done_.get_future().get(); }

 private:
  std::string thought_, answer_;
  std::promise<std::string> done_;
};

class LocalBackendTest : public testing::Test {
 protected:
  // Prompts end within a thought unless told not to.
  void SetUp() override {
    constexpr std::string_view kSource =
        "{{ messages[-1].content }}"
        "{% if enable_thinking is defined and enable_thinking is false %}"
        "<>{% else %}<{% endif %}";
    auto parsed = tokenizer::ChatTemplate::Parse(kSource, {});
    ASSERT_TRUE(parsed);
    LocalBackend::Resident resident;
    resident.model.views = {{.variant = "small"}};
    resident.model.forward =
        std::make_unique<HashForward>(HashForward::Options{});
    resident.model.tokenizer = std::make_shared<LetterTokenizer>();
    resident.prompts.tokenizer = resident.model.tokenizer;
    resident.prompts.context_tokens_max =
        resident.model.forward->context_tokens_max();
    resident.prompts.chat_template =
        std::make_shared<tokenizer::ChatTemplate>(*std::move(parsed));
    resident.prompts.thinking =
        tokenizer::ThinkingOf(*resident.prompts.chat_template, kSource);
    resident.prompts.thinking.marks = {"<", ">"};
    std::vector<LocalBackend::Resident> residents;
    residents.push_back(std::move(resident));
    backend_ = std::make_unique<LocalBackend>(std::move(residents), Options(),
                                              &worker_, &metrics_);
  }
  void TearDown() override {
    backend_->Stop();
    workers_.join();
  }
  // Of a model that says `text` whatever the prompt.
  std::string Serve(bool chat, std::optional<Thinking> thinking,
                    const std::string& text) {
    auto request = std::make_shared<core::Request>();
    request->id = std::to_string(++count_);
    request->chat = chat;
    request->messages = {{core::Role::kUser, "abc"}};
    request->prompt = "abc<";
    request->max_tokens = static_cast<int>(text.size());
    for (const char c : text) request->sampling.forced.push_back(c - '0');
    const auto sink = std::make_shared<SplitSink>();
    std::promise<core::PromptSize> peeked;
    backend_->Peek(request, "small", thinking,
                   [&](Result<core::PromptSize> size) {
                     peeked.set_value(size ? *size : core::PromptSize());
                   });
    core::Plan plan;
    plan.variant = "small";
    plan.thinking = thinking;
    const core::PromptSize size = peeked.get_future().get();
    EXPECT_GT(size.tokens, 0);
    if (count_ % 2 == 0) plan.prepared = size.prepared;
    backend_->Start(request, plan, sink);
    return sink->Get();
  }

  boost::asio::thread_pool workers_{1};
  AsioExecutor worker_{workers_.get_executor()};
  Metrics metrics_;
  std::unique_ptr<LocalBackend> backend_;
  int count_ = 0;
};

TEST_F(LocalBackendTest, ThoughtsAreToldFromTheAnswerAsThePromptBegan) {
  // An odd number of them, so that each comes with and without its peek.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Serve(true, {}, "ab>cd"), "ab|cd");
    EXPECT_EQ(Serve(true, Thinking::kOff, "ab>cd"), "|ab>cd");
    EXPECT_EQ(Serve(true, Thinking::kOff, "<ab>cd"), "ab|cd");
    EXPECT_EQ(Serve(true, Thinking::kOn, "ab>cd"), "ab|cd");
    EXPECT_EQ(Serve(true, Thinking::kOn, "cd"), "cd|");
  }
}

TEST_F(LocalBackendTest, ACompletionIsTheCallersOwnText) {
  EXPECT_EQ(Serve(false, {}, "ab>cd"), "|ab>cd");
}

}  // namespace
}  // namespace aio::engine
