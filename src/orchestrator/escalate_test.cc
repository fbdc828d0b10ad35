// SPDX-License-Identifier: Apache-2.0
//
// A larger variant takes over: when, when not, and what is seen of it.
#include <boost/json.hpp>
#include <cmath>

#include "cost/learner.h"
#include "orchestrator/decision_json.h"
#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

namespace json = boost::json;

class EscalationTest : public OrchestratorTest {
 protected:
  using Run = ScriptedBackend::Run;

  EscalationTest() {
    options_.escalation = {.margin_min = 0.1, .tokens = 4};
    for (core::Variant& v : parts_.variants) {
      v.resumes = true;
      v.thinking.on = false;
    }
    backend_->on_start = [](Run& run) {
      run.sink->OnStart({run.plan.variant, run.plan.strategy, "f", "", "", 0});
    };
  }

  static core::TokenLogprob Token(double margin) {
    core::TokenLogprob token;
    token.logprob = std::log(0.5f);
    token.top = {{1, "a", static_cast<float>(std::log(0.5))},
                 {2, "b", static_cast<float>(std::log(0.5 - margin))}};
    return token;
  }
  static core::Delta Text(const std::string& text) {
    core::Delta delta;
    delta.text = text;
    return delta;
  }
  static core::Delta Thought(const std::string& text) {
    core::Delta delta;
    delta.reasoning = text;
    return delta;
  }
  static void Say(Run* run, const std::string& text, double margin) {
    core::Delta delta = Text(text);
    delta.logprobs.push_back(Token(margin));
    run->sink->OnDelta(std::move(delta));
  }
  void Words(Run* run, int count, double margin) {
    for (int i = 0; i < count; ++i) Say(run, "w ", margin);
    executor_.Run();
  }
  Run& run(size_t i) { return backend_->runs.at(i); }
  size_t runs() const { return backend_->runs.size(); }
  std::shared_ptr<core::Request> Plain(const std::string& id) {
    auto request = Ask(id);
    request->streamed = false;
    return request;
  }
  std::shared_ptr<core::Request> Allowed(const std::string& id) {
    auto request = Ask(id);
    request->hints.escalate = true;
    return request;
  }
};

TEST_F(EscalationTest, TheLargeOneAnswersInsteadWithTheTextAsADraft) {
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(run(0).plan.variant, "small");
  Words(&run(0), 4, 0.07);
  ASSERT_EQ(runs(), 2u);
  EXPECT_EQ(backend_->cancels, std::vector<std::string>{"a"});
  EXPECT_EQ(run(1).plan.variant, "large");
  EXPECT_EQ(run(1).plan.draft_text, "w w w w ");
  EXPECT_EQ(run(1).plan.shown_text, "");
  EXPECT_EQ(run(1).plan.seed, run(0).plan.seed);
  EXPECT_FALSE(sink->served) << "nothing has been shown";
  Words(&run(1), 9, 0.01);  // nobody is larger
  run(1).Finish(9);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->text, "w w w w w w w w w ");
  EXPECT_EQ(sink->served->variant, "large");
  EXPECT_EQ(sink->served->reason, "escalated: margin 0.070 < 0.100");
  EXPECT_EQ((*sink->result)->usage.completion_tokens, 9);
  const std::string labels = R"({from="small",intent="code",to="large"})";
  Exports("aio_escalations_total" + labels + " 1");
  Exports("aio_escalation_tokens_total" + labels + " 4");
  EXPECT_EQ(Total("aio_requests_total"), 1);
  EXPECT_EQ(Total("aio_route_total"), 1);
  EXPECT_EQ(Total("aio_failover_total"), 0);
  EXPECT_EQ(Total("aio_ttft_seconds_count"), 1);
}

