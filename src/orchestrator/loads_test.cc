// SPDX-License-Identifier: Apache-2.0
//
// Steps that nobody can time: prices of an upstream follow its answers.
#include "orchestrator/loads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

namespace aio::orchestrator {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class LearnedLoadsTest : public testing::Test {
 protected:
  LearnedLoadsTest() {
    ModelCost model;
    model.steps = cost::UnknownSteps();
    model.learned = true;
    costs_.devices = {{model}, {model}};
    costs_.variants = {VariantCost{0, 0, false}, VariantCost{1, 0, false}};
    estimate_.prompt_tokens = 200;
    estimate_.output_tokens = 101;
  }
  // `at_once` requests, sent and ended together, whose first token takes `ttft`
  // and each further one `token`.
  void Serve(Loads* loads, size_t variant, int at_once, Duration ttft,
             Duration token) {
    const uint64_t first = next_;
    for (int i = 0; i < at_once; ++i) {
      loads->Sent(variant, next_++, estimate_,
                  std::make_shared<std::atomic<int>>(i == 0 ? 0 : 1), now_);
    }
    now_ += ttft + 100 * token;
    for (uint64_t id = first; id < next_; ++id) {
      loads->Ended(id, {Seconds(ttft), Seconds(token)}, now_);
    }
  }
  double TokenOf(const Loads& loads, size_t variant) {
    return loads.PriceOf(variant, estimate_, now_).token;
  }

  Costs costs_;
  cost::Estimate estimate_;
  Time now_{Time() + 1s};
  uint64_t next_ = 1;
};

TEST_F(LearnedLoadsTest, PricesFollowTheAnswersOfEachReplica) {
  Loads loads(&costs_);
  const double guess = TokenOf(loads, 0);
  EXPECT_NEAR(guess, 0.025, 0.002);
  for (int i = 0; i < 40; ++i) {
    Serve(&loads, 0, 1, 100ms, 10ms);
    Serve(&loads, 1, 1, 300ms, 50ms);
  }
  EXPECT_NEAR(TokenOf(loads, 0), 0.010, 0.001);
  EXPECT_NEAR(TokenOf(loads, 1), 0.050, 0.005);
  EXPECT_LT(loads.PriceOf(0, estimate_, now_).ttft,
            loads.PriceOf(1, estimate_, now_).ttft);
}

// Whoever comes while 16 are there pays for a batch of 17.
TEST_F(LearnedLoadsTest, CompanyCostsWhatItWasSeenToCost) {
  Loads loads(&costs_);
  for (int i = 0; i < 40; ++i) {
    Serve(&loads, 0, 1, 100ms, 10ms);
    Serve(&loads, 0, 17, 100ms, 26ms);
  }
  now_ += 600s;  // or more of them would be expected
  EXPECT_NEAR(TokenOf(loads, 0), 0.010, 0.0015);
  for (int i = 0; i < 16; ++i) {
    loads.Sent(0, next_++, estimate_, std::make_shared<std::atomic<int>>(1),
               now_);
  }
  EXPECT_NEAR(TokenOf(loads, 0), 0.026, 0.004);
  EXPECT_NEAR(TokenOf(loads, 1), 0.025, 0.002) << "the other knows nothing";
}

TEST_F(LearnedLoadsTest, AnAnswerOfWhichNothingIsKnownTeachesNothing) {
  Loads loads(&costs_);
  const double before = TokenOf(loads, 0);
  for (int i = 0; i < 40; ++i) {
    loads.Sent(0, next_, estimate_, std::make_shared<std::atomic<int>>(0),
               now_);
    now_ += 1s;
    loads.Ended(next_++, {}, now_);
  }
  EXPECT_NEAR(TokenOf(loads, 0), before, before * 0.01);
}

}  // namespace
}  // namespace aio::orchestrator
