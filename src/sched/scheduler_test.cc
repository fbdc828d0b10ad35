// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

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

// Tokens of a prompt that has nothing in common with that of another id.
std::vector<int32_t> Own(SequenceId id, int count) {
  return std::vector<int32_t>(count, static_cast<int32_t>(1000 + id));
}

Result<void> Add(Scheduler* s, SequenceId id, int count) {
  return s->Add(id, Own(id, count), 0);
}

// Runs a plan and, where logits come out, learns one more token.
void RunStep(Scheduler* s, const StepPlan& plan) {
  s->Commit(plan);
  for (const Slice& slice : plan.slices) {
    if (slice.logits && s->Has(slice.id)) s->Extend(slice.id, 7);
  }
}

TEST(SchedulerTest, APromptIsCutIntoChunksAndOnlyItsEndWantsLogits) {
  Scheduler s(Small());
  ASSERT_TRUE(Add(&s, 1, 13));
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
  ASSERT_TRUE(Add(&s, 1, 3));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(Add(&s, 2, 9));
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 2u);
  EXPECT_EQ(plan.slices[0].id, 1u);
  EXPECT_EQ(plan.slices[0].count, 1);
  EXPECT_EQ(plan.slices[1].id, 2u);
  EXPECT_EQ(plan.slices[1].count, 2);
}

TEST(SchedulerTest, CountsThePromptTokensThatNoStepHasTaken) {
  Scheduler s(Small());
  EXPECT_EQ(s.PromptTokens({}), 0);
  ASSERT_TRUE(Add(&s, 1, 13));
  EXPECT_EQ(s.PromptTokens({}), 13);
  StepPlan plan = s.Plan();  // 10 of them
  EXPECT_EQ(s.PromptTokens({}), 13) << "not computed yet";
  EXPECT_EQ(s.PromptTokens(plan.slices), 3);
  RunStep(&s, plan);
  RunStep(&s, s.Plan());
  EXPECT_EQ(s.PromptTokens({}), 0) << "it decodes";
  ASSERT_TRUE(Add(&s, 2, 5));
  plan = s.Plan();  // 2 of them beside a column of the first
  EXPECT_EQ(s.PromptTokens(plan.slices), 3);
  s.Remove(2);
  EXPECT_EQ(s.PromptTokens(plan.slices), 0) << "cancelled during the step";
}

