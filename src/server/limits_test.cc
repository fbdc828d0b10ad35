// SPDX-License-Identifier: Apache-2.0
#include "server/limits.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "base/random.h"

namespace aio::server {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

const Time kStart = Time{} + 1000h;

std::shared_ptr<Account> Make(const KeyLimits& limits) {
  return std::make_shared<Account>(limits);
}
std::map<std::string, std::string> Headers(Account* account, Time now) {
  const auto fields = account->Headers(now);
  return {fields.begin(), fields.end()};
}
// Takes and settles at once. 0, or the seconds to wait.
int Ask(const std::shared_ptr<Account>& account, int64_t tokens, Time now) {
  Ticket ticket;
  if (const auto limited = ticket.Admit(account, tokens, now)) {
    return limited->seconds;
  }
  ticket.Settle(tokens, true, now);
  return 0;
}

TEST(BucketTest, HoldsAMinutesWorthOrWhatASecondHas) {
  EXPECT_EQ(Bucket({60, 1min}).capacity(), 60);
  EXPECT_EQ(Bucket({10, 1s}).capacity(), 10);
  EXPECT_EQ(Bucket({600, 1h}).capacity(), 10);
  EXPECT_EQ(Bucket({1, 1h}).capacity(), 1) << "one must get through";
}

// In no minute more than a full bucket and what fills up meanwhile; and who
// comes when told to is let in.
TEST(BucketTest, NeverLetsMoreThroughThanItsRateOverRandomTraffic) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Bucket bucket({120, 1min});
    Time now = kStart;
    double taken = 0;
    for (int i = 0; i < 500; ++i) {
      const double cost = 1 + static_cast<double>(RandomBits(seed, 0, i) % 30);
      const double wait = bucket.SecondsUntil(cost, now);
      if (wait > 0 && RandomUnit(seed, 1, i) < 0.5) {
        now += FromSeconds(wait);
        EXPECT_EQ(bucket.SecondsUntil(cost, now), 0) << seed << " " << i;
      } else if (wait > 0) {
        now += 50ms;
        continue;
      }
      bucket.Take(cost, now);
      taken += cost;
      ASSERT_LE(taken, 120 + 2 * Seconds(now - kStart) + 1e-3);
    }
    EXPECT_GT(taken, 1.5 * Seconds(now - kStart)) << "nor much less";
  }
}

TEST(BucketTest, WhatIsLargerThanItWaitsForAFullOneAndLeavesADebt) {
  Bucket bucket({60, 1min});
  EXPECT_EQ(bucket.SecondsUntil(100, kStart), 0);
  bucket.Take(100, kStart);
  EXPECT_EQ(bucket.Level(kStart), -40);
  EXPECT_NEAR(bucket.SecondsUntil(1, kStart), 41, 1e-6);
  EXPECT_NEAR(bucket.SecondsUntil(100, kStart), 100, 1e-6);
}

