// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"

namespace aio::sched {
namespace {

Options Small() {
  Options options;
  options.pages = 8;
  options.page_tokens = 4;
  options.sequences_max = 3;
  options.columns_max = 10;
  options.columns_beside_decode = 2;
  options.queue_max = 4;
  return options;
}

// Runs a plan and, where logits come out, learns one more token.
void RunStep(Scheduler* s, const StepPlan& plan) {
  s->Commit(plan);
  for (const Slice& slice : plan.slices) {
    if (slice.logits && s->Has(slice.id)) s->Extend(slice.id);
  }
}

TEST(SchedulerTest, APromptIsCutIntoChunksAndOnlyItsEndWantsLogits) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 13));
  StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].count, 10);
  EXPECT_FALSE(plan.slices[0].logits);
  RunStep(&s, plan);
  plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].begin, 10);
  EXPECT_EQ(plan.slices[0].count, 3);
  EXPECT_TRUE(plan.slices[0].logits);
}

TEST(SchedulerTest, DecodeColumnsComeFirstAndPrefillBesideThemIsSmall) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 3));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(s.Add(2, 9));
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 2u);
  EXPECT_EQ(plan.slices[0].id, 1u);
  EXPECT_EQ(plan.slices[0].count, 1);
  EXPECT_EQ(plan.slices[1].id, 2u);
  EXPECT_EQ(plan.slices[1].count, 2);
}

TEST(SchedulerTest, AFullQueueRefusesInsteadOfGrowing) {
  Scheduler s(Small());
  for (SequenceId id = 1; id <= 4; ++id) ASSERT_TRUE(s.Add(id, 1));
  const auto refused = s.Add(5, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_FALSE(s.Has(5));
}

TEST(SchedulerTest, RemovalFreesThePagesAtOnce) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 9));
  RunStep(&s, s.Plan());
  EXPECT_EQ(s.pages_free(), 8 - 3);
  s.Remove(1);
  EXPECT_EQ(s.pages_free(), 8);
  EXPECT_FALSE(s.HasWork());
}

TEST(SchedulerTest, OutOfPagesPausesTheNewestAndRecomputesItLater) {
  Scheduler s(Small());  // 8 pages of 4
  ASSERT_TRUE(s.Add(1, 10));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(s.Add(2, 10));
  int paused = 0;
  std::set<SequenceId> seen;
  for (int step = 0; step < 60 && s.Has(1); ++step) {
    const StepPlan plan = s.Plan();
    ASSERT_FALSE(plan.slices.empty());
    paused += plan.paused;
    EXPECT_EQ(plan.slices[0].id, 1u) << "the oldest never waits";
    RunStep(&s, plan);
    if (s.PagesOf(1).size() == 8) s.Remove(1);
  }
  EXPECT_GE(paused, 1);
  ASSERT_FALSE(s.Has(1));
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].id, 2u);
  EXPECT_EQ(plan.slices[0].begin, 0) << "recomputed from its first token";
}

TEST(SchedulerTest, AForkSharesWholePagesAndRecomputesTheTail) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 10));
  RunStep(&s, s.Plan());
  const int free = s.pages_free();
  s.Fork(2, 10, 1, 10);
  EXPECT_EQ(s.pages_free(), free) << "two pages of 4 are shared";
  ASSERT_EQ(s.PagesOf(2).size(), 2u);
  EXPECT_EQ(s.PagesOf(2)[0], s.PagesOf(1)[0]);
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 2u);
  EXPECT_EQ(plan.slices[1].begin, 8);
  EXPECT_NE(s.PagesOf(2)[2], s.PagesOf(1)[2]) << "the tail page is its own";
  s.Remove(1);
  RunStep(&s, plan);
  s.Remove(2);
  EXPECT_EQ(s.pages_free(), 8);
}

TEST(SchedulerTest, AForkWhosePromptEndsOnAPageStillComputesItsLastToken) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 8));
  RunStep(&s, s.Plan());
  s.Fork(2, 8, 1, 8);
  EXPECT_EQ(s.PagesOf(2).size(), 1u);
}