TEST(SchedulerTest, AFullQueueRefusesInsteadOfGrowing) {
  Scheduler s(Small());
  for (SequenceId id = 1; id <= 4; ++id) ASSERT_TRUE(Add(&s, id, 1));
  const auto refused = Add(&s, 5, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_FALSE(s.Has(5));
}

// The order in which sequences that wait for one place get it.
std::vector<SequenceId> OrderOfTurns(Scheduler* s) {
  std::vector<SequenceId> order;
  while (s->RequestsAtWork() > 0) {
    RunStep(s, s->Plan());
    for (const SequenceId id : std::vector(s->running_ids())) {
      order.push_back(id);
      s->Remove(id);
    }
  }
  return order;
}

TEST(SchedulerTest, ATenantWithOneRequestDoesNotWaitForAllOfAnother) {
  Options options = Small();
  options.sequences_max = 1;
  options.queue_max = 100;
  Scheduler s(options);
  const Claim many{.tenant = 1, .answer_tokens = 10};
  const Claim one{.tenant = 2, .answer_tokens = 10};
  for (SequenceId id = 0; id < 50; ++id) {
    ASSERT_TRUE(s.Add(id, Own(id, 3), 1, many));
  }
  ASSERT_TRUE(s.Add(50, Own(50, 3), 2, one));
  const auto order = OrderOfTurns(&s);
  ASSERT_EQ(order.size(), 51u);
  EXPECT_LE(std::ranges::find(order, 50u) - order.begin(), 1);
  EXPECT_TRUE(std::ranges::is_sorted(order, {}, [](SequenceId id) {
    return id == 50 ? 0 : id;
  })) << "within a tenant, first come, first served";
}

// Long answers and prompts count for what they take, and weights for shares.
TEST(SchedulerTest, TenantsGetTokensNotTurnsByTheirWeights) {
  Options options = Small();
  options.sequences_max = 1;
  options.queue_max = 200;
  Scheduler s(options);
  for (SequenceId id = 0; id < 90; ++id) {  // 12 tokens each
    ASSERT_TRUE(s.Add(id, Own(id, 8), 1, {1, 1, 4}));
  }
  for (SequenceId id = 100; id < 190; ++id) {  // 48, of twice the weight
    ASSERT_TRUE(s.Add(id, Own(id, 8), 2, {2, 2, 40}));
  }
  const auto order = OrderOfTurns(&s);
  const auto second = std::count_if(order.begin(), order.begin() + 60,
                                    [](SequenceId id) { return id >= 100; });
  EXPECT_NEAR(second, 20, 1) << "40 * 12 tokens against 20 * 48";
}

TEST(SchedulerTest, WhenAllWasAnsweredTenantsBeginLevel) {
  Options options = Small();
  options.sequences_max = 1;
  Scheduler s(options);
  ASSERT_TRUE(s.Add(1, Own(1, 8), 1, {1, 1, 1000}));
  OrderOfTurns(&s);
  ASSERT_TRUE(s.Add(2, Own(2, 8), 1, {.tenant = 1}));
  ASSERT_TRUE(s.Add(3, Own(3, 8), 2, {.tenant = 2}));
  EXPECT_EQ(OrderOfTurns(&s), (std::vector<SequenceId>{2, 3}));
}

TEST(SchedulerTest, APausedSequenceGoesOnBeforeAnyTenantBegins) {
  Scheduler s(Small());  // 8 pages of 4
  ASSERT_TRUE(s.Add(1, Own(1, 10), 1, {.tenant = 1}));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(s.Add(2, Own(2, 10), 1, {.tenant = 1}));
  StepPlan plan;
  for (int i = 0; plan.paused == 0; ++i) {
    ASSERT_LT(i, 60);
    plan = s.Plan();
    RunStep(&s, plan);
  }
  ASSERT_TRUE(s.Add(3, Own(3, 1), 2, {.tenant = 2}));
  s.Remove(1);
  s.Plan();
  ASSERT_EQ(s.running_ids(), (std::vector<SequenceId>{2, 3}));
}

TEST(SchedulerTest, RemovalFreesThePagesAtOnce) {
  Scheduler s(Small());
  ASSERT_TRUE(Add(&s, 1, 9));
  RunStep(&s, s.Plan());
  EXPECT_EQ(s.pages_free(), 8 - 3);
  s.Remove(1);
  EXPECT_EQ(s.pages_free(), 8);
  EXPECT_EQ(s.RequestsAtWork(), 0);
}

TEST(SchedulerTest, OutOfPagesPausesTheNewestAndRecomputesItLater) {
  Scheduler s(Small());  // 8 pages of 4
  ASSERT_TRUE(Add(&s, 1, 10));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(Add(&s, 2, 10));
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
  StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].id, 2u);
  EXPECT_EQ(plan.slices[0].begin, 0) << "its pages were needed and are gone";
  RunStep(&s, plan);
}

TEST(SchedulerTest, APausedSequenceGoesOnFromWhatIsLeftOfIt) {
  Scheduler s(Small());
  ASSERT_TRUE(Add(&s, 1, 12));
  RunStep(&s, s.Plan());
  RunStep(&s, s.Plan());
  ASSERT_TRUE(Add(&s, 2, 14));
  StepPlan plan;
  for (int i = 0; plan.paused == 0; ++i) {
    ASSERT_LT(i, 40);
    plan = s.Plan();
    RunStep(&s, plan);
  }
  s.Remove(1);
  plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].id, 2u);
  EXPECT_GE(plan.slices[0].begin, 12) << "one page was taken, its last";
  EXPECT_TRUE(plan.admitted.empty()) << "this is not its first time";
}

TEST(SchedulerTest, AForkComputesNothingButTheLastToken) {
  for (const int prompt : {10, 8, 1}) {
    SCOPED_TRACE(prompt);
    Scheduler s(Small());
    ASSERT_TRUE(Add(&s, 1, prompt));
    RunStep(&s, s.Plan());
    s.Fork(2, 1);
    const StepPlan plan = s.Plan();
    ASSERT_EQ(plan.slices.size(), 2u);
    EXPECT_EQ(plan.slices[1].id, 2u);
    EXPECT_EQ(plan.slices[1].begin, prompt - 1);
    ASSERT_EQ(plan.copies.size(), prompt > 1 ? 1u : 0u);
    const auto &of1 = s.PagesOf(1), &of2 = s.PagesOf(2);
    const auto tail = static_cast<size_t>((prompt - 1) / 4);
    for (size_t i = 0; i < tail; ++i) EXPECT_EQ(of1[i], of2[i]);
    EXPECT_NE(of1[tail], of2[tail]) << "the tail page is its own";
    if (prompt > 1) {
      EXPECT_EQ(plan.copies[0].from, of1[tail]);
      EXPECT_EQ(plan.copies[0].to, of2[tail]);
    }
    s.Remove(1);
    RunStep(&s, plan);
    s.Remove(2);
    EXPECT_EQ(s.pages_free(), 8);
  }
}

