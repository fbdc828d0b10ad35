// SPDX-License-Identifier: Apache-2.0
#include "cost/acceptance.h"

#include <gtest/gtest.h>

namespace aio::cost {
namespace {

using core::Label;

TEST(AcceptanceTest, BucketsAreOfMatchLengths) {
  EXPECT_EQ(LookupBucket(3), 0);
  EXPECT_EQ(LookupBucket(4), 1);
  EXPECT_EQ(LookupBucket(5), 1);
  EXPECT_EQ(LookupBucket(6), 2);
  EXPECT_EQ(LookupBucket(8), 2);
  EXPECT_EQ(LookupBucket(9), 3);
  EXPECT_EQ(LookupBucket(16), 3);
  EXPECT_EQ(LookupBucket(17), 4);
  EXPECT_EQ(LookupBucket(1000), 4);
}

TEST(AcceptanceTest, WhatComesBehindAWrongTokenTellsNothing) {
  DecayedRate rate;
  rate.Learn(7, 2, 1);  // two right, one wrong, four unknown
  EXPECT_EQ(rate.kept, 2);
  EXPECT_EQ(rate.tried, 3);
  rate.Learn(3, 3, 1);  // nothing was wrong
  EXPECT_EQ(rate.kept, 5);
  EXPECT_EQ(rate.tried, 6);
}

TEST(AcceptanceTest, LongerMatchesAndCopyingIntentsStartHigher) {
  const Acceptance nothing;
  const Acceptance::Own own;
  for (int b = 1; b < kModelBucket; ++b) {
    EXPECT_GT(nothing.Of(own, {}, b), nothing.Of(own, {}, b - 1));
  }
  EXPECT_GT(nothing.Of(own, Label::kExtract, 2),
            nothing.Of(own, Label::kCreative, 2));
}

TEST(AcceptanceTest, ARequestsOwnExperiencePrevails) {
  Acceptance acceptance;
  Acceptance::Own bad, good, fresh;
  for (int i = 0; i < 40; ++i) {
    acceptance.Learn(Label::kQa, 1, 4, 0, &bad);
    acceptance.Learn(Label::kQa, 1, 4, 4, &good);
  }
  EXPECT_LT(acceptance.Of(bad, Label::kQa, 1), 0.3);
  EXPECT_GT(acceptance.Of(good, Label::kQa, 1), 0.85);
  // A new one is taken for what the others were: 160 of 200.
  EXPECT_NEAR(acceptance.Of(fresh, Label::kQa, 1), 0.8, 0.03);
  // Other buckets and intents have learned nothing.
  EXPECT_EQ(acceptance.Of(fresh, Label::kQa, 2),
            Acceptance().Of(fresh, Label::kQa, 2));
  EXPECT_EQ(acceptance.Of(fresh, Label::kCode, 1),
            Acceptance().Of(fresh, Label::kCode, 1));
}

TEST(AcceptanceTest, ARequestThatChangesIsSoonBelieved) {
  Acceptance acceptance;
  Acceptance::Own own;
  for (int i = 0; i < 500; ++i) acceptance.Learn({}, 0, 4, 4, &own);
  for (int i = 0; i < 100; ++i) acceptance.Learn({}, 0, 4, 0, &own);
  EXPECT_LT(acceptance.Of(own, {}, 0), 0.5);
}

}  // namespace
}  // namespace aio::cost
