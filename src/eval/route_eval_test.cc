// SPDX-License-Identifier: Apache-2.0
#include "eval/route_eval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace aio::eval {
namespace {

using Items = std::vector<RouteItem>;

// Eight questions: 2 both, 3 the strong one only, 1 the weak one only, 2
// neither. Weak 3/8, strong 5/8, gap 2.
Items Questions() {
  return {{0, true, true},   {0, true, true},  {0, false, true},
          {1, false, true},  {1, false, true}, {1, true, false},
          {2, false, false}, {2, false, false}};
}

Items Scored(Items items, const std::vector<double>& scores) {
  for (size_t i = 0; i < items.size(); ++i) items[i].score = scores[i];
  return items;
}

RouteFigures FiguresOf(const Items& items, uint64_t seed = 1) {
  const std::vector<Items> routers = {items};
  const auto figures = CompareRouters(routers, 0, seed);
  EXPECT_TRUE(figures) << figures.error().message;
  return figures ? figures->front() : RouteFigures{};
}

TEST(RouteEvalTest, TheBoundsAreThoseOfTheModelsAndOfTheOracle) {
  const RouteBounds bounds = BoundsOf(Questions());
  EXPECT_EQ(bounds.items, 8);
  EXPECT_EQ(bounds.weak, 3.0 / 8);
  EXPECT_EQ(bounds.strong, 5.0 / 8);
  EXPECT_EQ(bounds.oracle, 6.0 / 8);
  EXPECT_EQ(bounds.oracle_share, 3.0 / 8);
  EXPECT_EQ(bounds.RandomMix(0.5), 4.0 / 8);
  EXPECT_EQ(BoundsOf({}).items, 0);
}

// PGR climbs to 3/2 within 3 of 8 calls, stays for 4, falls to 1 with the
// last: area (3 * 3/4 + 4 * 3/2 + 5/4) / 8 = 9.5 / 8.
TEST(RouteEvalTest, APerfectScoreRecoversMoreThanTheGap) {
  const RouteFigures f =
      FiguresOf(Scored(Questions(), {0.5, 0.5, 1, 1, 1, 0, 0.5, 0.5}));
  EXPECT_DOUBLE_EQ(f.apgr.value, 9.5 / 8);
  EXPECT_DOUBLE_EQ(f.cpt50.value, 1.0 / 8);
  EXPECT_DOUBLE_EQ(f.cpt80.value, 1.6 / 8);
}

// PGR falls to -1/2 with the first call, stays for 4 and climbs in the last 3:
// area (-1/4 - 4 * 1/2 + 3 * 1/4) / 8; half the gap is back after two of them.
TEST(RouteEvalTest, AReversedScoreIsWorseThanTossing) {
  const RouteFigures f =
      FiguresOf(Scored(Questions(), {0.5, 0.5, 0, 0, 0, 1, 0.5, 0.5}));
  EXPECT_DOUBLE_EQ(f.apgr.value, -1.5 / 8);
  EXPECT_DOUBLE_EQ(f.cpt50.value, 7.0 / 8);
  EXPECT_DOUBLE_EQ(f.cpt80.value, 7.6 / 8);
}

TEST(RouteEvalTest, AScoreThatSaysNothingIsExactlyTossing) {
  const Items items = Scored(Questions(), std::vector<double>(8, 0.3));
  const RouteFigures f = FiguresOf(items);
  EXPECT_EQ(f.apgr.value, 0.5);
  EXPECT_EQ(f.apgr.interval.low, 0.5);
  EXPECT_EQ(f.apgr.interval.high, 0.5);
  EXPECT_DOUBLE_EQ(f.cpt50.value, 0.5);
  EXPECT_DOUBLE_EQ(f.cpt80.value, 0.8);
  const auto curve = RouteCurve(items);
  EXPECT_EQ(curve.size(), 2u);
  EXPECT_EQ(AccuracyAt(curve, 0.25), BoundsOf(items).RandomMix(0.25));
}

TEST(RouteEvalTest, EqualScoresDoNotDependOnTheOrderOfTheFile) {
  Items items = Scored(Questions(), {1, 0, 1, 0, 1, 0, 1, 0});
  const RouteFigures one = FiguresOf(items);
  std::reverse(items.begin(), items.end());
  const RouteFigures other = FiguresOf(items);
  EXPECT_EQ(one.apgr.value, other.apgr.value);
  EXPECT_EQ(one.cpt80.value, other.cpt80.value);
  // Of the upper four two gain: PGR 1 after half of the calls, then +1 -1.
  EXPECT_DOUBLE_EQ(one.apgr.value, 0.75);
  EXPECT_DOUBLE_EQ(one.cpt50.value, 0.25);
}

TEST(RouteEvalTest, TheCurveIsReadBetweenItsBorders) {
  const auto curve =
      RouteCurve(Scored(Questions(), {0.5, 0.5, 1, 1, 1, 0, 0.5, 0.5}));
  ASSERT_EQ(curve.size(), 4u);
  EXPECT_EQ(curve[1].share, 3.0 / 8);
  EXPECT_EQ(curve[1].accuracy, 6.0 / 8);
  EXPECT_EQ(AccuracyAt(curve, 0), 3.0 / 8);
  EXPECT_EQ(AccuracyAt(curve, 1.5 / 8), 4.5 / 8);
  EXPECT_EQ(AccuracyAt(curve, 1), 5.0 / 8);
  EXPECT_TRUE(RouteCurve({}).empty());
}

TEST(RouteEvalTest, OneQuestionThatOnlyTheStrongModelKnowsIsEnough) {
  const RouteFigures f = FiguresOf({{0, false, true, 1}});
  EXPECT_EQ(f.apgr.value, 0.5);
  EXPECT_EQ(f.cpt80.interval.low, 0.8);
}

TEST(RouteEvalTest, WithoutAGapThereIsNothingToRecover) {
  for (const Items& items :
       {Items{}, Items{{0, true, true, 1}}, Items{{0, true, false, 1}}}) {
    const std::vector<Items> routers = {items};
    const auto figures = CompareRouters(routers, 0, 1);
    ASSERT_FALSE(figures);
    EXPECT_EQ(figures.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(RouteEvalTest, IntervalsHoldTheValueAndFollowTheSeed) {
  Items good, none;
  for (int i = 0; i < 400; ++i) {
    const bool strong = i % 10 < 7, weak = i % 10 < 3 || i % 10 == 9;
    // Right about three of four questions that only the strong one knows.
    const bool said = strong && !weak ? i % 4 != 0 : i % 4 == 0;
    good.push_back({i % 7, weak, strong, said ? 0.9 : 0.1});
    none.push_back({i % 7, weak, strong, 0.5});
  }
  const std::vector<Items> routers = {none, good};
  const auto a = CompareRouters(routers, 0, 1);
  const auto b = CompareRouters(routers, 0, 1);
  const auto c = CompareRouters(routers, 0, 2);
  ASSERT_TRUE(a && b && c);
  const RouteFigures& f = (*a)[1];
  for (const Estimate& e : {f.apgr, f.cpt50, f.cpt80, f.over}) {
    EXPECT_LT(e.interval.low, e.value);
    EXPECT_GT(e.interval.high, e.value);
  }
  EXPECT_EQ(f.apgr.interval.low, (*b)[1].apgr.interval.low);
  EXPECT_NE(f.apgr.interval.low, (*c)[1].apgr.interval.low);
  EXPECT_DOUBLE_EQ(f.over.value, f.apgr.value - 0.5);
  EXPECT_GT(f.over.interval.low, 0);
  EXPECT_EQ((*a)[0].over.interval.high, 0);
}

// Ten subjects, each of one question ten times over: ten times as many items
// say no more about other subjects.
TEST(RouteEvalTest, DrawingWholeGroupsIsWiderWhereTheyAreAlike) {
  Items good, none;
  for (int i = 0; i < 100; ++i) {
    const int group = i / 10;
    const bool weak = group % 2 == 0;
    good.push_back({group, weak, true, (group < 5) == weak ? 0.1 : 0.9});
    none.push_back({group, weak, true, 0.5});
  }
  const std::vector<Items> routers = {none, good};
  const auto figures = CompareRouters(routers, 0, 1);
  ASSERT_TRUE(figures);
  const RouteFigures& f = (*figures)[1];
  // By the square root of ten, give or take.
  const double wide = f.over_groups.high - f.over_groups.low;
  EXPECT_GT(wide, 2 * (f.over.interval.high - f.over.interval.low));
}

TEST(RouteEvalTest, FoldsKeepGroupsWholeAndAreOfLikeSize) {
  Items items;
  for (int group = 0; group < 9; ++group) {
    for (int i = 0; i <= 3 * group; ++i) items.push_back({group});
  }
  const std::vector<int> folds = FoldsOfGroups(items, 3);
  std::vector<std::set<int>> of_group(9);
  std::vector<int> sizes(3, 0);
  for (size_t i = 0; i < items.size(); ++i) {
    of_group[static_cast<size_t>(items[i].group)].insert(folds[i]);
    ++sizes[static_cast<size_t>(folds[i])];
  }
  for (const auto& in : of_group) EXPECT_EQ(in.size(), 1u);
  // 117 questions of groups of 1 to 25.
  for (const int size : sizes) EXPECT_NEAR(size, 39, 3);
}

}  // namespace
}  // namespace aio::eval