TEST_F(EscalationTest, IsOffByDefault) {
  options_.escalation = {};
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_FALSE(run(0).request->sampling.logprobs);
  Words(&run(0), 1, 0.0);
  EXPECT_EQ(sink->text, "w ") << "nothing is held";
  Words(&run(0), 20, 0.0);
  run(0).Finish();
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, HoldsTextUntilItIsJudgedAndShowsItWhole) {
  Build();
  auto sink = Handle(Ask("a"));
  Words(&run(0), 3, 0.3);
  EXPECT_FALSE(sink->served);
  Words(&run(0), 1, 0.3);
  EXPECT_EQ(sink->text, "w w w w ");
  Words(&run(0), 30, 0.0);  // shown, so it stays
  EXPECT_EQ(sink->text.size(), 68u);
  run(0).Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, TheFirstTextIsCountedWhenItIsShown) {
  Build();
  auto sink = Handle(Ask("a"));
  Words(&run(0), 3, 0.3);
  executor_.Advance(2s);
  Words(&run(0), 1, 0.3);
  run(0).Finish();
  executor_.Run();
  Exports("aio_ttft_seconds_sum{variant=\"small\"} 2");
}

TEST_F(EscalationTest, AShortAnswerIsJudgedAtItsEnd) {
  Build();
  auto failing = Handle(Ask("a"));
  Words(&run(0), 2, 0.02);
  run(0).Finish(2);
  executor_.Run();
  ASSERT_EQ(runs(), 2u);
  EXPECT_EQ(run(1).plan.draft_text, "w w ");
  run(1).Finish(0);
  executor_.Run();
  EXPECT_TRUE(failing->ok());
  auto sure = Handle(Ask("b"));
  Words(&run(2), 2, 0.2);
  run(2).Finish(2);
  executor_.Run();
  EXPECT_EQ(sure->text, "w w ");
  auto empty = Handle(Ask("c"));
  run(3).Finish(0);
  executor_.Run();
  EXPECT_TRUE(empty->ok());
  EXPECT_EQ(runs(), 4u);
}

TEST_F(EscalationTest, TextThatIsNotShownBeforeItsEndMayFailAnyTime) {
  Build();
  auto sink = Handle(Plain("a"));
  Words(&run(0), 40, 0.3);
  EXPECT_FALSE(sink->served);
  Words(&run(0), 16, 0.0);
  ASSERT_EQ(runs(), 2u);
  // The mean falls as the last sixteen do, and the rest is never said.
  EXPECT_EQ(run(1).plan.draft_text.size() % 2, 0u);
  EXPECT_GT(run(1).plan.draft_text.size(), 2u * 48);
  EXPECT_LT(run(1).plan.draft_text.size(), 2u * 56);
  run(1).Finish(0);
  executor_.Run();
  EXPECT_EQ(sink->text, "");
  EXPECT_TRUE(sink->ok());
}

TEST_F(EscalationTest, GoesOnBehindWhatWasShownIfTheRequestAllowsIt) {
  Build();
  auto request = Allowed("a");
  request->max_tokens = 100;
  auto sink = Handle(request);
  Words(&run(0), 20, 0.3);
  EXPECT_EQ(sink->text.size(), 40u);
  Words(&run(0), 16, 0.0);
  ASSERT_EQ(runs(), 2u);
  EXPECT_EQ(run(1).plan.shown_text, sink->text);
  EXPECT_EQ(run(1).plan.draft_text, "");
  const auto shown = static_cast<int>(sink->text.size() / 2);
  EXPECT_EQ(*run(1).request->max_tokens, 100 - shown);
  const std::string before = sink->text;
  run(1).sink->OnDelta(Text("more"));
  run(1).Finish(3);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->text, before + "more");
  EXPECT_EQ(sink->served->variant, "small") << "who began";
  EXPECT_EQ((*sink->result)->usage.completion_tokens, shown + 3);
  EXPECT_EQ((*sink->result)->usage.prompt_tokens, 10);
  EXPECT_EQ(Total("aio_ttft_seconds_count"), 1);
}

