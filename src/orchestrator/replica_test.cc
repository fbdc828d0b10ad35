// SPDX-License-Identifier: Apache-2.0
//
// Several backends that serve one variant: who is chosen, what a failure of one
// of them means, and how often it may be tried again elsewhere.
#include <set>

#include "orchestrator/orchestrator_fixture.h"
#include "orchestrator/retry_budget.h"

namespace aio::orchestrator {
namespace {

class ReplicaTest : public OrchestratorTest {
 protected:
  // `small`, which is ours, and `count` replicas of `large`, which are not.
  void BuildReplicas(int count) {
    core::Variant small = parts_.variants[0];
    parts_.variants = {small};
    for (int i = 0; i < count; ++i) {
      backends_.push_back(std::make_shared<ScriptedBackend>());
      core::Variant large;
      large.name = "large";
      large.replica = "r" + std::to_string(i);
      large.backend = backends_.back();
      large.passes = true;
      large.features = core::kUpstreamFeatures;
      large.bytes_per_token = 700;
      parts_.variants.push_back(std::move(large));
    }
    policy::Options o;
    o.variants = {{"small", 100}, {"large", 700}};
    parts_.policy = *policy::Make("static:large", o);
    Build();
  }
  std::shared_ptr<CheckingSink> Send(int number) {
    return Handle(Ask("q" + std::to_string(number)));
  }
  // Everything that is due within `d`.
  void Wait(Duration d) { executor_.Advance(d); }
  size_t Runs(size_t replica) const { return backends_[replica]->runs.size(); }
  // The backends that have a request which has not ended.
  std::vector<size_t> Busy() const {
    std::vector<size_t> busy;
    for (size_t i = 0; i < backends_.size(); ++i) {
      for (const auto& run : backends_[i]->runs) {
        if (run.sink) busy.push_back(i);
      }
    }
    return busy;
  }
  void FinishAll() {
    for (const auto& backend : backends_) {
      for (auto& run : backend->runs) {
        if (run.sink) run.Finish();
      }
    }
    executor_.Run();
  }

  std::vector<std::shared_ptr<ScriptedBackend>> backends_;
};

TEST_F(ReplicaTest, EqualReplicasAreDrawnNotTakenInOrder) {
  BuildReplicas(3);
  for (int i = 0; i < 60; ++i) {
    Send(i);
    FinishAll();
  }
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_GT(Runs(r), 8u) << r;
    EXPECT_LT(Runs(r), 35u) << r;
  }
}

TEST_F(ReplicaTest, ABurstSpreadsOverThem) {
  BuildReplicas(3);
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 9; ++i) sinks.push_back(Send(i));
  for (size_t r = 0; r < 3; ++r) EXPECT_EQ(Runs(r), 3u) << r;
  FinishAll();
}

TEST_F(ReplicaTest, OneThatHasSeenThePromptIsWorthARequestMore) {
  BuildReplicas(2);
  for (const auto& backend : backends_) backend->prompt_tokens = 1000;
  backends_[1]->cached_tokens = 1000;
  const auto first = Send(0);
  EXPECT_EQ(Runs(1), 1u);
  std::vector<std::shared_ptr<CheckingSink>> more;
  for (int i = 1; i <= 3; ++i) more.push_back(Send(i));
  EXPECT_GE(Runs(0), 1u) << "it is not worth any number";
  FinishAll();
}

TEST_F(ReplicaTest, AFailureIsTriedOnAnotherReplicaOfTheSame) {
  BuildReplicas(2);
  auto sink = Send(0);
  const size_t first = Busy().at(0);
  backends_[first]->runs[0].Fail(ErrorCode::kUnavailable);
  Wait(std::chrono::seconds(1));
  ASSERT_EQ(Busy().size(), 1u);
  EXPECT_NE(Busy()[0], first);
  FinishAll();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(sink->served->variant, "large");
}

TEST_F(ReplicaTest, WaitsBeforeItTriesAgain) {
  BuildReplicas(2);
  auto sink = Send(0);
  backends_[Busy().at(0)]->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  EXPECT_TRUE(Busy().empty());
  Wait(std::chrono::milliseconds(50));
  EXPECT_EQ(Busy().size(), 1u);
  FinishAll();
}

TEST_F(ReplicaTest, AClientThatLeavesWhileItWaitsIsNotServed) {
  BuildReplicas(2);
  auto sink = Send(0);
  backends_[Busy().at(0)]->runs[0].Fail(ErrorCode::kUnavailable);
  executor_.Run();
  orchestrator_->Cancel("q0");
  Wait(std::chrono::seconds(1));
  EXPECT_TRUE(Busy().empty());
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
}