TEST(SchedulerTest, TheNextTurnOfAConversationComputesOnlyWhatIsNew) {
  Scheduler s(Small());
  ASSERT_TRUE(Add(&s, 1, 9));
  for (int i = 0; i < 3; ++i) RunStep(&s, s.Plan());
  std::vector<int32_t> turn = s.TokensOf(1);  // 9 and an answer of 3
  s.Remove(1);
  EXPECT_EQ(s.pages_free(), 8);
  EXPECT_EQ(s.pages_cached(), 3);
  turn.insert(turn.end(), {1, 2, 3, 4});
  ASSERT_TRUE(s.Add(2, turn, 0));
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.admitted.size(), 1u);
  EXPECT_EQ(plan.admitted[0].known_tokens, 16);
  EXPECT_EQ(plan.admitted[0].cached_tokens, 11) << "the last was never stepped";
  EXPECT_EQ(plan.slices[0].begin, 11);
}

TEST(SchedulerTest, PromptsOfDifferentSaltsShareNothing) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, Own(1, 9), 5));
  RunStep(&s, s.Plan());
  s.Remove(1);
  ASSERT_TRUE(s.Add(2, Own(1, 9), 6));
  EXPECT_EQ(s.Plan().admitted.at(0).cached_tokens, 0);
  EXPECT_EQ(s.Digest()->CachedTokens(6, Own(1, 9)), 0);
  EXPECT_EQ(s.Digest()->CachedTokens(5, Own(1, 9)), 8);
}

TEST(SchedulerTest, TwoThatComputeTheSameSideBySideEndWithOnePage) {
  Scheduler s(Small());
  ASSERT_TRUE(s.Add(1, Own(1, 5), 0));
  ASSERT_TRUE(s.Add(2, Own(1, 5), 0));
  RunStep(&s, s.Plan());
  EXPECT_EQ(s.PagesOf(1)[0], s.PagesOf(2)[0]);
  EXPECT_EQ(s.pages_free(), 8 - 3);
}

TEST(SchedulerTest, WithoutPrefixCacheNothingOutlivesItsSequence) {
  Options o = Small();
  o.prefix_cache = false;
  Scheduler s(o);
  ASSERT_TRUE(Add(&s, 1, 9));
  RunStep(&s, s.Plan());
  s.Fork(2, 1);
  StepPlan plan = s.Plan();
  EXPECT_EQ(plan.slices.at(1).begin, 8) << "choices still share";
  RunStep(&s, plan);
  s.Remove(1);
  s.Remove(2);
  EXPECT_EQ(s.pages_cached(), 0);
  ASSERT_TRUE(s.Add(3, Own(1, 9), 0));
  EXPECT_EQ(s.Plan().admitted.at(0).cached_tokens, 0);
}

TEST(SchedulerTest, AShortPromptBehindALongOneIsServedEarlyAndBothGoOn) {
  Options o = Small();
  o.pages = 100;
  Scheduler s(o);
  ASSERT_TRUE(Add(&s, 1, 200));
  RunStep(&s, s.Plan());
  ASSERT_TRUE(Add(&s, 2, 9));
  ASSERT_TRUE(Add(&s, 3, 4));
  StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 3u);
  EXPECT_EQ(plan.slices[0].count, 5) << "half for the oldest";
  EXPECT_EQ(plan.slices[1].count, 1);
  EXPECT_EQ(plan.slices[2].count, 4) << "all of the shortest";
  EXPECT_TRUE(plan.slices[2].logits);
}

TEST(SchedulerTest, PromptsOfOneLengthAreServedInTheirOrder) {
  Options o = Small();
  o.pages = 100;
  Scheduler s(o);
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(Add(&s, id, 40));
  const StepPlan plan = s.Plan();
  ASSERT_EQ(plan.slices.size(), 1u);
  EXPECT_EQ(plan.slices[0].id, 1u);
  EXPECT_EQ(plan.slices[0].count, 10);
}

