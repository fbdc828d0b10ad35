// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/orchestrator.h"

#include <boost/json.hpp>
#include <limits>
#include <set>

#include "core/echo_backend.h"
#include "orchestrator/decision_json.h"
#include "orchestrator/orchestrator_fixture.h"

namespace aio::orchestrator {
namespace {

// Sends each request where the fewest are; herds if views do not move.
class LeastLoaded : public policy::Policy {
 public:
  std::string_view name() const override { return "least"; }
  policy::Decision Decide(const policy::Input& input) const override {
    policy::Decision decision;
    int least = std::numeric_limits<int>::max();
    for (size_t i = 0; i < input.candidates.size(); ++i) {
      const auto& c = input.candidates[i];
      decision.why.push_back(c.unfit);
      if (!c.unfit.empty() || c.view.running + c.view.queued >= least) continue;
      least = c.view.running + c.view.queued;
      decision.candidate = static_cast<int>(i);
    }
    decision.reason = "least loaded";
    return decision;
  }
};

// ---- The plain path ---------------------------------------------------------

TEST_F(OrchestratorTest, AnswersThroughTheVariantThePolicyChose) {
  Build();
  auto sink = Handle(Ask("a"));
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "small");
  EXPECT_GT(backend_->runs[0].plan.output_tokens, 0);
  backend_->runs[0].Say("hello");
  backend_->runs[0].Finish();
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->text, "hello");
  EXPECT_EQ(sink->served->variant, "small");
  EXPECT_EQ(sink->served->intent, "code");
  EXPECT_EQ(sink->served->fingerprint, "scripted");
  EXPECT_NE(sink->served->reason.find("code, entropy"), std::string::npos);
  Exports("aio_requests_total{outcome=\"ok\",variant=\"small\"} 1");
  Exports("aio_route_total{intent=\"code\",variant=\"small\"} 1");
  Exports("aio_probe_total{state=\"text\"} 1");
  Exports("aio_ttft_seconds_count{variant=\"small\"} 1");
  Exports("aio_request_seconds_count{variant=\"small\"} 1");
}

TEST_F(OrchestratorTest, WorksWithTheEchoBackend) {
  auto echo = std::make_shared<core::EchoBackend>(&executor_);
  parts_.variants.clear();
  Host("echo", echo, 0, 0);
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->text, "one two three");
}

TEST_F(OrchestratorTest, HoldsTheHeadersUntilTheFirstDelta) {
  Build();
  auto sink = Handle(Ask("a"));
  auto& run = backend_->runs[0];
  run.sink->OnStart({"small", core::Strategy::kPlain, "f", "", "", 0});
  EXPECT_FALSE(sink->served.has_value());
  run.sink->OnDelta({});
  EXPECT_TRUE(sink->served.has_value());
  run.Finish();
}

TEST_F(OrchestratorTest, AnEmptyAnswerStillHasHeaders) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Finish(0);
  EXPECT_TRUE(sink->ok());
  ASSERT_TRUE(sink->served.has_value());
  EXPECT_EQ(sink->served->variant, "small");
}

TEST_F(OrchestratorTest, DrawsAMissingSeedAndReturnsIt) {
  Build();
  auto first = Handle(Ask("a")), second = Handle(Ask("b"));
  auto given = Ask("c");
  given->sampling.seed = ~uint64_t{0};
  auto third = Handle(given);
  std::set<uint64_t> seeds;
  for (auto& run : backend_->runs) {
    seeds.insert(run.plan.seed);
    run.Say("x");
    run.Finish();
  }
  EXPECT_EQ(seeds.size(), 3u);
  EXPECT_EQ(first->served->seed, backend_->runs[0].plan.seed);
  EXPECT_EQ(second->served->seed, backend_->runs[1].plan.seed);
  EXPECT_LT(first->served->seed, uint64_t{1} << 53);
  EXPECT_EQ(third->served->seed, ~uint64_t{0});
}

TEST_F(OrchestratorTest, HandsThePreparedPromptToItsVariant) {
  struct Mine : core::Prepared {};
  backend_->prepared = std::make_shared<Mine>();
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs[0].plan.prepared, backend_->prepared);
  backend_->runs[0].Finish();
}

// ---- Naming a variant -------------------------------------------------------

TEST_F(OrchestratorTest, TheModelFieldPinsAVariant) {
  Build();
  auto request = Ask("a");
  request->model = "large";
  auto sink = Handle(request);
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "large");
  EXPECT_EQ(backend_->peeks, 1);  // nobody else is asked
  backend_->runs[0].Finish();
  executor_.Run();
  EXPECT_EQ(sink->served->intent, "code");
  Exports("aio_probe_total{state=\"pinned\"} 1");
}

