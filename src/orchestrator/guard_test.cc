// SPDX-License-Identifier: Apache-2.0
//
// The quality guard: what is sampled, when it is run again, and what is told.
#include "orchestrator/guard.h"

#include <string>
#include <vector>

#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

class GuardTest : public OrchestratorTest {
 protected:
  GuardTest() {
    ModelCost cost;
    cost.steps.table.columns = {1};
    cost.steps.table.seconds = {0.01};
    parts_.costs.devices = {{cost, cost}};
    parts_.costs.variants = {VariantCost{0, 0}, VariantCost{0, 1}};
    options_.guard.share = 1;
  }
  ~GuardTest() override {
    for (auto& run : backend_->runs) {
      if (run.sink) run.Fail(ErrorCode::kCancelled);
    }
  }
  // A request that small answers with `text`, from asking to its end.
  void Answer(const std::string& text, std::shared_ptr<core::Request> asked) {
    const size_t run = backend_->runs.size();
    const auto sink = Handle(std::move(asked));
    ASSERT_GT(backend_->runs.size(), run);
    EXPECT_EQ(backend_->runs[run].plan.variant, "small");
    backend_->runs[run].Say(text);
    backend_->runs[run].Finish();
    executor_.Run();
    EXPECT_TRUE(sink->ok());
  }
  void Answer(const std::string& text) {
    Answer(text, Ask("r" + std::to_string(++asked_)));
  }
  // The run that is under way, which must be of the guard.
  ScriptedBackend::Run& Last() {
    ScriptedBackend::Run& run = backend_->runs.back();
    EXPECT_EQ(run.request->id.rfind("guard-", 0), 0u) << run.request->id;
    EXPECT_EQ(run.plan.variant, "large");
    EXPECT_TRUE(run.sink) << "it has ended";
    return run;
  }
  void Reply(const std::string& text) {
    ScriptedBackend::Run& run = Last();
    run.Say(text);
    run.Finish();
    executor_.Run();
  }
  void Samples(const std::string& outcome, int count) {
    Exports("aio_guard_samples_total{outcome=\"" + outcome + "\"} " +
            std::to_string(count));
  }
  bool Running() const {
    return !backend_->runs.empty() && backend_->runs.back().sink != nullptr;
  }
  void Busy(const std::string& variant, int running, int queued) {
    backend_->views[variant].running = running;
    backend_->views[variant].queued = queued;
  }

  int asked_ = 0;
};

// ---- What is sampled --------------------------------------------------------

TEST_F(GuardTest, AnAnswerOfASmallerVariantIsAskedAgainOfTheLargest) {
  Build();
  auto request = Ask("a");
  request->max_tokens = 17;
  request->sampling.temperature = 0.7F;
  request->tenant = 5;
  request->raw_json = "{}";
  Answer("it is Paris today", request);
  ASSERT_EQ(backend_->runs.size(), 2u);
  const core::Request& again = *Last().request;
  EXPECT_EQ(again.messages[0].content, "one two three");
  EXPECT_EQ(again.max_tokens, 17);
  EXPECT_EQ(again.sampling.temperature, 0);
  EXPECT_EQ(again.tenant, 5u) << "KV of tenants stays apart";
  EXPECT_EQ(again.raw_json, "");
  Reply("Paris today");
  Samples("compared", 1);
  Exports("aio_guard_agreement_count{intent=\"code\"} 1");
  Exports("aio_guard_agreement_sum{intent=\"code\"} 0.6666666666666666");
  Exports("aio_guard_equal_total{intent=\"code\"} 0");
}

// Both think unless told, and small is told not to, which is cheaper.
TEST_F(GuardTest, TheReferenceThinksAsTheAnswerWasThoughtAbout) {
  using core::Thinking;
  for (core::Variant& v : parts_.variants) v.thinking.usual = Thinking::kOn;
  for (const char* row : {"small", "small+no_think", "large"}) {
    for (auto& cell : parts_.quality[row]) cell = core::Quality{.value = 0.5};
  }
  policy::Options rule;
  rule.variants = {{"small", 100}, {"large", 700}};
  parts_.policy = *policy::Make("marginal", rule);
  const auto told = [this](const std::string& text) {
    Build();
    Answer(text);
    EXPECT_EQ(backend_->runs.at(backend_->runs.size() - 2).plan.thinking,
              Thinking::kOff);
    const auto thinking = Last().plan.thinking;
    Reply(text);
    return thinking;
  };
  EXPECT_EQ(told("a"), Thinking::kOff);
  parts_.variants[1].thinking.off = false;
  EXPECT_EQ(told("b"), Thinking::kOn) << "it cannot do without";
}