TEST(SchedulerTest, AStepTableSaysHowMuchPrefillFitsBesideDecoding) {
  Options o = Small();
  o.pages = 100;
  o.page_tokens = 32;
  o.sequences_max = 32;
  o.columns_max = 64;
  o.queue_max = 64;
  o.step_table.emplace();
  o.step_table->columns = {1, 8, 16, 24, 32};
  // c: within 1.5 of one column there are 16, of 17 there are 24.
  o.step_table->seconds = {1, 1.2, 1.4, 2.0, 3.2};
  o.step_table->prefill_seconds_per_token = 0.2;
  for (const auto& [decoding, expected] :
       {std::pair{1, 16}, {8, 16}, {15, 24}, {17, 24}, {24, 32}, {30, 40}}) {
    Scheduler s(o);
    for (int i = 0; i < decoding; ++i) {
      ASSERT_TRUE(Add(&s, static_cast<SequenceId>(1 + i), 1));
    }
    RunStep(&s, s.Plan());
    ASSERT_TRUE(Add(&s, 99, 300));
    EXPECT_EQ(s.Plan().columns, expected) << decoding;
  }
}

TEST(SchedulerTest, MoreSequencesThanColumnsDecodeInTurns) {
  Options o = Small();
  o.pages = 64;
  o.sequences_max = 6;
  o.columns_max = 4;
  o.queue_max = 6;
  Scheduler s(o);
  for (SequenceId id = 1; id <= 6; ++id) ASSERT_TRUE(Add(&s, id, 1));
  std::map<SequenceId, int> served;
  for (int step = 0; step < 30; ++step) {
    const StepPlan plan = s.Plan();
    EXPECT_EQ(plan.columns, 4);
    for (const Slice& slice : plan.slices) ++served[slice.id];
    RunStep(&s, plan);
  }
  for (const auto& [id, steps] : served) EXPECT_EQ(steps, 20) << id;
}

TEST(SchedulerTest, WaitingForksCannotStarveTheOnlyRunningSequence) {
  Scheduler s(Small());
  ASSERT_TRUE(Add(&s, 1, 30));
  for (int i = 0; i < 3; ++i) RunStep(&s, s.Plan());
  ASSERT_TRUE(Add(&s, 2, 32));
  s.Fork(3, 1);
  s.Remove(1);  // its pages stay, for 3, which waits behind 2
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
    ASSERT_EQ(std::set<int32_t>(pages.begin(), pages.end()).size(),
              pages.size());
    for (int p = slice.begin; p < slice.begin + slice.count; ++p) {
      const int32_t page = pages.at(p / o.page_tokens);
      const auto [it, fresh] = writer.emplace(page, slice.id);
      ASSERT_EQ(it->second, slice.id) << "two sequences write one page";
    }
  }
  ASSERT_EQ(columns, plan.columns);
  ASSERT_LE(columns, o.columns_max);
}

// What KV the pages hold, by the rules: every position of a page remembers the
// whole text up to it, so a page shared, copied or overwritten wrongly shows.
class Memory {
 public:
  explicit Memory(const Options& o)
      : page_tokens_(o.page_tokens), kv_(o.pages * o.page_tokens) {}

  // Drafts are of this token.
  static constexpr int32_t kDraft = 9;

  void Run(const Scheduler& s, const StepPlan& plan) {
    for (const auto& [from, to] : plan.copies) {
      for (int i = 0; i < page_tokens_; ++i) {
        kv_[to * page_tokens_ + i] = kv_[from * page_tokens_ + i];
      }
    }
    for (const Slice& slice : plan.slices) {
      std::vector<int32_t> tokens = s.TokensOf(slice.id);
      tokens.resize(tokens.size() + slice.drafts, kDraft);
      const auto& pages = s.PagesOf(slice.id);
      for (int p = 0; p < slice.begin + slice.count; ++p) {
        auto& at =
            kv_[pages.at(p / page_tokens_) * page_tokens_ + p % page_tokens_];
        const std::vector<int32_t> text(tokens.begin(), tokens.begin() + p + 1);
        if (p >= slice.begin) at = text;
        ASSERT_EQ(at, text) << "position " << p << " of " << slice.id;
      }
    }
  }

  // Computes some more of a guest's text, after the copies.
  void RunGuest(Scheduler* s, SequenceId id, const std::vector<int32_t>& tokens,
                int count, int known) {
    StepPlan plan;
    const int computed = s->PrepareGuest(id, tokens, &plan);
    Run(*s, plan);
    if (computed < 0) return;
    ASSERT_LT(computed, static_cast<int>(tokens.size()));
    const int end = std::min<int>(tokens.size(), computed + count);
    const auto& pages = s->PagesOf(id);
    for (int p = 0; p < end; ++p) {
      auto& at =
          kv_[pages.at(p / page_tokens_) * page_tokens_ + p % page_tokens_];
      const std::vector<int32_t> text(tokens.begin(), tokens.begin() + p + 1);
      if (p >= computed) at = text;
      ASSERT_EQ(at, text) << "position " << p << " of guest " << id;
    }
    s->CommitGuest(id, end, known);
  }