TEST_F(OrchestratorTest, TheHintPinsAVariantAndMayNotContradictTheModel) {
  Build();
  auto request = Ask("a");
  request->hints.variant = "large";
  auto sink = Handle(request);
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  backend_->runs[0].Finish();

  auto torn = Ask("b");
  torn->model = "small";
  torn->hints.variant = "large";
  auto refused = Handle(torn);
  EXPECT_EQ(refused->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused->result->error().param, "aio.variant");
}

TEST_F(OrchestratorTest, WhoWantsADeterministicAnswerGetsItElsewhereOrIsTold) {
  parts_.variants[0].deterministic = false;
  Build();
  auto sink = Handle(Ask("any"));
  ASSERT_EQ(backend_->runs.at(0).plan.variant, "small");
  backend_->runs[0].Finish();
  executor_.Run();
  EXPECT_FALSE(sink->served->deterministic);

  auto careful = Ask("careful");
  careful->hints.deterministic = true;
  sink = Handle(careful);
  ASSERT_EQ(backend_->runs.at(1).plan.variant, "large");
  backend_->runs[1].Finish();
  executor_.Run();
  EXPECT_TRUE(sink->served->deterministic);

  auto pinned = Ask("pinned");
  pinned->hints = careful->hints;
  pinned->model = "small";
  auto refused = Handle(pinned);
  EXPECT_EQ(refused->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused->result->error().param, "aio.deterministic");
  EXPECT_EQ(backend_->runs.size(), 2u);
}

TEST_F(OrchestratorTest, APinnedIntentSkipsTheProbes) {
  UseModelProbe();
  text_ = core::Intent{};
  Build();
  auto request = Ask("a");
  request->hints.intent = core::Label::kCode;
  auto sink = Handle(request);
  EXPECT_TRUE(probes_.empty());
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "small");
  backend_->runs[0].Finish();
  executor_.Run();
  Exports("aio_probe_total{state=\"pinned\"} 1");
}

TEST_F(OrchestratorTest, AnUnknownModelNamesTheNearestKnownOne) {
  Build();
  auto request = Ask("a");
  request->model = "smal";
  auto sink = Handle(request);
  EXPECT_EQ(sink->code(), ErrorCode::kNotFound);
  EXPECT_EQ(sink->result->error().param, "model");
  EXPECT_NE(sink->result->error().message.find("'small'"), std::string::npos);
  Exports("aio_requests_total{outcome=\"not_found\",variant=\"none\"} 1");
}

TEST_F(OrchestratorTest, AnUnknownNameIsQuotedWithoutControlCharacters) {
  Build();
  auto request = Ask("a");
  request->model = "x\r\nSet-Cookie: y\xff" + std::string(10000, 'z');
  auto sink = Handle(request);
  EXPECT_EQ(sink->code(), ErrorCode::kNotFound);
  const std::string& message = sink->result->error().message;
  EXPECT_EQ(message.find('\r'), std::string::npos);
  EXPECT_EQ(message.find('\xff'), std::string::npos);
  EXPECT_LT(message.size(), 400u);
}