TEST_F(EscalationTest, NobodyGoesOnWhoCannot) {
  parts_.variants[1].resumes = false;
  Build();
  auto sink = Handle(Allowed("a"));
  Words(&run(0), 4, 0.3);
  Words(&run(0), 40, 0.0);
  run(0).Finish();
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, NobodyGoesOnWhoWouldThink) {
  parts_.variants[1].thinking.on = true;
  Build();
  auto sink = Handle(Allowed("a"));
  Words(&run(0), 4, 0.3);
  Words(&run(0), 40, 0.0);
  run(0).Finish();
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, IfNobodyCanGoOnBehindShownTextTheClientIsTold) {
  parts_.variants[0].resumes = false;
  Build();
  auto sink = Handle(Allowed("a"));
  Words(&run(0), 4, 0.3);
  backend_->views["large"].healthy = false;
  Words(&run(0), 16, 0.0);
  EXPECT_EQ(sink->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, AnAnswerAtItsLimitIsLeftAlone) {
  Build();
  auto request = Allowed("a");
  request->max_tokens = 5;
  auto sink = Handle(request);
  Words(&run(0), 4, 0.11);
  Words(&run(0), 1, 0.0);
  run(0).Finish(5);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, WhoNamesAVariantOrWantsNoneOrSeveralChoicesIsLeftAlone) {
  Build();
  auto pinned = Ask("a"), never = Ask("b"), several = Ask("c");
  pinned->model = "small";
  never->hints.escalate = false;
  several->choices = 2;
  const auto check = [&](std::shared_ptr<core::Request> request) {
    auto sink = Handle(request);
    EXPECT_FALSE(run(runs() - 1).request->sampling.logprobs);
    Words(&backend_->runs.back(), 20, 0.0);
    EXPECT_FALSE(sink->text.empty());
    backend_->runs.back().Finish();
  };
  for (const auto& request : {pinned, never, several}) check(request);
  EXPECT_EQ(run(2).plan.variant, "small");
  text_ = Says(core::Label::kMath, 0.99);
  check(Ask("d"));
  EXPECT_EQ(run(3).plan.variant, "large");
  executor_.Run();
  EXPECT_EQ(runs(), 4u);
}

TEST_F(EscalationTest, TheClientSeesTheLogProbabilitiesItAskedFor) {
  Build();
  struct Sink : CheckingSink {
    void OnDelta(core::Delta delta) override {
      for (const auto& l : delta.logprobs) tops.push_back(l.top.size());
      CheckingSink::OnDelta(std::move(delta));
    }
    std::vector<size_t> tops;
  };
  const auto ask = [&](std::shared_ptr<core::Request> request) {
    auto sink = std::make_shared<Sink>();
    orchestrator_->Handle(request, sink);
    executor_.Run();
    EXPECT_TRUE(backend_->runs.back().request->sampling.logprobs);
    EXPECT_EQ(backend_->runs.back().request->sampling.top_logprobs, 2);
    Words(&backend_->runs.back(), 5, 0.3);
    backend_->runs.back().Finish();
    executor_.Run();
    return sink->tops;
  };
  EXPECT_EQ(ask(Ask("a")), (std::vector<size_t>{}));
  auto one = Ask("b");
  one->sampling.logprobs = true;
  one->sampling.top_logprobs = 1;
  EXPECT_EQ(ask(one), (std::vector<size_t>(5, 1)));
  auto none = Ask("c");
  none->sampling.logprobs = true;
  EXPECT_EQ(ask(none), (std::vector<size_t>(5, 0)));
}

TEST_F(EscalationTest, ABackendWithoutLogProbabilitiesIsNotHeldUp) {
  Build();
  auto sink = Handle(Ask("a"));
  run(0).sink->OnDelta({});
  run(0).sink->OnDelta(Text("a"));
  EXPECT_EQ(sink->text, "");
  run(0).sink->OnDelta(Text("b"));
  EXPECT_EQ(sink->text, "ab");
  run(0).Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, ThoughtsAreShownAndThenNobodyTakesOver) {
  Build();
  for (const auto& request : {Ask("a"), Allowed("b")}) {
    auto sink = Handle(request);
    auto& now = backend_->runs.back();
    now.sink->OnDelta(Thought("well"));
    EXPECT_FALSE(sink->served);
    now.sink->OnDelta(Thought("so"));
    EXPECT_TRUE(sink->served);
    Words(&now, 40, 0.0);
    EXPECT_EQ(sink->text.size(), 80u);
    now.Finish();
    executor_.Run();
  }
  EXPECT_EQ(runs(), 2u);
  auto sink = Handle(Plain("c"));
  run(2).sink->OnDelta(Thought("well"));
  run(2).sink->OnDelta(Thought("so"));
  Words(&run(2), 4, 0.0);
  ASSERT_EQ(runs(), 4u) << "nothing was shown";
  EXPECT_EQ(run(3).plan.draft_text, "w w w w ");
  run(3).Finish(0);
}

TEST_F(EscalationTest, ACancelMeanwhileEndsIt) {
  Build();
  // The backend is slow to end what was given up.
  auto sink = Handle(Ask("a"));
  const auto slow = run(0).sink;
  run(0).sink = nullptr;
  for (int i = 0; i < 4; ++i) {
    core::Delta delta;
    delta.logprobs.push_back(Token(0));
    slow->OnDelta(std::move(delta));
  }
  executor_.Run();
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->dones, 0);
  slow->OnDelta(Text("late"));
  slow->OnDone(Error{ErrorCode::kCancelled, "cancelled", ""});
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  EXPECT_EQ(sink->text, "");
  EXPECT_EQ(runs(), 1u);
}