 private:
  int page_tokens_;
  std::vector<std::vector<int32_t>> kv_;  // [page, position]: a text
};

TEST(SchedulerTest, RandomTrafficAlwaysProgressesAndLeaksNoPage) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Options o = Small();
    o.prefix_cache = seed % 4 != 0;
    Scheduler s(o);
    Memory memory(o);
    std::map<SequenceId, int> left;                    // tokens still to make
    std::map<SequenceId, std::vector<int32_t>> texts;  // of guests
    std::map<SequenceId, size_t> known;                // tokens of those
    SequenceId next = 1;
    uint64_t draw = 0;
    const auto random = [&](int n) {
      return static_cast<int>(RandomBits(seed, 0, draw++) % n);
    };
    int finished = 0, cached = 0, drafted = 0;
    for (int step = 0; step < 400; ++step) {
      if (random(3) == 0) {
        const bool fork = !left.empty() && s.queued() < 4 && random(2) == 0;
        std::vector<int32_t> prompt(1 + random(24));
        for (int32_t& token : prompt) token = random(8) == 0 ? 1 : 0;
        const Claim claim{static_cast<uint64_t>(random(3)), 1.0 + random(2),
                          1.0 * random(9)};
        if (fork) s.Fork(next, left.begin()->first);
        const bool added =
            fork ||
            s.Add(next, std::move(prompt), random(2), claim).has_value();
        if (added) left[next++] = random(8);
      }
      if (!left.empty() && random(20) == 0) {
        s.Remove(left.begin()->first);
        left.erase(left.begin());
      }
      // Guests come, change the ends of their texts, and go.
      const SequenceId guest = 1'000'000 + random(2);
      if (!s.HasGuest(guest)) {
        s.AddGuest(guest, random(2));
        texts[guest] = {0};
        known[guest] = 1;
      } else if (random(10) == 0) {
        s.RemoveGuest(guest);
      } else {
        std::vector<int32_t>& text = texts[guest];
        const size_t said = known[guest];
        text.resize(text.size() -
                    std::min<size_t>(random(4), text.size() - said));
        for (int n = random(6); n > 0; --n) text.push_back(random(8) == 0);
        text.resize(std::min<size_t>(text.size(), 30));
        // Some of it is said for good.
        known[guest] += random(static_cast<int>(text.size() - said) + 1);
        memory.RunGuest(&s, guest, text, 1 + random(9),
                        static_cast<int>(known[guest]));
      }
      const bool work = s.RequestsAtWork() > 0;
      StepPlan plan = s.Plan();
      const int paused = plan.paused;
      for (const Slice& slice : std::vector(plan.slices)) {
        if (!slice.logits || random(2) == 0) continue;
        const int most = std::min(random(6), left[slice.id]);
        drafted += s.AddDrafts(slice.id, most, &plan);
      }
      ASSERT_EQ(plan.paused, paused) << "somebody made way for drafts";
      CheckPlan(s, o, plan);
      memory.Run(s, plan);
      ASSERT_TRUE(!work || !plan.slices.empty()) << "work, but no progress";
      for (const auto& a : plan.admitted) cached += a.cached_tokens;
      s.Commit(plan);
      for (const Slice& slice : plan.slices) {
        if (!slice.logits) continue;
        // Some are right, none of the rest.
        for (int i = slice.drafts > 0 ? random(slice.drafts + 1) : 0; i > 0;
             --i) {
          s.Accept(slice.id, Memory::kDraft);
          --left[slice.id];
        }
        if (left[slice.id]-- > 0) {
          s.Extend(slice.id, random(2));
        } else {
          s.Remove(slice.id);
          left.erase(slice.id);
          ++finished;
        }
      }
    }
    EXPECT_GT(finished, 10);
    EXPECT_GT(cached, 0);
    EXPECT_GT(drafted, 10);
    for (const auto& [id, n] : left) s.Remove(id);
    for (const SequenceId id : {1'000'000, 1'000'001}) {
      if (s.HasGuest(id)) s.RemoveGuest(id);
    }
    EXPECT_EQ(s.pages_free(), o.pages);
    EXPECT_TRUE(o.prefix_cache || s.pages_cached() == 0);
  }
}

}  // namespace
}  // namespace aio::sched
