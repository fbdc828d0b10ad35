// SPDX-License-Identifier: Apache-2.0
#include "upstream/breaker.h"

#include <gtest/gtest.h>

namespace aio::upstream {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using State = Breaker::State;

class BreakerTest : public testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.Failed(now_);
  }
  State state() const { return breaker_.StateAt(now_); }
  int limit() const { return breaker_.LimitAt(now_, 100); }
  // Through a trial that succeeds.
  void Return() {
    now_ += 60s;
    breaker_.Succeeded(now_);
  }

  Breaker breaker_;
  Time now_{Time() + 1000s};
};

TEST_F(BreakerTest, EjectsAfterFailuresInARowAndNotBefore) {
  Fail(4);
  EXPECT_EQ(state(), State::kReady);
  Fail(1);
  EXPECT_EQ(state(), State::kEjected);
  EXPECT_EQ(limit(), 0);
}

TEST_F(BreakerTest, ASuccessBetweenFailuresStartsTheRowAnew) {
  for (int i = 0; i < 4; ++i) {
    Fail(4);
    breaker_.Succeeded(now_);
  }
  EXPECT_EQ(state(), State::kReady);
}

TEST_F(BreakerTest, EjectsWhereHalfOfManyFail) {
  for (int i = 0; i < 40 && state() == State::kReady; ++i) {
    breaker_.Succeeded(now_);
    Fail(1);
  }
  EXPECT_EQ(state(), State::kEjected);
}

TEST_F(BreakerTest, TriesOneRequestAfterAWhile) {
  Fail(5);
  now_ += 999ms;
  EXPECT_EQ(limit(), 0);
  now_ += 1ms;
  EXPECT_EQ(state(), State::kTrial);
  EXPECT_EQ(limit(), 1);
}

TEST_F(BreakerTest, IsEjectedTwiceAsLongWhereTheTrialFails) {
  Fail(5);
  now_ += 1s;
  Fail(1);
  now_ += 1999ms;
  EXPECT_EQ(state(), State::kEjected);
  now_ += 1ms;
  EXPECT_EQ(state(), State::kTrial);
}

TEST_F(BreakerTest, EjectsNoLongerThanTheMost) {
  Fail(5);
  for (int i = 0; i < 200; ++i) {
    now_ += 5s;
    ASSERT_EQ(state(), State::kTrial) << i;
    Fail(1);
  }
}

TEST_F(BreakerTest, GetsItsLoadBackLittleByLittle) {
  Fail(5);
  Return();
  EXPECT_EQ(state(), State::kReady);
  EXPECT_EQ(limit(), 1);
  now_ += 5s;
  EXPECT_EQ(limit(), 50);
  now_ += 5s;
  EXPECT_EQ(limit(), 100);
}

TEST_F(BreakerTest, AReplicaThatHasNeverFailedStartsAtOnce) {
  EXPECT_EQ(limit(), 100);
}

TEST_F(BreakerTest, FailuresOfWhatWasSentBeforeDoNotEjectForLonger) {
  Fail(5);
  Fail(100);
  now_ += 1s;
  EXPECT_EQ(state(), State::kTrial);
}

TEST_F(BreakerTest, ForgetsEjectionsAfterAGoodWhile) {
  Fail(5);
  now_ += 1s;
  Fail(1);
  Return();
  now_ += 61s;
  breaker_.Succeeded(now_);
  Fail(5);
  now_ += 1s;
  EXPECT_EQ(state(), State::kTrial);
}

TEST_F(BreakerTest, FailedChecksEjectUntilOnePasses) {
  for (int i = 0; i < 2; ++i) breaker_.HealthFailed(now_);
  EXPECT_EQ(state(), State::kReady);
  breaker_.HealthFailed(now_);
  EXPECT_EQ(state(), State::kEjected);
  for (int i = 0; i < 100; ++i) {
    now_ += 10s;
    breaker_.HealthFailed(now_);
    EXPECT_EQ(state(), State::kEjected);
  }
  breaker_.HealthPassed(now_);
  EXPECT_EQ(state(), State::kTrial);
}

TEST_F(BreakerTest, APassedCheckDoesNotEndAnEjectionByRequests) {
  Fail(5);
  breaker_.HealthPassed(now_);
  EXPECT_EQ(state(), State::kEjected);
}

TEST_F(BreakerTest, IsBusyForAsLongAsItSaid) {
  breaker_.Busy(now_ + 3s);
  EXPECT_TRUE(breaker_.busy(now_));
  EXPECT_EQ(state(), State::kReady);
  now_ += 3s;
  EXPECT_FALSE(breaker_.busy(now_));
}

TEST_F(BreakerTest, AnotherServerBeginsAnew) {
  Fail(5);
  breaker_.Reset();
  EXPECT_EQ(limit(), 100);
  EXPECT_EQ(breaker_.ejections(), 1);
}

}  // namespace
}  // namespace aio::upstream