TEST_F(GuardTest, WhoCannotThinkIsComparedWithoutThoughts) {
  parts_.variants[0].thinking.on = false;
  parts_.variants[1].thinking.usual = core::Thinking::kOn;
  Build();
  Answer("a");
  EXPECT_EQ(backend_->runs.at(0).plan.thinking, std::nullopt);
  EXPECT_EQ(Last().plan.thinking, core::Thinking::kOff);
  Reply("a");
  auto completion = Ask("b");  // there is nothing to tell
  completion->chat = false;
  completion->prompt = "b";
  Answer("b", completion);
  EXPECT_EQ(Last().plan.thinking, core::Thinking::kOn);
  Reply("b");
}

TEST_F(GuardTest, ItIsNobodysRequest) {
  // What is exported but of the guard itself.
  const auto others = [this] {
    std::istringstream in(metrics_.Export());
    std::string out;
    for (std::string line; std::getline(in, line);) {
      if (line.find("aio_guard") == std::string::npos) out += line + "\n";
    }
    return out;
  };
  Build();
  Answer("yes");
  const std::string before = others();
  const auto learned = Route(Ask("q"));  // the run gives way, and comes back
  ASSERT_TRUE(learned);
  executor_.Advance(2s);
  Last().Say("yes");
  executor_.Advance(9s);
  Last().Finish(1000);
  executor_.Run();
  Exports("aio_guard_equal_total{intent=\"code\"} 1");
  EXPECT_EQ(others(), before);
  EXPECT_EQ(lines_.size(), 1u) << "decisions";
  const auto after = Route(Ask("q"));
  ASSERT_TRUE(after);
  for (const size_t i : {0, 1}) {
    EXPECT_EQ(after->candidates[i].estimate.seconds,
              learned->candidates[i].estimate.seconds);
    EXPECT_EQ(after->candidates[i].estimate.output_tokens,
              learned->candidates[i].estimate.output_tokens);
  }
}

TEST_F(GuardTest, WhatIsPinnedHasChoicesOrWasTheLargestsIsNotSampled) {
  Build();
  auto pinned = Ask("a");
  pinned->model = "small";
  Answer("x", pinned);
  auto two = Ask("b");
  two->choices = 2;
  Answer("x", two);
  text_ = Says(core::Label::kMath, 0.99);
  const auto sink = Handle(Ask("c"));
  backend_->runs.back().Finish();
  executor_.Advance(5s);
  EXPECT_EQ(backend_->runs.size(), 3u);
  EXPECT_EQ(Total("aio_guard_samples_total"), 0);
}

// A variant that may be told to think is two candidates: those of the reference
// are not at its own place among the variants.
TEST_F(GuardTest, WhatTheReferenceCannotServeIsNotSampled) {
  parts_.variants[0].thinking.usual = core::Thinking::kOff;
  parts_.variants[1].context_tokens_max = backend_->prompt_tokens;
  for (const char* row : {"small", "small+think"}) {
    parts_.quality[row].fill(core::Quality{.value = 0.5});
  }
  policy::Options marginal;
  marginal.variants = {{"small", 100}, {"large", 700}};
  parts_.policy = *policy::Make("marginal", marginal);
  Build();
  Answer("x");
  executor_.Advance(5s);
  EXPECT_FALSE(Running());
  EXPECT_EQ(Total("aio_guard_samples_total"), 0);
}

TEST_F(GuardTest, WhatFailedIsNotSampled) {
  Build();
  const auto sink = Handle(Ask("a"));
  backend_->runs[0].Say("half");
  backend_->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Advance(5s);
  EXPECT_EQ(backend_->runs.size(), 1u);
}

TEST_F(GuardTest, TheShareIsByTheRequestsOwnRandomNumber) {
  options_.guard.share = 0.25;
  std::vector<std::vector<int>> sampled(2);
  for (auto& which : sampled) {
    backend_->runs.clear();
    Build();
    for (int i = 0; i < 400; ++i) {
      Answer("x");
      if (!Running()) continue;
      which.push_back(i);
      // In the second round nothing but what is sampled may be the same.
      if (&which == &sampled[0]) executor_.Advance(50ms);
      Reply("x");
    }
  }
  EXPECT_EQ(sampled[0], sampled[1]);
  EXPECT_NEAR(static_cast<double>(sampled[0].size()), 100, 30);
}

TEST_F(GuardTest, NothingIsGuardedWithoutAShareOrAReferenceOfKnownSteps) {
  for (const bool share : {false, true}) {
    options_.guard.share = share ? 1 : 0;
    if (share) parts_.costs.variants[1].reset();
    Build();
    Answer("x");
    executor_.Advance(5s);
    EXPECT_FALSE(Running()) << share;
  }
}

TEST_F(GuardTest, ANamedReferenceIsComparedWithWhatIsSmaller) {
  Host("huge", backend_, 4096, 7000);
  parts_.costs.variants.push_back(VariantCost{0, 1});
  options_.guard.reference = "large";
  Build();
  Answer("x");
  ASSERT_TRUE(Running());
  Reply("x");
}

