// SPDX-License-Identifier: Apache-2.0
//
// What the prefix tree saves, and that it changes no answer.
#include <gtest/gtest.h>

#include <deque>
#include <fstream>
#include <memory>
#include <string>

#include "base/random.h"
#include "engine/engine_fixture.h"

namespace aio::engine {
namespace {

constexpr auto kColumns = "aio_engine_columns_total{variant=\"small\"}";

std::vector<int32_t> Prompt(int tokens, int seed = 0) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < tokens; ++i)
    prompt.push_back((i * 7 + seed + i / 3) % 60);
  return prompt;
}

int Cached(const Answer& answer) { return (*answer.done)->usage.cached_tokens; }

TEST_F(EngineTest, TheNextTurnOfAConversationPrefillsOnlyWhatIsNew) {
  Make();
  auto first = Ask("first");
  first->max_tokens = 10;
  std::vector<int32_t> turn = Prompt(75);
  const auto answer = Serve(first, turn);
  EXPECT_EQ(Cached(*answer), 0);
  const std::string& text = answer->text[0];
  for (const char c : text) turn.push_back((c - '0') % 62);
  // Of ten letters the last was never stepped; of fewer, the end came after it.
  const int known = static_cast<int>(turn.size()) - (text.size() == 10 ? 1 : 0);
  turn.insert(turn.end(), {1, 2, 3, 4, 5});
  auto second = Ask("second");
  second->max_tokens = 1;
  const double before = Metric(kColumns);
  const auto reply = Serve(second, turn);
  EXPECT_EQ(Cached(*reply), known);
  EXPECT_EQ(Metric(kColumns) - before,
            static_cast<double>(turn.size()) - known);
  EXPECT_EQ(reply->text[0], Expected(*second, turn));
}

TEST_F(EngineTest, AnAnswerIsTheSameOnAMissAHitOfAnyLengthAndAfterAPause) {
  const std::vector<int32_t> prompt = Prompt(100);
  std::optional<std::string> expected;
  for (const int shared : {0, 1, 31, 32, 33, 50, 64, 96, 99, 100}) {
    SCOPED_TRACE(shared);
    Make();
    if (shared > 0) {
      std::vector<int32_t> other(prompt.begin(), prompt.begin() + shared);
      other.push_back(61);
      Serve(Ask("other"), other);
    }
    auto request = Ask("this");
    const auto answer = Serve(request, prompt);
    EXPECT_EQ(Cached(*answer), std::min(shared, 99));
    if (!expected) expected = Expected(*request, prompt);
    EXPECT_EQ(answer->text[0], *expected);
  }
  EXPECT_GT(expected->size(), 5u);
  // Five pages for the other and this: it is paused, and goes on.
  tokenizer_->endless = true;
  Make({.pages = 5});
  auto long_one = Ask("long");
  long_one->max_tokens = 60;
  auto sink = Start(long_one, Prompt(60, 5));
  for (int i = 0; i < 30; ++i) engine_->Step();
  auto request = Ask("this");
  std::vector<int32_t> half(prompt.begin(), prompt.begin() + 50);
  const auto paused = Serve(request, half);
  EXPECT_TRUE(sink->ok());
  EXPECT_GT(Metric("aio_engine_paused_total{variant=\"small\"}"), 0);
  EXPECT_EQ(paused->text[0], Expected(*request, half));
  EXPECT_EQ(sink->text[0], Expected(*long_one, Prompt(60, 5)));
}

TEST_F(EngineTest, KeysShareNoPrefixAndCannotSeeOneAnothers) {
  Make();
  auto mine = Ask("mine");
  mine->tenant = 5;
  Serve(mine, Prompt(70));
  auto theirs = Ask("theirs");
  theirs->tenant = 6;
  EXPECT_EQ(engine_->CachedTokens("small", 6, Prompt(70)), 0);
  EXPECT_EQ(Cached(*Serve(theirs, Prompt(70))), 0);
  auto again = Ask("again");
  again->tenant = 5;
  EXPECT_EQ(engine_->CachedTokens("small", 5, Prompt(70)), 64);
  EXPECT_EQ(engine_->CachedTokens("large", 5, Prompt(70)), 0);
  EXPECT_EQ(Cached(*Serve(again, Prompt(70))), 69);
}

TEST_F(EngineTest, TheHitRateIsInTheMetrics) {
  Make();
  Serve(Ask("a"), Prompt(40));
  auto choices = Ask("b");
  choices->choices = 3;
  Serve(choices, Prompt(50));
  const auto of = [&](const std::string& name) {
    return Metric(name + "{variant=\"small\"}");
  };
  EXPECT_EQ(of("aio_prefix_lookup_tokens_total"), 90) << "choices count once";
  EXPECT_EQ(of("aio_prefix_hit_tokens_total"), 40);
  EXPECT_EQ(of("aio_kv_pages_free"), of("aio_kv_pages_total"));
  EXPECT_GT(of("aio_kv_pages_cached"), 2);
  EXPECT_EQ(of("aio_prefix_evicted_pages_total"), 0);
  for (int i = 0; i < 20; ++i) Serve(Ask("c"), Prompt(40, i));
  EXPECT_GT(of("aio_prefix_evicted_pages_total"), 0);
  EXPECT_LE(of("aio_kv_pages_cached"), small_.pages);
}

