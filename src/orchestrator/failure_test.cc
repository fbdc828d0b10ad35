// SPDX-License-Identifier: Apache-2.0
//
// Everything that goes wrong between Handle and OnDone: backends, probes,
// clients that leave, an orchestrator that goes first.
#include <limits>

#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

// ---- Failures ---------------------------------------------------------------

TEST_F(OrchestratorTest, AFailureBeforeTheFirstDeltaIsRetriedElsewhere) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].sink->OnStart({"small", {}, "f", "", "", 0});
  backend_->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 2u);
  EXPECT_EQ(sink->dones, 0);
  EXPECT_EQ(backend_->runs[1].plan.variant, "large");
  EXPECT_EQ(backend_->runs[1].plan.seed, backend_->runs[0].plan.seed);
  backend_->runs[1].Say("saved");
  backend_->runs[1].Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->served->variant, "large");
  EXPECT_EQ(sink->text, "saved");
  Exports("aio_failover_total{variant=\"large\"} 1");
  Exports("aio_requests_total{outcome=\"ok\",variant=\"large\"} 1");
}

TEST_F(OrchestratorTest, AFailureInsideStartIsRetriedToo) {
  Build();
  backend_->on_start = [](ScriptedBackend::Run& run) {
    if (run.plan.variant == "small") run.Fail(ErrorCode::kOverloaded);
  };
  auto sink = Handle(Ask("a"));
  ASSERT_EQ(backend_->runs.size(), 2u);
  backend_->runs[1].Finish();
  EXPECT_TRUE(sink->ok());
}

TEST_F(OrchestratorTest, AFailureAfterTheFirstDeltaIsTheAnswer) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Say("half");
  backend_->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(sink->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(sink->text, "half");
}

TEST_F(OrchestratorTest, TheClientsOwnErrorIsNotRetried) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Fail(ErrorCode::kInvalidArgument);
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(sink->code(), ErrorCode::kInvalidArgument);
}

TEST_F(OrchestratorTest, WhenAllHaveFailedTheClientGetsAnErrorOnce) {
  Build();
  backend_->on_start = [](ScriptedBackend::Run& run) {
    run.Fail(run.plan.variant == "small" ? ErrorCode::kUnavailable
                                         : ErrorCode::kOverloaded);
  };
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.size(), 2u);
  EXPECT_EQ(sink->code(), ErrorCode::kOverloaded);  // says: retry later
  EXPECT_EQ(Total("aio_requests_total"), 1);
}

TEST_F(OrchestratorTest, APinnedVariantThatFailsIsNotReplaced) {
  Build();
  auto request = Ask("a");
  request->model = "small";
  auto sink = Handle(request);
  backend_->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(sink->code(), ErrorCode::kUnavailable);
}

TEST_F(OrchestratorTest, ABackendThatDropsItsSinkHasFailed) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].sink.reset();
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 2u);
  backend_->runs[1].Say("x");
  backend_->runs[1].sink.reset();
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kInternal);
}

TEST_F(OrchestratorTest, ABackendThatSpeaksAfterItsEndIsIgnored) {
  Build();
  auto sink = Handle(Ask("a"));
  auto rude = backend_->runs[0].sink;
  backend_->runs[0].Say("x");
  backend_->runs[0].Finish();
  rude->OnDelta({});
  rude->OnDone(Error{ErrorCode::kInternal, "again", ""});
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(Total("aio_requests_total"), 1);
}

TEST_F(OrchestratorTest, AnUnhealthyVariantIsLeftOut) {
  backend_->views["small"].healthy = false;
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();
  backend_->views["large"].healthy = false;
  auto none = Handle(Ask("b"));
  EXPECT_EQ(none->code(), ErrorCode::kUnavailable);
}

TEST_F(OrchestratorTest, AFailedPeekLeavesThatCandidateOut) {
  backend_->peek_errors = {
      {"small", Error{ErrorCode::kUnavailable, "down\r\nX-Evil: 1", ""}}};
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();
  EXPECT_EQ(sink->served->reason.find('\n'), std::string::npos);
  EXPECT_NE(sink->served->reason.find("down"), std::string::npos);
}

