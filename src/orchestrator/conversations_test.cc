// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/conversations.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "orchestrator/decision_json.h"
#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

using core::Label;
using core::Role;
using core::Thinking;

core::Request Of(std::vector<core::Message> messages, uint64_t tenant = 7) {
  core::Request request;
  request.messages = std::move(messages);
  request.tenant = tenant;
  return request;
}

// ---- The table --------------------------------------------------------------

TEST(ConversationsTest, TheNextMessageFindsTheExchangeBeforeIt) {
  const auto first = KeysOf(Of({{Role::kSystem, "s"}, {Role::kUser, "a"}}));
  EXPECT_FALSE(first.before);
  const auto second =
      KeysOf(Of({{Role::kSystem, "s"},
                 {Role::kUser, "a"},
                 {Role::kAssistant, "whatever the client kept of it"},
                 {Role::kUser, "b"}}));
  EXPECT_EQ(second.before, first.own);
  const auto third =
      KeysOf(Of({{Role::kSystem, "s"},
                 {Role::kUser, "a"},
                 {Role::kAssistant, "whatever the client kept of it"},
                 {Role::kUser, "b"},
                 {Role::kAssistant, "c"},
                 {Role::kUser, "d"}}));
  EXPECT_EQ(third.before, second.own);
}

TEST(ConversationsTest, OtherTextsRolesBordersAndTenantsAreOthers) {
  const uint64_t own = KeysOf(Of({{Role::kUser, "ab"}})).own;
  EXPECT_EQ(KeysOf(Of({{Role::kUser, "ab"}})).own, own);
  EXPECT_NE(KeysOf(Of({{Role::kUser, "ab"}}, 8)).own, own);
  EXPECT_NE(KeysOf(Of({{Role::kUser, "ac"}})).own, own);
  EXPECT_NE(KeysOf(Of({{Role::kUser, std::string("ab\0", 3)}})).own, own);
  EXPECT_NE(KeysOf(Of({{Role::kSystem, "ab"}})).own, own);
  EXPECT_NE(KeysOf(Of({{Role::kUser, "a"}, {Role::kUser, "b"}})).own, own);
}

TEST(ConversationsTest, ForgetsTheOneThatWasUsedLongestAgo) {
  Conversations table(3);
  for (const uint64_t key : {1, 2, 3}) table.Keep(key, {.variant = key});
  ASSERT_NE(table.Find(1, 0), nullptr);
  table.Keep(4, {.variant = 4});
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.Find(2, 0), nullptr);
  EXPECT_EQ(table.Find(1, 0)->variant, 1u);
  table.Keep(1, {.variant = 9});  // again: one entry, the new one
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.Find(1, 0)->variant, 9u);
  for (uint64_t key = 0; key < 10000; ++key) table.Keep(key, {});
  EXPECT_EQ(table.size(), 3u);
  Conversations none(0);
  none.Keep(1, {});
  EXPECT_EQ(none.Find(1, 0), nullptr);
}

TEST(ConversationsTest, NobodyFindsAnothersEvenByTheSameKey) {
  Conversations table(3);
  table.Keep(1, {.tenant = 7});
  EXPECT_NE(table.Find(1, 7), nullptr);
  EXPECT_EQ(table.Find(1, 8), nullptr);
}

TEST(SharpenedTest, ATextThatIsSureWinsAndOneThatIsNotDoesNot) {
  const core::Intent code =
      Says(Label::kCode, 0.99, core::IntentSource::kModel);
  EXPECT_EQ(Sharpened(code, Says(Label::kChat, 0.4)).Best(), Label::kCode);
  EXPECT_EQ(Sharpened(code, Says(Label::kTranslate, 0.95)).Best(),
            Label::kTranslate);
  // 0.8 * 0.99 + 0.2 / 8 of 1: no text probe changes nothing but the doubt.
  const core::Intent silent = Sharpened(code, core::Intent());
  EXPECT_NEAR(silent.probabilities[0], 0.817, 1e-12);
  EXPECT_EQ(silent.source, core::IntentSource::kModel);
  double sum = 0;
  for (const double p : silent.probabilities) sum += p;
  EXPECT_NEAR(sum, 1, 1e-12);
}