TEST_F(EngineTest, WithoutPrefixCacheEveryPromptIsComputed) {
  sched::Options sched;
  sched.prefix_cache = false;
  Make({}, sched);
  Serve(Ask("a"), Prompt(70));
  EXPECT_EQ(Cached(*Serve(Ask("b"), Prompt(70))), 0);
  std::optional<Result<core::Scores>> scores;
  ASSERT_TRUE(engine_->Submit(Probe("c", Prompt(50), &scores)));
  Finish();
  ASSERT_TRUE(scores && *scores);
  EXPECT_FALSE((*scores)->kept);
  EXPECT_EQ((*scores)->tokens, 52);
}

// One of many requests that a seed makes.
struct Case {
  std::shared_ptr<core::Request> request;
  std::vector<int32_t> prompt;
  std::shared_ptr<Answer> sink;
  bool cancelled = false;
};

// Prompts begin like few others, at most 96 tokens with the answer.
Case CaseOf(int i) {
  const auto random = [i](uint64_t what, uint64_t n) {
    return static_cast<int>(RandomBits(7, what, static_cast<uint64_t>(i)) % n);
  };
  Case c;
  c.request = std::make_shared<core::Request>();
  c.request->id = std::to_string(i);
  c.request->sampling.seed = static_cast<uint64_t>(i);
  c.request->tenant = static_cast<uint64_t>(random(0, 3));
  c.request->choices = random(1, 10) == 0 ? 2 : 1;
  c.prompt = Prompt(1 + random(2, 70), random(3, 3));
  for (int k = random(4, 12); k > 0; --k) c.prompt.push_back(random(5, 60));
  const int room = 96 - static_cast<int>(c.prompt.size());
  c.request->max_tokens = 1 + random(6, static_cast<uint64_t>(room));
  return c;
}

// Pages of memory that this process occupies.
int64_t ResidentPages() {
  std::ifstream in("/proc/self/statm");
  int64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident;
}

class EngineFaultsTest : public EngineTest {
 protected:
  void Check(Case* c) {
    const auto& done = c->sink->done;
    ASSERT_TRUE(done.has_value()) << c->request->id;
    if (!*done) {
      ASSERT_TRUE(c->cancelled) << done->error().message;
      ASSERT_EQ(done->error().code, ErrorCode::kCancelled);
    }
    for (int k = 0; k < c->request->choices; ++k) {
      const std::string expected = Expected(*c->request, c->prompt, k);
      const std::string& text = c->sink->text[k];
      ASSERT_EQ(text, *done ? expected : expected.substr(0, text.size()))
          << c->request->id << ", choice " << k;
    }
    (*done ? answered_ : cancelled_) += 1;
  }

  int answered_ = 0;
  int cancelled_ = 0;
};

TEST_F(EngineFaultsTest, TenThousandRequestsThroughFourPagesAreAllAnswered) {
  sched::Options sched;
  sched.sequences_max = 8;
  Make({.context = 96, .columns = 32, .pages = 4}, sched);
  std::deque<Case> open;
  int64_t resident = 0;
  constexpr int kRequests = 10000;
  for (int i = 0; i < kRequests || !open.empty();) {
    while (i < kRequests && open.size() < 24) {
      Case c = CaseOf(i++);
      c.sink = Start(c.request, c.prompt);
      open.push_back(std::move(c));
      if (i == kRequests / 5) resident = ResidentPages();
    }
    for (int k = 0; k < 20; ++k) engine_->Step();
    const uint64_t draw = RandomBits(8, 0, static_cast<uint64_t>(i));
    if (draw % 16 == 0) {
      Case& c = open[draw / 16 % open.size()];
      c.cancelled = true;
      engine_->Cancel(c.request->id);
      engine_->Step();
    }
    std::erase_if(open, [&](Case& c) {
      if (!c.sink->done) return false;
      Check(&c);
      return true;
    });
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_EQ(answered_ + cancelled_, kRequests);
  EXPECT_GT(cancelled_, 100);
  // Free or cached, and none in use.
  EXPECT_EQ(engine_->View("small").pages_free, 4);
  EXPECT_GT(Metric("aio_engine_paused_total{variant=\"small\"}"), 1000);
  EXPECT_GT(Metric("aio_prefix_hit_tokens_total{variant=\"small\"}"), 10000);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(ResidentPages() - resident, 2048) << "it grows with requests";
#endif
}

}  // namespace
}  // namespace aio::engine