TEST_F(ReplicaTest, APlaceWithNothingInItIsNoCandidate) {
  BuildReplicas(2);
  core::Snapshot nothing;
  nothing.present = false;
  backends_[0]->views["large"] = nothing;
  const auto why = Route(Ask("a"));
  ASSERT_TRUE(why);
  EXPECT_EQ(why->candidates.size(), 2u);
  for (int i = 0; i < 10; ++i) {
    Send(i);
    FinishAll();
  }
  EXPECT_EQ(Runs(1), 10u);
}

TEST_F(ReplicaTest, AFullOneIsLeftAlone) {
  BuildReplicas(2);
  core::Snapshot full;
  full.full = true;
  backends_[0]->views["large"] = full;
  for (int i = 0; i < 10; ++i) {
    Send(i);
    FinishAll();
  }
  EXPECT_EQ(Runs(1), 10u);
}

TEST_F(ReplicaTest, ARequestThatNamesTheVariantMayGoToAnyOfThem) {
  BuildReplicas(3);
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 6; ++i) {
    auto request = Ask("q" + std::to_string(i));
    request->model = "large";
    sinks.push_back(Handle(request));
  }
  for (size_t r = 0; r < 3; ++r) EXPECT_EQ(Runs(r), 2u) << r;
  FinishAll();
}

TEST_F(ReplicaTest, WhatOnlyAnUpstreamKnowsGoesThereOrIsRefusedByName) {
  BuildReplicas(1);
  auto request = Ask("a");
  request->foreign = Error{ErrorCode::kUnsupported, "no 'tools' here", "tools"};
  request->needs |= core::Bit(core::Feature::kTools);
  const auto sink = Handle(request);
  EXPECT_EQ(Busy().size(), 1u);
  FinishAll();
  EXPECT_TRUE(sink->ok());

  auto pinned = std::make_shared<core::Request>(*request);
  pinned->id = "b";
  pinned->model = "small";
  const auto refused = Handle(pinned);
  EXPECT_EQ(refused->code(), ErrorCode::kUnsupported);
  EXPECT_EQ(refused->result->error().param, "tools");
}

TEST_F(ReplicaTest, OneThatSpoilsToolCallsGetsNone) {
  core::Variant small = parts_.variants[0];
  BuildReplicas(1);
  parts_.variants[1].features &= ~core::Bit(core::Feature::kTools);
  Build();
  auto request = Ask("a");
  request->foreign = Error{ErrorCode::kUnsupported, "no 'tools' here", "tools"};
  request->needs |= core::Bit(core::Feature::kTools);
  const auto sink = Handle(request);
  EXPECT_EQ(sink->code(), ErrorCode::kUnsupported);
}

// Attempts beyond the first are a tenth of the requests, and a few.
TEST_F(ReplicaTest, RetriesAreATenthOfTheRequestsAndAFew) {
  options_.requests_max = 1000;
  BuildReplicas(2);
  size_t attempts = 0;
  constexpr int kRequests = 400;
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < kRequests; ++i) {
    auto request = Ask("q" + std::to_string(i));
    request->model = "large";
    sinks.push_back(Handle(request));
    for (int again = 0; again < 4; ++again) {
      for (const auto& backend : backends_) {
        for (auto& run : backend->runs) {
          if (run.sink) run.Fail(ErrorCode::kUnavailable);
        }
      }
      Wait(std::chrono::seconds(1));
    }
  }
  attempts = Runs(0) + Runs(1);
  EXPECT_GT(attempts, kRequests * 1.09);
  EXPECT_LE(attempts, kRequests * 1.1 + RetryBudget::kBurst);
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_EQ(sinks[i]->code(), ErrorCode::kUnavailable) << i;
  }
}

// ---- Waiting and draining ---------------------------------------------------

class WaitingTest : public ReplicaTest {
 protected:
  // One replica that takes two at once.
  void BuildFull() {
    options_.requests_max = 1000;
    BuildReplicas(1);
    parts_.variants.erase(parts_.variants.begin());
    policy::Options o;
    o.variants = {{"large", 700}};
    parts_.policy = *policy::Make("static:large", o);
    Build();
  }
  void Fill(bool full) {
    core::Snapshot view;
    view.full = full;
    backends_[0]->views["large"] = view;
  }
  std::shared_ptr<CheckingSink> SendAs(uint64_t tenant, int number) {
    auto request =
        Ask("t" + std::to_string(tenant) + "q" + std::to_string(number));
    request->tenant = tenant;
    request->max_tokens = 100;
    return Handle(request);
  }
  uint64_t LastTenant() const {
    return backends_[0]->runs.back().request->tenant;
  }
};