// ---- In the orchestrator ----------------------------------------------------

class StickyTest : public ProbeTest {
 protected:
  // What follows a first message and its answer.
  std::shared_ptr<core::Request> Next(const std::string& id,
                                      uint64_t tenant = 0) {
    auto request = Ask(id);
    request->messages = {{Role::kUser, "one two three"},
                         {Role::kAssistant, "four"},
                         {Role::kUser, "and now?"}};
    request->tenant = tenant;
    return request;
  }
  // The first exchange, whose intent the model probe tells.
  void First(uint64_t tenant = 0) {
    auto request = Ask("first");
    request->tenant = tenant;
    const auto sink = Handle(request);
    ASSERT_EQ(probes_.size(), 1u);
    probes_[0](Says(Label::kCode, 0.99, core::IntentSource::kModel));
    executor_.Run();
    FinishLast();
  }
  void FinishLast() {
    ASSERT_FALSE(backend_->runs.empty());
    ASSERT_NE(backend_->runs.back().sink, nullptr);
    backend_->runs.back().Say("a");
    backend_->runs.back().Finish();
    executor_.Run();
  }
  boost::json::value LastLine() { return boost::json::parse(lines_.back()); }
};

TEST_F(StickyTest, TheModelIsNotAskedAgainInAConversation) {
  Build();
  First();
  const auto sink = Handle(Next("n"));
  EXPECT_EQ(probes_.size(), 1u);
  FinishLast();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->served->intent, "code");
  EXPECT_EQ(backend_->runs.back().plan.variant, "small");
  Exports("aio_probe_total{state=\"sticky\"} 1");
  Exports("aio_conversation_total{to=\"same\"} 1");
  EXPECT_EQ(LastLine().at("earlier"), "small");
  EXPECT_EQ(LastLine().at("probe"), "sticky");
}

TEST_F(StickyTest, AnotherKeysConversationIsAnother) {
  Build();
  First(7);
  const auto sink = Handle(Next("n", 8));
  EXPECT_EQ(probes_.size(), 2u) << "asked as if nothing was known";
  probes_[1](Says(Label::kCode, 0.99, core::IntentSource::kModel));
  executor_.Run();
  FinishLast();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(LastLine().at("earlier"), "");
}

TEST_F(StickyTest, WhatOnlyTheTextToldIsAskedAnew) {
  text_ = Says(Label::kCode, 0.99);
  Build();
  Handle(Ask("first"));
  FinishLast();
  text_ = Says(Label::kCode, 0.5);
  const auto sink = Handle(Next("n"));
  EXPECT_EQ(probes_.size(), 1u);
  probes_[0](Says(Label::kCode, 0.99, core::IntentSource::kModel));
  executor_.Run();
  FinishLast();
  EXPECT_TRUE(sink->ok());
}

TEST_F(StickyTest, AnExchangeThatFailedIsNotGoneOnFrom) {
  Build();
  const auto sink = Handle(Ask("first"));
  probes_[0](Says(Label::kCode, 0.99, core::IntentSource::kModel));
  executor_.Run();
  backend_->runs.back().Say("a");
  backend_->runs.back().Fail(ErrorCode::kUnavailable);
  executor_.Run();
  Handle(Next("n"));
  EXPECT_EQ(probes_.size(), 2u);
  orchestrator_->Cancel("n");
  executor_.Run();
}