// ---- When -------------------------------------------------------------------

TEST_F(GuardTest, ItWaitsUntilNobodyIsOnTheDevice) {
  Build();
  Busy("small", 1, 0);
  Answer("x");
  EXPECT_FALSE(Running());
  executor_.Advance(3s);
  EXPECT_FALSE(Running()) << "one runs";
  Busy("small", 0, 1);
  executor_.Advance(3s);
  EXPECT_FALSE(Running()) << "one waits";
  Busy("small", 0, 0);
  executor_.Advance(kGuardInterval);
  EXPECT_TRUE(Running());
  Reply("x");
}

TEST_F(GuardTest, ItWaitsForWhatIsInFlightAnywhere) {
  Build();
  const auto slow = Handle(Ask("slow"));
  Answer("x");
  executor_.Advance(3s);
  EXPECT_EQ(backend_->runs.size(), 2u);
  backend_->runs[0].Say("y");
  backend_->runs[0].Finish();
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 3u) << "at once, without a timer";
  Reply("x");
  Reply("y");
  Samples("compared", 2);
  Exports("aio_guard_equal_total{intent=\"code\"} 2");
}

TEST_F(GuardTest, AnotherDeviceMayBeBusy) {
  const auto other = std::make_shared<ScriptedBackend>();
  Host("elsewhere", other, 4096, 50);
  other->views["elsewhere"].running = 3;
  parts_.costs.variants.push_back(VariantCost{1, 0});
  policy::Options o;
  o.variants = {{"small", 100}, {"large", 700}, {"elsewhere", 50}};
  o.small = "small";
  parts_.policy = *policy::Make("paper", o);
  Build();
  Answer("x");
  EXPECT_TRUE(Running());
  Reply("x");
}

TEST_F(GuardTest, OneRunAtATime) {
  Build();
  Busy("small", 1, 0);
  for (int i = 0; i < 3; ++i) Answer("x");
  Busy("small", 0, 0);
  executor_.Advance(10s);
  EXPECT_EQ(backend_->runs.size(), 4u);
  for (int i = 0; i < 3; ++i) Reply("x");
  EXPECT_EQ(backend_->runs.size(), 6u);
  Samples("compared", 3);
}

TEST_F(GuardTest, NoTimerRunsWhileNothingWaits) {
  Build();
  Answer("x");
  Reply("x");
  executor_.Advance(10s);
  const uint64_t posted = executor_.posted();
  executor_.Advance(60s);
  EXPECT_EQ(executor_.posted(), posted);
}

// ---- Giving way -------------------------------------------------------------

TEST_F(GuardTest, ItGivesWayToARequestAndComesBack) {
  Build();
  Answer("x");
  ASSERT_TRUE(Running());
  const std::string id = Last().request->id;
  Last().Say("ha");
  const auto sink = Handle(Ask("b"));
  EXPECT_EQ(backend_->cancels, std::vector<std::string>{id});
  ASSERT_EQ(backend_->runs.size(), 3u);
  EXPECT_EQ(backend_->runs[2].request->id, "b");
  backend_->runs[2].Say("y");
  backend_->runs[2].Finish();
  executor_.Run();
  Reply("x");  // the first sample from its begin
  Reply("y");
  Exports("aio_guard_equal_total{intent=\"code\"} 2");
  Samples("compared", 2);
}

TEST_F(GuardTest, WhatGaveWayTooOftenIsDropped) {
  Build();
  Answer("x");
  for (int i = 0; i < kGuardTriesMax; ++i) {
    ASSERT_TRUE(Running()) << i;
    Last();
    auto pinned = Ask("p" + std::to_string(i));
    pinned->model = "small";
    Answer("y", pinned);
  }
  executor_.Advance(5s);
  EXPECT_FALSE(Running());
  Samples("gave_way", 1);
}

// ---- Limits -----------------------------------------------------------------

TEST_F(GuardTest, NoMoreThanItsPlacesWait) {
  Build();
  Busy("large", 1, 0);
  for (size_t i = 0; i < kGuardWaitingMax + 3; ++i) Answer("x");
  Samples("full", 3);
  Busy("large", 0, 0);
  executor_.Advance(kGuardInterval);
  for (size_t i = 0; i < kGuardWaitingMax; ++i) Reply("x");
  Samples("compared", kGuardWaitingMax);
  EXPECT_FALSE(Running());
}

TEST_F(GuardTest, LongPromptsAndAnswersAreNotKept) {
  Build();
  Answer(std::string(kGuardBytesMax + 1, 'x'));
  auto request = Ask("a");
  request->messages[0].content.assign(kGuardBytesMax + 1, 'x');
  Answer("x", request);
  EXPECT_FALSE(Running());
  Samples("long", 2);
  Answer(std::string(kGuardBytesMax, 'x'));
  Reply(std::string(kGuardBytesMax + 1, 'x'));
  Samples("long", 3);
}