TEST_F(OrchestratorTest, AnErrorThatEveryPeekGivesIsTheClients) {
  const Error error{ErrorCode::kInvalidArgument, "cannot render", "messages"};
  backend_->peek_errors = {{"small", error}, {"large", error}};
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(sink->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(sink->result->error().message, "cannot render");
  EXPECT_EQ(sink->result->error().param, "messages");
}

TEST_F(OrchestratorTest, ADeadBackendDoesNotHoldUpTheOthers) {
  auto dead = std::make_shared<ScriptedBackend>();
  dead->hold_peeks = true;
  parts_.variants.clear();
  Host("small", dead, 4096, 100);
  Host("large", backend_, 4096, 700);
  options_.peek_deadline = 1s;
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_TRUE(backend_->runs.empty());
  executor_.Advance(1s);
  ASSERT_EQ(backend_->runs.size(), 1u);
  dead->held_peeks[0](core::PromptSize{});  // too late; harmless
  executor_.Run();
  backend_->runs[0].Finish();
  EXPECT_TRUE(sink->ok());
}

// ---- The model probe --------------------------------------------------------

TEST_F(ProbeTest, AsksTheModelOnlyWhereTheTextLeavesDoubt) {
  struct Mine : core::Prepared {};
  backend_->prepared = std::make_shared<Mine>();
  Build();
  auto sink = Handle(Ask("a"));
  ASSERT_EQ(probes_.size(), 1u);
  EXPECT_TRUE(backend_->runs.empty());
  EXPECT_EQ(probe_prepared_, backend_->prepared);
  EXPECT_EQ(probe_deadline_, executor_.Now() + 100ms);
  probes_[0](Says(core::Label::kCode, 0.99, core::IntentSource::kModel));
  executor_.Run();
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "small");
  EXPECT_TRUE(backend_->cancels.empty());  // the KV that it kept will serve
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"model\"} 1");

  text_ = Says(core::Label::kCode, 0.99);
  auto sure = Handle(Ask("b"));
  EXPECT_EQ(probes_.size(), 1u);
  backend_->runs[1].Finish();
}

TEST_F(ProbeTest, DropsWhatTheProbeKeptIfAnotherVariantAnswers) {
  Build();
  auto sink = Handle(Ask("a"));
  probes_.at(0)(Says(core::Label::kMath, 0.99));
  executor_.Run();
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  EXPECT_EQ(backend_->cancels, std::vector<std::string>{"a"});
  EXPECT_EQ(sink->dones, 0);
  backend_->runs[0].Finish();
}

TEST_F(ProbeTest, ALateProbeIsCountedAndTheBestVariantAnswers) {
  Build();
  auto sink = Handle(Ask("a"));
  executor_.Advance(99ms);
  EXPECT_TRUE(backend_->runs.empty());
  executor_.Advance(1ms);
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "large");
  probes_[0](Says(core::Label::kCode, 0.99));  // too late; changes nothing
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u);
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"timed_out\"} 1");
}

TEST_F(ProbeTest, AProbeThatReportsTheDeadlineItselfIsCountedAlike) {
  Build();
  auto sink = Handle(Ask("a"));
  probes_.at(0)(Error{ErrorCode::kDeadline, "late", ""});
  executor_.Run();
  backend_->runs.at(0).Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"timed_out\"} 1");
}

TEST_F(ProbeTest, AFailedProbeIsCountedAndTheBestVariantAnswers) {
  Build();
  auto sink = Handle(Ask("a"));
  probes_.at(0)(Error{ErrorCode::kUnavailable, "down", ""});
  executor_.Run();
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"failed\"} 1");
}

TEST_F(ProbeTest, NumbersThatAreNoDistributionAreAFailure) {
  Build();
  auto sink = Handle(Ask("a"));
  core::Intent bad;
  bad.probabilities[0] = std::numeric_limits<double>::quiet_NaN();
  probes_.at(0)(bad);
  executor_.Run();
  backend_->runs.at(0).Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"failed\"} 1");
}

TEST_F(OrchestratorTest, ATextProbeThatReturnsNonsenseIsNotBelieved) {
  text_.probabilities.fill(std::numeric_limits<double>::quiet_NaN());
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"skipped\"} 1");
}

TEST_F(OrchestratorTest, WithoutProbesTheStateIsSkippedAndTheBestAnswers) {
  parts_.text_probe = nullptr;
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"skipped\"} 1");
}