TEST_F(WaitingTest, WhoeverFindsAllFullWaitsAndIsServedWhenOneIsFree) {
  BuildFull();
  Fill(true);
  const auto sink = SendAs(1, 0);
  Wait(std::chrono::seconds(10));
  EXPECT_EQ(Runs(0), 0u);
  EXPECT_EQ(sink->dones, 0);
  Exports("aio_waiting 1");
  Fill(false);
  Wait(std::chrono::milliseconds(50));
  EXPECT_EQ(Runs(0), 1u);
  FinishAll();
  EXPECT_TRUE(sink->ok());
  Exports("aio_waiting 0");
}

TEST_F(WaitingTest, TheEndOfOneLetsTheNextIn) {
  BuildFull();
  const auto first = SendAs(1, 0);
  Fill(true);
  const auto second = SendAs(1, 1);
  EXPECT_EQ(Runs(0), 1u);
  Fill(false);
  backends_[0]->runs[0].Finish();
  executor_.Run();  // at once, not when somebody looks next
  EXPECT_EQ(Runs(0), 2u);
  FinishAll();
  EXPECT_TRUE(second->ok());
}

// Ten of one tenant wait; the one request of another is the second served.
TEST_F(WaitingTest, TenantsHaveTheirTurns) {
  BuildFull();
  Fill(true);
  std::vector<std::shared_ptr<CheckingSink>> sinks;
  for (int i = 0; i < 10; ++i) sinks.push_back(SendAs(1, i));
  sinks.push_back(SendAs(2, 0));
  std::vector<uint64_t> order;
  backends_[0]->on_start = [&](ScriptedBackend::Run&) { Fill(true); };
  for (int i = 0; i < 11; ++i) {
    Fill(false);
    Wait(std::chrono::milliseconds(50));
    order.push_back(LastTenant());
    FinishAll();
  }
  ASSERT_EQ(Runs(0), 11u);
  EXPECT_TRUE(order[0] == 2 || order[1] == 2);
}

TEST_F(WaitingTest, WhoGivesUpWaitingIsForgotten) {
  BuildFull();
  Fill(true);
  const auto sink = SendAs(1, 0);
  orchestrator_->Cancel("t1q0");
  executor_.Run();
  EXPECT_EQ(sink->code(), ErrorCode::kCancelled);
  Fill(false);
  Wait(std::chrono::seconds(1));
  EXPECT_EQ(Runs(0), 0u);
}

TEST_F(WaitingTest, NobodyWaitsForWhatIsNotFullButGone) {
  BuildFull();
  core::Snapshot gone;
  gone.healthy = false;
  backends_[0]->views["large"] = gone;
  EXPECT_EQ(SendAs(1, 0)->code(), ErrorCode::kUnavailable);
}

TEST_F(ReplicaTest, NothingNewIsSentToWhatIsDrained) {
  BuildReplicas(2);
  const auto drain = [&](const std::string& variant, const std::string& replica,
                         bool drained) {
    std::optional<Result<void>> answer;
    orchestrator_->Drain(variant, replica, drained,
                         [&](Result<void> done) { answer = done; });
    executor_.Run();
    return *answer;
  };
  EXPECT_TRUE(drain("large", "r0", true));
  for (int i = 0; i < 10; ++i) {
    Send(i);
    FinishAll();
  }
  EXPECT_EQ(Runs(0), 0u);
  EXPECT_TRUE(drain("large", "r0", false));
  for (int i = 10; i < 30; ++i) {
    Send(i);
    FinishAll();
  }
  EXPECT_GT(Runs(0), 0u);
  EXPECT_EQ(drain("large", "r9", true).error().param, "replica");
  EXPECT_EQ(drain("lage", "", true).error().param, "variant");
  EXPECT_TRUE(drain("large", "", true));
  auto pinned = Ask("p");
  pinned->model = "large";
  EXPECT_EQ(Handle(pinned)->code(), ErrorCode::kUnavailable);
}

TEST_F(ReplicaTest, AnAnswerInOneBodyTeachesNoTimeToTheFirstToken) {
  BuildReplicas(1);
  auto request = Ask("a");
  request->streamed = false;
  const auto sink = Handle(request);
  Wait(std::chrono::seconds(3));
  backends_[0]->runs[0].Say("all of it");
  backends_[0]->runs[0].Finish(100);
  executor_.Run();
  EXPECT_TRUE(sink->ok());
  EXPECT_EQ(metrics_.Export().find("aio_ttft_seconds_count{variant=\"large\"}"),
            std::string::npos);
}

}  // namespace
}  // namespace aio::orchestrator