TEST(AccountTest, SaysWhichLimitAndWhenToComeBack) {
  const auto account = Make({.requests = Rate{3, 1min}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(account, 10, kStart), 0);
  Ticket ticket;
  const auto limited = ticket.Admit(account, 10, kStart + 500ms);
  ASSERT_TRUE(limited);
  EXPECT_EQ(limited->limit, "requests");
  EXPECT_EQ(limited->seconds, 20) << "19.5, rounded up";
  EXPECT_EQ(limited->message,
            "this API key may use 3 requests per minute: retry in 20 seconds");
  EXPECT_FALSE(ticket.open());
  EXPECT_NE(Ask(account, 10, kStart + 19s), 0);
  EXPECT_EQ(Ask(account, 10, kStart + 20s), 0);
}

TEST(AccountTest, ARefusedRequestTakesNothing) {
  const auto account =
      Make({.requests = Rate{10, 1min}, .tokens = Rate{100, 1min}});
  EXPECT_EQ(Ask(account, 90, kStart), 0);
  EXPECT_EQ(Ask(account, 20, kStart), 6) << "10 tokens lack";
  const auto headers = Headers(account.get(), kStart);
  EXPECT_EQ(headers.at("x-ratelimit-remaining-requests"), "9");
  EXPECT_EQ(headers.at("x-ratelimit-remaining-tokens"), "10");
}

TEST(AccountTest, SettlesWithWhatWasUsedAndDebtIsWaitedOff) {
  const auto account = Make({.tokens = Rate{600, 1min}});
  {
    Ticket ticket;
    EXPECT_FALSE(ticket.Admit(account, 20, kStart));
    ticket.Settle(900, true, kStart);
  }
  EXPECT_EQ(Ask(account, 1, kStart), 31)
      << "300 of debt and one, at 10 a second";
  EXPECT_EQ(Ask(account, 1, kStart + 30s), 1);
  EXPECT_EQ(Ask(account, 1, kStart + 31s), 0);
}

TEST(AccountTest, GivesBackWhatWasNotUsed) {
  const auto account = Make(
      {.requests = Rate{2, 1min}, .tokens = Rate{100, 1min}, .concurrency = 1});
  for (int i = 0; i < 5; ++i) {  // a failure that was ours
    Ticket ticket;
    EXPECT_FALSE(ticket.Admit(account, 80, kStart)) << i;
    ticket.Settle(0, false, kStart);
  }
  {
    Ticket lost;  // goes away unsettled
    EXPECT_FALSE(lost.Admit(account, 80, kStart));
  }
  auto headers = Headers(account.get(), kStart);
  EXPECT_EQ(headers.at("x-ratelimit-remaining-requests"), "2");
  EXPECT_EQ(headers.at("x-ratelimit-remaining-tokens"), "100");
  {
    Ticket cancelled;  // by its client, before a token came
    EXPECT_FALSE(cancelled.Admit(account, 80, kStart));
    cancelled.Settle(0, true, kStart);
  }
  headers = Headers(account.get(), kStart);
  EXPECT_EQ(headers.at("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(headers.at("x-ratelimit-remaining-tokens"), "100");
}

TEST(AccountTest, EitherLimitIsEnoughToRefuse) {
  const auto account =
      Make({.requests = Rate{1, 1min}, .tokens = Rate{1000, 1min}});
  EXPECT_EQ(Ask(account, 10, kStart), 0);
  EXPECT_EQ(Ask(account, 10, kStart), 60) << "tokens are plenty";
}

TEST(AccountTest, WhatIsGivenBackToAFullBucketRunsOver) {
  const auto account = Make({.tokens = Rate{600, 1min}});
  Ticket ticket;
  EXPECT_FALSE(ticket.Admit(account, 500, kStart));
  ticket.Settle(0, true, kStart + 1min);
  EXPECT_EQ(
      Headers(account.get(), kStart + 1min).at("x-ratelimit-remaining-tokens"),
      "600");
}

TEST(AccountTest, CountsThoseThatRun) {
  const auto account = Make({.concurrency = 2});
  Ticket one, two, three;
  EXPECT_FALSE(one.Admit(account, 1, kStart));
  EXPECT_FALSE(two.Admit(account, 1, kStart));
  const auto limited = three.Admit(account, 1, kStart);
  ASSERT_TRUE(limited);
  EXPECT_EQ(limited->limit, "concurrency");
  EXPECT_EQ(limited->seconds, 1);
  one.Settle(5, true, kStart);
  EXPECT_FALSE(three.Admit(account, 1, kStart));
}

TEST(AccountTest, OtherLimitsKeepTheLevelsAndWhoRuns) {
  const auto account = Make({.requests = Rate{10, 1min}, .concurrency = 1});
  Ticket running;
  EXPECT_FALSE(running.Admit(account, 1, kStart));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(account, 1, kStart), 1);
  account->Set({.requests = Rate{60, 1min}, .tokens = Rate{50, 1min}}, kStart);
  auto headers = Headers(account.get(), kStart);
  EXPECT_EQ(headers.at("x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(headers.at("x-ratelimit-remaining-requests"), "9") << "as before";
  EXPECT_EQ(headers.at("x-ratelimit-remaining-tokens"), "50") << "a new limit";
  account->Set({.requests = Rate{4, 1min}, .concurrency = 1}, kStart);
  headers = Headers(account.get(), kStart);
  EXPECT_EQ(headers.at("x-ratelimit-remaining-requests"), "4");
  EXPECT_EQ(headers.count("x-ratelimit-limit-tokens"), 0u);
  EXPECT_EQ(Ask(account, 1, kStart), 1) << "one still runs";
  running.Settle(1, true, kStart);
  EXPECT_EQ(Ask(account, 1, kStart), 0);
}

TEST(AccountTest, WritesTheTimeUntilAllIsThereAsOpenAiDoes) {
  const auto account =
      Make({.requests = Rate{600, 1min}, .tokens = Rate{60, 1min}});
  EXPECT_EQ(Headers(account.get(), kStart).at("x-ratelimit-reset-tokens"),
            "0s");
  Ticket ticket;
  EXPECT_FALSE(ticket.Admit(account, 1, kStart));
  EXPECT_EQ(Headers(account.get(), kStart).at("x-ratelimit-reset-requests"),
            "100ms");
  EXPECT_EQ(Headers(account.get(), kStart).at("x-ratelimit-reset-tokens"),
            "1s");
  ticket.Settle(360, true, kStart);
  EXPECT_EQ(Headers(account.get(), kStart).at("x-ratelimit-reset-tokens"),
            "6m0s");
  EXPECT_EQ(Headers(account.get(), kStart).at("x-ratelimit-remaining-tokens"),
            "0");
}

}  // namespace
}  // namespace aio::server
