// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/orchestrator.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>
#include <set>

#include "base/log.h"
#include "base/manual_executor.h"
#include "core/echo_backend.h"
#include "orchestrator/decision_log.h"
#include "orchestrator/scripted_backend.h"
#include "policy/policies.h"

namespace aio::orchestrator {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

core::Intent Says(core::Label label, double p,
                  core::IntentSource source = core::IntentSource::kText) {
  core::Intent intent;
  intent.probabilities.fill((1 - p) / (core::kLabels - 1));
  intent.probabilities[static_cast<size_t>(label)] = p;
  intent.source = source;
  return intent;
}

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

// small and large on one scripted backend, the paper's policy.
class OrchestratorTest : public testing::Test {
 protected:
  OrchestratorTest() {
    SetLogLevel(LogLevel::kOff);
    parts_.executor = &executor_;
    parts_.metrics = &metrics_;
    Host("small", backend_, 4096, 100);
    Host("large", backend_, 4096, 700);
    parts_.random_seed = 42;
    parts_.text_probe = [this](const core::Request&) { return text_; };
    parts_.decision_log = [this](std::string line) {
      lines_.push_back(std::move(line));
    };
    options_.probe_deadline = 100ms;
  }

  void Host(const std::string& name, std::shared_ptr<core::Backend> backend,
            int context, int64_t bytes) {
    parts_.variants.push_back({name, std::move(backend), context, bytes, 0});
  }
  void UseModelProbe() {
    parts_.model_probe_variant = "small";
    parts_.model_probe = [this](auto, auto prepared, Time deadline,
                                ModelProbeDone done) {
      probe_prepared_ = std::move(prepared);
      probe_deadline_ = deadline;
      probes_.push_back(std::move(done));
    };
  }
  void Build() {
    if (!parts_.policy) {
      policy::Options o;
      for (const auto& v : parts_.variants) {
        o.variants.push_back({v.name, v.bytes_per_token});
      }
      parts_.policy = *policy::Make("paper", o);
    }
    orchestrator_.emplace(parts_, options_);
  }
  std::shared_ptr<core::Request> Ask(const std::string& id) {
    auto request = std::make_shared<core::Request>();
    request->id = id;
    request->model = "auto";
    request->messages = {{core::Role::kUser, "one two three"}};
    return request;
  }
  std::shared_ptr<CheckingSink> Handle(std::shared_ptr<core::Request> request) {
    auto sink = std::make_shared<CheckingSink>();
    orchestrator_->Handle(std::move(request), sink);
    executor_.Run();
    return sink;
  }
  Result<Explanation> Route(std::shared_ptr<core::Request> request) {
    std::optional<Result<Explanation>> answer;
    orchestrator_->Route(std::move(request), [&](Result<Explanation> e) {
      EXPECT_FALSE(answer.has_value()) << "explained twice";
      answer = std::move(e);
    });
    executor_.Run();
    CHECK(answer.has_value());
    return *answer;
  }
  bool Exports(const std::string& line) {
    const bool found = metrics_.Export().find(line + "\n") != std::string::npos;
    EXPECT_TRUE(found) << line << " is not in\n" << metrics_.Export();
    return found;
  }
  // The sum of all series of a counter.
  double Total(const std::string& name) {
    std::istringstream in(metrics_.Export());
    double sum = 0;
    for (std::string line; std::getline(in, line);) {
      if (line.rfind(name + "{", 0) == 0) {
        sum += std::stod(line.substr(line.rfind(' ')));
      }
    }
    return sum;
  }

  ManualExecutor executor_;
  Metrics metrics_;
  std::shared_ptr<ScriptedBackend> backend_ =
      std::make_shared<ScriptedBackend>();
  core::Intent text_ = Says(core::Label::kCode, 0.99);
  Parts parts_;
  Options options_;
  std::vector<ModelProbeDone> probes_;
  std::shared_ptr<const core::Prepared> probe_prepared_;
  Time probe_deadline_{};
  std::vector<std::string> lines_;
  std::optional<Orchestrator> orchestrator_;
};

// ---- The plain path ---------------------------------------------------------

TEST_F(OrchestratorTest, AnswersThroughTheVariantThePolicyChose) {
  Build();
  auto sink = Handle(Ask("a"));
  ASSERT_EQ(backend_->runs.size(), 1u);
  EXPECT_EQ(backend_->runs[0].plan.variant, "small");
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

class ProbeTest : public OrchestratorTest {
 protected:
  ProbeTest() {
    UseModelProbe();
    text_ = Says(core::Label::kCode, 0.5);  // leaves doubt
  }
};

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
  const auto number = [](const boost::json::value& v) {
    return std::strtod(v.as_string().c_str(), nullptr);
  };
  for (const auto& value : rounds) {
    const auto& round = value.as_object();
    policy::Input input;
    input.random = number(round.at("random"));
    input.can_ask = round.at("can_ask").as_bool();
    const auto& p = round.at("intent").at("probabilities").as_array();
    for (size_t i = 0; i < core::kLabels; ++i) {
      input.intent.probabilities[i] = number(p[i]);
    }
    for (const auto& c : round.at("candidates").as_array()) {
      policy::Candidate candidate;
      candidate.variant = c.at("variant").as_string();
      candidate.unfit = c.at("unfit").as_string();
      candidate.bytes_per_token = c.at("bytes_per_token").as_int64();
      candidate.estimate.context_tokens =
          static_cast<int>(c.at("estimate").at("context_tokens").as_int64());
      input.candidates.push_back(candidate);
    }
    const policy::Decision again = parts_.policy->Decide(input);
    EXPECT_EQ(again.ask, round.at("ask").as_bool());
    EXPECT_EQ(again.candidate, round.at("candidate").as_int64());
    EXPECT_EQ(again.reason, round.at("reason").as_string());
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