TEST_F(EscalationTest, ACancelBehindItReachesTheLargeOne) {
  Build();
  auto sink = Handle(Ask("a"));
  Words(&run(0), 4, 0);
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  EXPECT_EQ(backend_->cancels.size(), 2u);
}

TEST_F(EscalationTest, WhatEndedBeforeItWasGivenUpIsStillGivenUp) {
  Build();
  auto sink = Handle(Ask("a"));
  for (int i = 0; i < 4; ++i) Say(&run(0), "w ", 0);
  run(0).Finish(4);  // before the executor has had its turn
  executor_.Run();
  ASSERT_EQ(runs(), 2u);
  run(1).Finish(0);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
}

TEST_F(EscalationTest, IfTheLargeOneFailsTheSmallOneAnswersAfterAll) {
  Build();
  auto sink = Handle(Ask("a"));
  Words(&run(0), 4, 0);
  run(1).Fail(ErrorCode::kUnavailable);
  executor_.Run();
  ASSERT_EQ(runs(), 3u);
  EXPECT_EQ(run(2).plan.variant, "small");
  EXPECT_EQ(run(2).plan.draft_text, "w w w w ");
  EXPECT_FALSE(run(2).request->sampling.logprobs) << "once is enough";
  Words(&run(2), 20, 0);
  run(2).Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(Total("aio_escalations_total"), 1);
  EXPECT_EQ(Total("aio_failover_total"), 1);
}

TEST_F(EscalationTest, IfTheLargeOneHasGoneMeanwhileTheSmallOneAnswers) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->views["large"].healthy = false;
  Words(&run(0), 4, 0);
  ASSERT_EQ(runs(), 2u);
  EXPECT_EQ(run(1).plan.variant, "small");
  run(1).Finish(0);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
}

TEST_F(EscalationTest, AFailureBehindShownTextIsTheClients) {
  Build();
  auto sink = Handle(Allowed("a"));
  Words(&run(0), 4, 0.3);
  Words(&run(0), 16, 0.0);
  ASSERT_EQ(runs(), 2u);
  run(1).Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(runs(), 2u);
}

TEST_F(EscalationTest, TheDecisionLogSaysItAndReplaysIt) {
  Build();
  auto sink = Handle(Ask("a"));
  Words(&run(0), 4, 0);
  run(1).Finish(0);
  executor_.Run();
  ASSERT_EQ(lines_.size(), 1u);
  const json::object line = json::parse(lines_[0]).as_object();
  const json::object& e = line.at("escalation").as_object();
  EXPECT_EQ(e.at("from").as_string(), "small");
  EXPECT_EQ(e.at("margin").as_double(), 0);
  EXPECT_EQ(e.at("tokens").as_int64(), 4);
  EXPECT_EQ(e.at("shown_tokens").as_int64(), 0);
  EXPECT_EQ(line.at("outcome").at("variant").as_string(), "large");
  EXPECT_EQ(line.at("outcome").at("attempts").as_int64(), 2);
  const json::array& rounds = line.at("rounds").as_array();
  ASSERT_EQ(rounds.size(), 2u);
  for (const json::value& round : rounds) {
    auto input = InputOf(round.at("input").as_object());
    auto decision = DecisionOf(round.at("decision").as_object());
    ASSERT_TRUE(input && decision);
    EXPECT_EQ(parts_.policy->Decide((*input)->input).candidate,
              decision->candidate);
  }
}

}  // namespace
}  // namespace aio::orchestrator
