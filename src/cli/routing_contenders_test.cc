// SPDX-License-Identifier: Apache-2.0
#include "cli/routing_contenders.h"

#include <gtest/gtest.h>

#include <numeric>

namespace aio::cli {
namespace {

using core::Intent;
using core::Label;

void Add(RoutingQuestions* questions, const eval::RouteItem& item,
         const std::string& line, Label label) {
  questions->items.push_back(item);
  questions->lines.push_back(line);
  questions->intents.push_back(Intent::Pinned(label));
  questions->bytes.push_back(static_cast<double>(line.size()));
}

// Of each of `groups` subjects eight questions; where they ask for a proof (the
// text probe: math) only the strong model knows.
RoutingQuestions Proofs(int groups) {
  RoutingQuestions questions;
  for (int group = 0; group < groups; ++group) {
    for (int i = 0; i < 8; ++i) {
      const bool proof = i % 2 == 0;
      Add(&questions, {group, !proof, true},
          proof ? "prove that this holds always" : "name the river of the town",
          proof ? Label::kMath : Label::kQa);
    }
  }
  return questions;
}

std::vector<int> GroupsOf(const RoutingQuestions& questions) {
  std::vector<int> groups;
  for (const auto& item : questions.items) groups.push_back(item.group);
  return groups;
}

double ApgrOf(const RoutingQuestions& questions, const Scores& scores,
              Contender contender) {
  std::vector<std::vector<eval::RouteItem>> routers = {questions.items};
  for (size_t i = 0; i < routers[0].size(); ++i) {
    routers[0][i].score = scores[static_cast<size_t>(contender)][i];
  }
  const auto figures = eval::CompareRouters(routers, 0, 1);
  EXPECT_TRUE(figures);
  return figures ? (*figures)[0].apgr.value : 0;
}

TEST(RoutingContendersTest, TheTableIsTheGainOverTheMeanDrawnToNone) {
  RoutingQuestions questions;
  for (int i = 0; i < 20; ++i)
    Add(&questions, {0, false, true}, "", Label::kMath);
  for (int i = 0; i < 20; ++i) Add(&questions, {0, true, true}, "", Label::kQa);
  std::vector<size_t> all(40);
  std::iota(all.begin(), all.end(), size_t{0});
  const IntentGains gains = GainsOf(questions, all);
  // 0.5 above and below the mean of 0.5; twenty questions are half believed.
  EXPECT_DOUBLE_EQ(gains[static_cast<size_t>(Label::kMath)], 0.25);
  EXPECT_DOUBLE_EQ(gains[static_cast<size_t>(Label::kQa)], -0.25);
  EXPECT_EQ(gains[static_cast<size_t>(Label::kCode)], 0);
  EXPECT_EQ(GainsOf(questions, {}), IntentGains{});
}

TEST(RoutingContendersTest, AShareCountsEqualsHalf) {
  const std::vector<double> known = {1, 2, 2, 3};
  EXPECT_EQ(ShareBelow(known, 0), 0);
  EXPECT_EQ(ShareBelow(known, 2), 0.5);
  EXPECT_EQ(ShareBelow(known, 2.5), 0.75);
  EXPECT_EQ(ShareBelow(known, 9), 1);
  EXPECT_EQ(ShareBelow({}, 9), 0.5);
}

TEST(RoutingContendersTest, WhatHoldsInOtherSubjectsIsLearned) {
  const RoutingQuestions questions = Proofs(3);
  int steps = 0;
  const auto scores =
      ScoreByFold(questions, GroupsOf(questions), 1, [&] { ++steps; });
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_EQ(steps, 3);
  EXPECT_EQ(ApgrOf(questions, *scores, Contender::kRandom), 0.5);
  // Half of the questions hold the whole gap.
  EXPECT_EQ(ApgrOf(questions, *scores, Contender::kOracle), 0.75);
  EXPECT_EQ(ApgrOf(questions, *scores, Contender::kIntent), 0.75);
  EXPECT_EQ(ApgrOf(questions, *scores, Contender::kPredictor), 0.75);
}

// The first subject teaches the opposite of what holds in the last one. Had its
// own questions been seen in training, its scores would not be those of a
// subject with the same words and another truth.
TEST(RoutingContendersTest, ASubjectNeverTeachesAboutItself) {
  RoutingQuestions one = Proofs(2), other = Proofs(2);
  for (size_t i = one.items.size() - 8; i < one.items.size(); ++i) {
    one.items[i].weak_right = !one.items[i].weak_right;
  }
  const auto a = ScoreByFold(one, GroupsOf(one), 1, [] {});
  const auto b = ScoreByFold(other, GroupsOf(other), 1, [] {});
  ASSERT_TRUE(a && b);
  for (const Contender c : {Contender::kIntent, Contender::kPredictor}) {
    const auto& of_one = (*a)[static_cast<size_t>(c)];
    const auto& of_other = (*b)[static_cast<size_t>(c)];
    for (size_t i = one.items.size() - 8; i < one.items.size(); ++i) {
      EXPECT_EQ(of_one[i], of_other[i]);
    }
  }
}

TEST(RoutingContendersTest, OneSubjectAloneTeachesNothing) {
  const RoutingQuestions questions = Proofs(1);
  EXPECT_FALSE(ScoreByFold(questions, GroupsOf(questions), 1, [] {}));
  EXPECT_FALSE(ScoreByFold({}, {}, 1, [] {}));
}

}  // namespace
}  // namespace aio::cli