TEST_F(OrchestratorTest, APromptTooLongForThePinnedVariantIsToldTheNumbers) {
  backend_->prompt_tokens = 5120;
  Build();
  auto request = Ask("a");
  request->model = "small";
  auto sink = Handle(request);
  EXPECT_EQ(sink->code(), ErrorCode::kInvalidArgument);
  const Error& error = sink->result->error();
  EXPECT_EQ(error.param, "messages");
  EXPECT_NE(error.message.find("5120"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("4096"), std::string::npos) << error.message;
}

TEST_F(OrchestratorTest, APromptTooLongForAllNamesTheLongestContext) {
  parts_.variants.clear();
  Host("small", backend_, 512, 100);
  Host("large", backend_, 4096, 700);
  backend_->prompt_tokens = 5120;
  Build();
  auto sink = Handle(Ask("a"));
  EXPECT_EQ(sink->code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(sink->result->error().message.find("4096"), std::string::npos);
}

TEST_F(OrchestratorTest, AnAnswerExpectedToBeTooLongGoesWhereThereIsRoom) {
  parts_.variants.clear();
  Host("small", backend_, 512, 100);
  Host("large", backend_, 4096, 700);
  backend_->prompt_tokens = 400;  // and 300 expected for code
  Build();
  auto roomy = Handle(Ask("a"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, "large");
  auto brief = Ask("b");
  brief->max_tokens = 50;
  auto fits = Handle(brief);
  EXPECT_EQ(backend_->runs.at(1).plan.variant, "small");
  for (auto& run : backend_->runs) run.Finish();
}

TEST_F(OrchestratorTest, WithoutRoomAnywhereThePromptAloneMustFit) {
  parts_.variants.clear();
  Host("small", backend_, 512, 100);
  Host("large", backend_, 512, 700);
  backend_->prompt_tokens = 400;
  Build();
  auto sink = Handle(Ask("a"));
  ASSERT_EQ(backend_->runs.size(), 1u);
  backend_->runs[0].Finish();
}

// ---- Overload and ids -------------------------------------------------------

TEST_F(OrchestratorTest, RefusesWhatExceedsTheLimitAndTakesMoreWhenOneEnds) {
  options_.requests_max = 2;
  Build();
  auto a = Handle(Ask("a")), b = Handle(Ask("b")), c = Handle(Ask("c"));
  EXPECT_EQ(c->code(), ErrorCode::kOverloaded);
  backend_->runs[0].Finish();
  executor_.Run();
  auto d = Handle(Ask("d"));
  EXPECT_EQ(d->dones, 0);
  backend_->runs[1].Finish();
  backend_->runs[2].Finish();
}

TEST_F(OrchestratorTest, RefusesAnIdThatIsInFlightAndTakesItAgainAfterwards) {
  Build();
  auto a = Handle(Ask("a")), twin = Handle(Ask("a"));
  EXPECT_EQ(twin->code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(a->dones, 0);
  backend_->runs[0].Finish();
  executor_.Run();
  auto again = Handle(Ask("a"));
  ASSERT_EQ(backend_->runs.size(), 2u);
  backend_->runs[1].Finish();
}

TEST_F(OrchestratorTest, ABurstDoesNotHerd) {
  parts_.policy = std::make_shared<LeastLoaded>();
  Build();
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 20; ++i) {
    auto sink = std::make_shared<CheckingSink>();
    orchestrator_->Handle(Ask(std::to_string(i)), sink);
    sinks.push_back(std::move(sink));
  }
  executor_.Run();  // the views have not moved meanwhile
  int small = 0;
  for (auto& run : backend_->runs) {
    small += run.plan.variant == "small";
    run.Finish();
  }
  EXPECT_EQ(small, 10);
}

TEST_F(OrchestratorTest, AViewThatHasCaughtUpIsNotCountedTwice) {
  parts_.policy = std::make_shared<LeastLoaded>();
  Build();
  backend_->on_start = [this](ScriptedBackend::Run& run) {
    core::Snapshot& view = backend_->views[run.plan.variant];
    ++view.running;
    ++view.admissions;
  };
  backend_->views["small"].running = 3;
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 5; ++i) sinks.push_back(Handle(Ask(std::to_string(i))));
  int small = 0;
  for (auto& run : backend_->runs) {
    small += run.plan.variant == "small";
    run.Finish();
  }
  EXPECT_EQ(small, 1);  // large takes 3, then they alternate from small
}

// ---- Explaining -------------------------------------------------------------

TEST_F(OrchestratorTest, ExplainsByTheSameCodeAndRunsNothing) {
  Build();
  const Result<Explanation> e = Route(Ask("r"));
  ASSERT_TRUE(e) << e.error().message;
  EXPECT_EQ(e->variant, "small");
  EXPECT_EQ(e->probe, "text");
  EXPECT_EQ(e->intent.Best(), core::Label::kCode);
  ASSERT_EQ(e->candidates.size(), 2u);
  EXPECT_EQ(e->candidates[0].why, e->reason);
  EXPECT_FALSE(e->candidates[1].why.empty());
  EXPECT_EQ(e->candidates[0].estimate.prompt_tokens, 10);
  EXPECT_TRUE(backend_->runs.empty());
  EXPECT_EQ(Total("aio_requests_total"), 0);
  auto sink = Handle(Ask("r"));
  EXPECT_EQ(backend_->runs.at(0).plan.variant, e->variant);
  backend_->runs[0].Say("");
  EXPECT_EQ(sink->served->reason, e->reason);
  backend_->runs[0].Finish();
}

TEST_F(OrchestratorTest, ExplainsTheExpectedQualityWhereATableKnowsIt) {
  constexpr size_t kCode = static_cast<size_t>(core::Label::kCode);
  parts_.quality["small"][kCode] = core::Quality{0.8, 0.7, 0.9, 100};
  parts_.decision_log = [this](std::string line) { lines_.push_back(line); };
  Build();
  const Result<Explanation> e = Route(Ask("r"));
  ASSERT_TRUE(e);
  ASSERT_TRUE(e->candidates[0].quality);
  EXPECT_NEAR(*e->candidates[0].quality, 0.8, 1e-12);
  EXPECT_FALSE(e->candidates[1].quality);
  Handle(Ask("r"));
  backend_->runs.at(0).Finish();
  executor_.Run();
  // What a policy may have decided by is in the log.
  EXPECT_NE(lines_.at(0).find("\"quality\":\"" + HexFloat(0.8)),
            std::string::npos)
      << lines_.at(0);
}

TEST_F(OrchestratorTest, ExplainsWhyNobodyCanServe) {
  backend_->prompt_tokens = 9999;
  Build();
  const Result<Explanation> e = Route(Ask("r"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->variant, "");
  EXPECT_NE(e->candidates[0].why.find("9999"), std::string::npos);
}

TEST_F(OrchestratorTest, AnUnknownModelCannotBeExplained) {
  Build();
  auto request = Ask("r");
  request->model = "larg";
  EXPECT_EQ(Route(request).error().code, ErrorCode::kNotFound);
}

// ---- Learning and the log ---------------------------------------------------

TEST_F(OrchestratorTest, LearnsFromOutcomes) {
  Build();
  for (int i = 0; i < 50; ++i) {
    auto sink = Handle(Ask(std::to_string(i)));
    auto& run = backend_->runs.back();
    executor_.Advance(100ms);  // 10 prompt tokens
    run.Say("x");
    executor_.Advance(380ms);  // 19 steps
    run.Finish(20);
    executor_.Run();
  }
  const Result<Explanation> e = Route(Ask("r"));
  const cost::Estimate& estimate = e->candidates[0].estimate;
  EXPECT_NEAR(estimate.prefill_seconds, 0.1, 1e-6);
  EXPECT_NEAR(estimate.seconds_per_token, 0.02, 1e-6);
  EXPECT_LT(estimate.output_tokens, 60);  // from 300
}

TEST_F(ProbeTest, MeasuresWhatSensingTook) {
  parts_.text_probe = [this](const core::Request&) {
    executor_.Advance(2ms);
    return text_;
  };
  Build();
  auto sink = Handle(Ask("a"));
  executor_.Advance(15ms);
  probes_.at(0)(Says(core::Label::kCode, 0.99));
  executor_.Run();
  executor_.Advance(40ms);  // the answer's own time
  backend_->runs.at(0).Finish();
  executor_.Run();
  EXPECT_EQ(sink->served->probe, 17ms);
  EXPECT_NE(lines_.at(0).find("\"probe_ns\":17000000"), std::string::npos);
}

TEST_F(ProbeTest, AProbeThatIsLateHasTakenItsDeadline) {
  Build();
  auto sink = Handle(Ask("a"));
  executor_.Advance(100ms);
  backend_->runs.at(0).Finish();
  executor_.Run();
  EXPECT_EQ(sink->served->probe, 100ms);
}

// Reads the inputs back from the line alone and decides again.
TEST_F(ProbeTest, ADecisionIsReplayedBitForBitFromItsLine) {
  Build();
  auto sink = Handle(Ask("a\x01\xff"));
  probes_.at(0)(Says(core::Label::kCode, 1 / 3.0));
  executor_.Run();
  backend_->runs.at(0).Fail(ErrorCode::kUnavailable);
  executor_.Run();
  backend_->runs.at(1).Finish();
  executor_.Run();
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = boost::json::parse(lines_[0]).as_object();
  EXPECT_EQ(line.at("probe").as_string(), "model");
  const auto& rounds = line.at("rounds").as_array();
  ASSERT_EQ(rounds.size(), 3u);  // ask, large, and small after it failed
  for (const auto& value : rounds) {
    const auto kept = InputOf(value.at("input").as_object());
    const auto decided = DecisionOf(value.at("decision").as_object());
    ASSERT_TRUE(kept) << kept.error().message;
    ASSERT_TRUE(decided) << decided.error().message;
    const policy::Decision again = parts_.policy->Decide((*kept)->input);
    EXPECT_EQ(again.ask, decided->ask);
    EXPECT_EQ(again.candidate, decided->candidate);
    EXPECT_EQ(again.reason, decided->reason);
    // And all of it is there.
    EXPECT_EQ(ToJson((*kept)->input), value.at("input"));
  }
  EXPECT_EQ(line.at("outcome").at("variant").as_string(), "small");
  EXPECT_EQ(line.at("outcome").at("attempts").as_int64(), 2);
}

TEST(DecisionLogTest, HexFloatsKeepEveryBit) {
  for (const double x : {0.0, 1 / 3.0, 0.45, 1e-310, -2.5, 1e300}) {
    EXPECT_EQ(std::strtod(HexFloat(x).c_str(), nullptr), x);
  }
}

TEST_F(OrchestratorTest, TheLogHoldsNoPrompt) {
  Build();
  auto sink = Handle(Ask("a"));
  backend_->runs[0].Finish();
  executor_.Run();
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0].find("two"), std::string::npos);
  EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
}

}  // namespace
}  // namespace aio::orchestrator