TEST(SchedulerTest, AHeldSequenceResumesWhereItWasAndYieldsItsPagesIfNeeded) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 10));
  RunStep(&s, s.Plan());
  s.Hold(1, 7);
  EXPECT_FALSE(s.HasWork());
  EXPECT_EQ(s.PagesOf(1).size(), 2u);
  s.Resume(1, 8);
  StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].begin, 7);
  EXPECT_EQ(plan.slices[0].count, 1);
  RunStep(&s, plan);
  s.Hold(1, 8);
  ASSERT_TRUE(s.Add(2, 32));  // all eight pages
  plan = s.Plan();
  ASSERT_EQ(plan.dropped.size(), 1u);
  EXPECT_EQ(plan.dropped[0], 1u);
  EXPECT_FALSE(s.Has(1));
}

TEST(SchedulerTest, WaitingForksCannotStarveTheOnlyRunningSequence) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, 30));
  for (int i = 0; i < 3; ++i) RunStep(&s, s.Plan());
  ASSERT_TRUE(s.Add(2, 32));
  s.Fork(3, 30, 1, 30);
  s.Remove(1);  // 3 alone holds the shared seven pages, and waits behind 2
  int columns = 0;
  for (int i = 0; i < 10 && s.PagesOf(2).size() < 8; ++i) {
    const StepPlan plan = s.Plan();
    columns += plan.columns;
    RunStep(&s, plan);
  }
  EXPECT_EQ(s.PagesOf(2).size(), 8u) << columns;
}

// The bookkeeping a plan must keep, whatever happens.
void CheckPlan(const Scheduler& s, const Options& o, const StepPlan& plan) {
  std::map<int32_t, SequenceId> writer;
  int columns = 0;
  for (const Slice& slice : plan.slices) {
    columns += slice.count;
    const auto& pages = s.PagesOf(slice.id);
    for (int p = slice.begin; p < slice.begin + slice.count; ++p) {
      const int32_t page = pages.at(p / o.page_tokens);
      const auto [it, fresh] = writer.emplace(page, slice.id);
      ASSERT_EQ(it->second, slice.id) << "two sequences write one page";
    }
  }
  ASSERT_EQ(columns, plan.columns);
  ASSERT_LE(columns, o.columns_max);
}

TEST(SchedulerTest, RandomTrafficAlwaysProgressesAndLeaksNoPage) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    const Options o = Small();
    Scheduler s(o);
    std::map<SequenceId, int> left;  // tokens still to make
    SequenceId next = 1;
    uint64_t draw = 0;
    const auto random = [&](int n) {
      return static_cast<int>(RandomBits(seed, 0, draw++) % n);
    };
    int finished = 0;
    for (int step = 0; step < 400; ++step) {
      const int tokens = 1 + random(24);
      if (random(3) == 0) {
        const bool fork =
            !left.empty() && s.queued() < 4 && random(2) == 0;
        if (fork) s.Fork(next, tokens, left.begin()->first, random(24));
        const bool added = fork || s.Add(next, tokens).has_value();
        if (added) left[next++] = random(8);
      }
      if (!left.empty() && random(20) == 0) {
        s.Remove(left.begin()->first);
        left.erase(left.begin());
      }
      const bool work = s.HasWork();
      const StepPlan plan = s.Plan();
      CheckPlan(s, o, plan);
      ASSERT_TRUE(!work || !plan.slices.empty()) << "work, but no progress";
      s.Commit(plan);
      for (const Slice& slice : plan.slices) {
        if (!slice.logits) continue;
        if (left[slice.id]-- > 0) {
          s.Extend(slice.id);
        } else {
          s.Remove(slice.id);
          left.erase(slice.id);
          ++finished;
        }
      }
    }
    EXPECT_GT(finished, 10);
    for (const auto& [id, n] : left) s.Remove(id);
    EXPECT_EQ(s.pages_free(), o.pages);
  }
}

}  // namespace
}  // namespace aio::sched