TEST_F(ProbeTest, EveryRequestIsCountedInExactlyOneProbeState) {
  options_.requests_max = 6;
  Build();
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  auto unknown = Ask("u");
  unknown->model = "nope";
  sinks.push_back(Handle(unknown));
  for (int i = 0; i < 8; ++i) {  // two of them too many
    auto request = Ask(std::to_string(i));
    if (i == 0) request->model = "large";
    if (i == 1) request->hints.intent = core::Label::kQa;
    sinks.push_back(Handle(request));
  }
  ASSERT_EQ(probes_.size(), 4u);
  probes_[0](Says(core::Label::kCode, 0.99));
  probes_[1](Error{ErrorCode::kUnavailable, "down", ""});
  orchestrator_->Cancel("4");
  executor_.Advance(1s);
  for (auto& run : backend_->runs) {
    if (run.sink) run.Finish();
  }
  executor_.Run();
  for (auto& sink : sinks) EXPECT_EQ(sink->dones, 1);
  EXPECT_EQ(Total("aio_probe_total"), 9);
  EXPECT_EQ(Total("aio_requests_total"), 9);
}

// ---- Cancel -----------------------------------------------------------------

TEST_F(OrchestratorTest, CancelsWhilePeeking) {
  backend_->hold_peeks = true;
  Build();
  auto sink = Handle(Ask("a"));
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  for (auto& done : backend_->held_peeks) done(core::PromptSize{});
  executor_.Advance(10s);
  EXPECT_TRUE(backend_->runs.empty());
}

TEST_F(ProbeTest, CancelsWhileProbing) {
  Build();
  auto sink = Handle(Ask("a"));
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  EXPECT_EQ(backend_->cancels, std::vector<std::string>{"a"});
  probes_.at(0)(Says(core::Label::kCode, 0.99));
  executor_.Advance(10s);
  EXPECT_TRUE(backend_->runs.empty());
}

TEST_F(OrchestratorTest, CancelsWhileRunning) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Say("x");
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  Exports("aio_requests_total{outcome=\"cancelled\",variant=\"small\"} 1");
}

TEST_F(OrchestratorTest, CancelsBetweenAFailureAndItsRetry) {
  Build();
  auto sink = Handle(Ask("a"));
  orchestrator_->Cancel("a");  // posted before the failure is
  backend_->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
}

TEST_F(OrchestratorTest, CancelsAtOnceAfterHandle) {
  Build();
  auto sink = std::make_shared<CheckingSink>();
  orchestrator_->Handle(Ask("a"), sink);
  orchestrator_->Cancel("a");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
}

TEST_F(OrchestratorTest, CancellingAnUnknownOrFinishedRequestDoesNothing) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Finish();
  executor_.Run();
  orchestrator_->Cancel("a");
  orchestrator_->Cancel("nobody");
  executor_.Run();
  EXPECT_TRUE(sink->ok());
}

// ---- Lifetime ---------------------------------------------------------------

TEST_F(ProbeTest, DestructionCancelsWhatHasNotStartedAndLateCallsAreHarmless) {
  Build();
  auto probing = Handle(Ask("probing"));
  backend_->hold_peeks = true;
  auto peeking = Handle(Ask("peeking"));
  auto posted = std::make_shared<CheckingSink>();
  orchestrator_->Handle(Ask("posted"), posted);
  std::optional<Result<Explanation>> explained;
  orchestrator_->Route(Ask("r"), [&](Result<Explanation> e) { explained = e; });
  orchestrator_.reset();
  EXPECT_EQ(probing->code(), ErrorCode::kCancelled);
  EXPECT_EQ(peeking->code(), ErrorCode::kCancelled);
  for (auto& done : backend_->held_peeks) done(core::PromptSize{});
  for (auto& done : probes_) done(Says(core::Label::kCode, 0.99));
  executor_.Advance(10s);
  EXPECT_EQ(posted->code(), ErrorCode::kCancelled);
  ASSERT_TRUE(explained.has_value());
  EXPECT_EQ(explained->error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(backend_->runs.empty());
}

TEST_F(OrchestratorTest, WhatRunsGoesOnToItsEndWithoutTheOrchestrator) {
  Build();
  auto ends = Handle(Ask("a")), fails = Handle(Ask("b"));
  orchestrator_.reset();
  backend_->runs[0].Say("x");
  backend_->runs[0].Finish();
  backend_->runs[1].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_TRUE(ends->ok());
  EXPECT_EQ(fails->code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace aio::orchestrator