TEST_F(StickyTest, TheTableIsBounded) {
  options_.conversations_max = 1;
  Build();
  First();
  text_ = Says(Label::kMath, 0.99);
  auto other = Ask("other");
  other->messages[0].content = "something else";
  Handle(other);
  FinishLast();
  text_ = Says(Label::kCode, 0.5);
  Handle(Next("n"));
  EXPECT_EQ(probes_.size(), 2u) << "the first is forgotten";
  orchestrator_->Cancel("n");
  executor_.Run();
}

TEST_F(StickyTest, EstimatesWhatIsCachedWhereTheBackendCannotTell) {
  Build();
  First();  // on small, 10 tokens of prompt
  backend_->prompt_tokens = 30;
  backend_->exact = false;
  const auto e = Route(Next("n"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->candidates[0].estimate.cached_tokens, 10);
  EXPECT_EQ(e->candidates[1].estimate.cached_tokens, 0);
  backend_->exact = true;
  const auto told = Route(Next("n"));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->candidates[0].estimate.cached_tokens, 0) << "it can tell";
}

// Nothing holds it there but what its prompt costs elsewhere.
TEST_F(StickyTest, StaysWhereItsPromptIsUnlessMovingPays) {
  for (const auto& [large_ms, variant] :
       {std::pair{10ms, "large"}, std::pair{14ms, "large"},
        std::pair{16ms, "small"}}) {
    parts_.model_probe = nullptr;
    for (const char* row : {"small", "large"}) {
      parts_.quality[row].fill(core::Quality{.value = 0.5});
    }
    policy::Options o;
    o.variants = {{"small", 100}, {"large", 700}};
    parts_.policy = *policy::Make("marginal", o);
    Build();
    backend_->exact = false;
    backend_->prompt_tokens = 10;
    // Each takes that for 10 tokens of prompt; the last exchange is on large.
    for (const auto& [name, took] :
         {std::pair{"small", 10ms}, std::pair{"large", large_ms}}) {
      auto request = Ask(name);
      request->model = name;
      Handle(request);
      executor_.Advance(took);
      FinishLast();
    }
    backend_->prompt_tokens = 30;  // 30 ms on small; 20 tokens of it on large
    Handle(Next("n"));
    EXPECT_EQ(backend_->runs.back().plan.variant, variant) << large_ms.count();
    FinishLast();
  }
}

TEST_F(StickyTest, AToolLoopStaysWithItsVariant) {
  Build();
  First();                           // code, on small
  text_ = Says(Label::kMath, 0.99);  // would go large
  auto request = Next("n");
  request->tool_result = true;
  const auto sink = Handle(request);
  FinishLast();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->served->variant, "small");
  EXPECT_EQ(sink->served->reason, "tool loop");
  EXPECT_EQ(sink->served->intent, "code");
  EXPECT_EQ(LastLine().at("probe"), "sticky");
  EXPECT_EQ(LastLine().at("rounds").at(0).at("held"), true);
}

TEST_F(StickyTest, AToolLoopWhoseVariantCannotServeIsRouted) {
  Build();
  First();
  backend_->views["small"].healthy = false;
  auto request = Next("n");
  request->tool_result = true;
  const auto sink = Handle(request);
  FinishLast();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->served->variant, "large");
  EXPECT_FALSE(LastLine().at("rounds").at(0).as_object().contains("held"));
}

TEST_F(StickyTest, WhatIsRememberedIsReplayedFromTheLog) {
  Build();
  First();
  Handle(Next("n"));
  FinishLast();
  const auto line = LastLine();
  const auto& round = line.at("rounds").at(0);
  const auto kept = InputOf(round.at("input").as_object());
  ASSERT_TRUE(kept);
  EXPECT_FALSE((*kept)->input.can_ask);
  const auto then = DecisionOf(round.at("decision").as_object());
  const policy::Decision now = parts_.policy->Decide((*kept)->input);
  EXPECT_EQ(now.candidate, then->candidate);
  EXPECT_EQ(now.reason, then->reason);
}

}  // namespace
}  // namespace aio::orchestrator