TEST_F(GuardTest, NothingIsKeptForLong) {
  Build();
  Busy("large", 1, 0);
  Answer("x");
  executor_.Advance(kGuardAge + 2 * kGuardInterval);
  Samples("expired", 1);
  Busy("large", 0, 0);
  executor_.Advance(10s);
  EXPECT_FALSE(Running());
}

TEST_F(GuardTest, NothingIsKeptForLongByADeviceThatIsNeverIdle) {
  Build();
  const auto slow = Handle(Ask("slow"));
  Answer("x");
  executor_.Advance(kGuardAge + 2 * kGuardInterval);
  Samples("expired", 1);
  backend_->runs[0].Fail(ErrorCode::kInternal);
  executor_.Run();
}

TEST_F(GuardTest, ARunThatTakesTooLongIsCancelled) {
  Build();
  Answer("x");
  ASSERT_TRUE(Running());
  executor_.Advance(kGuardAge + 2 * kGuardInterval);
  EXPECT_FALSE(Running());
  Samples("expired", 1);
  Exports("aio_guard_seconds_total 601");
}

// ---- Failures ---------------------------------------------------------------

TEST_F(GuardTest, AReferenceThatFailsEndsTheSample) {
  Build();
  Answer("x");
  Last().Fail(ErrorCode::kUnavailable);
  executor_.Advance(5s);
  EXPECT_FALSE(Running());
  Samples("failed", 1);
  EXPECT_EQ(Total("aio_failover_total"), 0);
  Answer("x");
  Reply("x");
  Samples("compared", 1);
}

TEST_F(GuardTest, AnUnhealthyReferenceIsLeftAlone) {
  Build();
  Answer("x");
  Reply("x");
  backend_->views["large"].healthy = false;
  Answer("x");
  executor_.Advance(5s);
  EXPECT_FALSE(Running());
}

TEST_F(GuardTest, TheOrchestratorMayGoWhileItRuns) {
  Build();
  Answer("x");
  ASSERT_TRUE(Running());
  const std::string id = Last().request->id;
  orchestrator_.reset();
  EXPECT_EQ(backend_->cancels, std::vector<std::string>{id});
  EXPECT_FALSE(Running());
  executor_.Advance(60s);
}

TEST_F(GuardTest, LateAnswersFindNobody) {
  Build();
  Answer("x");
  ASSERT_TRUE(Running());
  auto sink = std::move(Last().sink);
  orchestrator_.reset();
  core::Delta delta;
  delta.text = "late";
  sink->OnDelta(delta);
  sink->OnDone(core::Done{});
  executor_.Advance(60s);
}

// ---- The alarm --------------------------------------------------------------

class AlarmTest : public GuardTest {
 protected:
  void Compare(int times, const std::string& small, const std::string& large) {
    for (int i = 0; i < times; ++i) {
      Answer(small);
      Reply(large);
    }
  }
};

TEST_F(AlarmTest, IsOnFromEnoughSamplesUntilTheyAgreeAgain) {
  options_.guard.agreement_min = 0.5;
  Build();
  Compare(kGuardTrusted - 1, "left", "right");
  Exports("aio_guard_alarm{intent=\"code\"} 0");
  Compare(1, "left", "right");
  Exports("aio_guard_alarm{intent=\"code\"} 1");
  Exports("aio_guard_agreement_recent{intent=\"code\"} 0");
  Compare(kGuardTrusted - 1, "same", "same");
  Exports("aio_guard_alarm{intent=\"code\"} 1");
  Compare(1, "same", "same");
  Exports("aio_guard_alarm{intent=\"code\"} 0");
  Exports("aio_guard_agreement_recent{intent=\"code\"} 0.5");
}

TEST_F(AlarmTest, LooksAtTheLastOnesOnly) {
  Build();
  Compare(3 * kGuardRecent, "same", "same");
  Compare(kGuardRecent, "left", "right");
  Exports("aio_guard_agreement_recent{intent=\"code\"} 0");
}

TEST_F(AlarmTest, IsByIntent) {
  policy::Options o;
  o.variants = {{"small", 100}, {"large", 700}};
  parts_.policy = *policy::Make("static:small", o);
  Build();
  Compare(kGuardTrusted, "left", "right");
  text_ = Says(core::Label::kQa, 0.99);
  Compare(kGuardTrusted, "same", "same");
  Exports("aio_guard_alarm{intent=\"code\"} 1");
  Exports("aio_guard_alarm{intent=\"qa\"} 0");
}

}  // namespace
}  // namespace aio::orchestrator
