// SPDX-License-Identifier: Apache-2.0
#include "sched/column_budget.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "base/random.h"

namespace aio::sched {
namespace {

// A step of n columns takes c(n) ms.
cost::StepTable Table(const std::function<double(int)>& c) {
  cost::StepTable table;
  for (int n = 1; n <= 64; ++n) {
    table.columns.push_back(n);
    table.seconds.push_back(c(n) * 1e-3);
  }
  table.prefill_seconds_per_token = 1e-3;
  return table;
}

// Free up to eight columns, then twice the price up to sixteen, and so on.
double Stairs(int n) { return (n + 7) / 8; }

struct Offered {
  int tokens;
  double acceptance;
  bool by_model = false;
};

std::vector<int> Share(ColumnBudget::Base base, std::vector<Offered> offered) {
  std::vector<DraftSwitch> switches(offered.size());
  std::vector<DraftOffer> offers;
  for (size_t i = 0; i < offered.size(); ++i) {
    offers.push_back({offered[i].tokens, offered[i].acceptance,
                      offered[i].by_model, &switches[i]});
  }
  ColumnBudget budget;
  const auto counts = budget.Share(base, offers);
  return {counts.begin(), counts.end()};
}

ColumnBudget::Base Base(const cost::StepTable& table, int columns) {
  ColumnBudget::Base base;
  base.table = &table;
  base.columns = base.tokens = columns;
  base.columns_free = 32;
  return base;
}

TEST(ColumnBudgetTest, FreeColumnsAreAllTaken) {
  const auto table = Table(Stairs);
  EXPECT_EQ(Share(Base(table, 1), {{15, 0.5}}), (std::vector<int>{7}));
  EXPECT_EQ(Share(Base(table, 1), {{4, 0.5}}), (std::vector<int>{4}));
}

TEST(ColumnBudgetTest, AStairIsClimbedWhereWhatFollowsPaysForIt) {
  const auto table = Table([](int n) { return 0.5 + 0.5 * Stairs(n); });
  // 16 columns instead of 8: 13.8 tokens for 1.5 ms instead of 7.5 for 1.
  EXPECT_EQ(Share(Base(table, 1), {{15, 0.98}}), (std::vector<int>{15}));
  EXPECT_EQ(Share(Base(table, 1), {{15, 0.8}}), (std::vector<int>{7}));
}

TEST(ColumnBudgetTest, AFullBatchDraftsNothingThatDoesNotPay) {
  const auto table = Table(Stairs);
  EXPECT_EQ(Share(Base(table, 8), {{15, 0.6}}), (std::vector<int>{0}));
  // Nor does anyone where each column costs like the first.
  const auto dear = Table([](int n) { return n; });
  EXPECT_EQ(Share(Base(dear, 1), {{15, 0.9}}), (std::vector<int>{0}));
}

TEST(ColumnBudgetTest, TheLikelyGetTheColumns) {
  const auto table = Table(Stairs);
  const auto counts = Share(Base(table, 4), {{15, 0.9}, {15, 0.1}, {15, 0.9}});
  EXPECT_EQ(counts, (std::vector<int>{2, 0, 2}));
}

TEST(ColumnBudgetTest, ADraftModelsRoundsArePartOfThePrice) {
  const auto large = Table([](int) { return 7.0; });
  const auto small = Table([](int) { return 1.0; });
  const auto slow = Table([](int) { return 6.0; });
  ColumnBudget::Base base = Base(large, 1);
  base.draft_table = &small;
  // tokens (1 - a^(k+1)) / (1 - a) over 7 + k has its maximum at 5.
  EXPECT_EQ(Share(base, {{15, 0.8, true}}), (std::vector<int>{5}));
  EXPECT_EQ(Share(base, {{15, 0.8, false}}), (std::vector<int>{15}));
  base.draft_table = &slow;
  EXPECT_EQ(Share(base, {{15, 0.8, true}}), (std::vector<int>{0}));
}

// Against all ways to share a few columns, in their order of survival.
TEST(ColumnBudgetTest, IsTheBestPrefixOfTheOrder) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const auto random = [&](uint64_t i) { return RandomUnit(seed, 1, i); };
    std::vector<double> c = {1};
    for (int n = 2; n <= 64; ++n) {
      c.push_back(c.back() + 0.6 * std::pow(random(n), 4));
    }
    const auto table = Table([&](int n) { return c[n - 1]; });
    const int columns = 1 + static_cast<int>(seed % 5);
    std::vector<Offered> offered;
    std::vector<double> survivals;
    for (int i = 0; i < columns; ++i) {
      const double a = random(100 + i);
      offered.push_back({1 + static_cast<int>(random(200 + i) * 12), a});
      for (int j = 1; j <= offered.back().tokens; ++j) {
        survivals.push_back(std::pow(a, j));
      }
    }
    std::sort(survivals.rbegin(), survivals.rend());
    const auto goodput = [&](size_t n) {
      return std::accumulate(survivals.begin(), survivals.begin() + n,
                             static_cast<double>(columns)) /
             c[columns + n - 1];
    };
    double best = goodput(0);
    for (size_t n = 1; n <= std::min<size_t>(32, survivals.size()); ++n) {
      best = std::max(best, goodput(n));
    }
    const auto counts = Share(Base(table, columns), offered);
    double tokens = columns;
    int taken = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      for (int j = 1; j <= counts[i]; ++j) {
        tokens += std::pow(offered[i].acceptance, j);
      }
      taken += counts[i];
    }
    // Within the two percent that a gain must be to count.
    EXPECT_GE(tokens / c[columns + taken - 1] * 1.0201, best) << seed;
  }
}

TEST(DraftSwitchTest, HoldsForEightSteps) {
  DraftSwitch hold;
  EXPECT_EQ(hold.Hold(0), 0);  // at once: it has held long enough
  for (int i = 1; i < DraftSwitch::kHoldSteps; ++i) EXPECT_EQ(hold.Hold(5), 0);
  EXPECT_EQ(hold.Hold(5), 5);
  for (int i = 1; i < DraftSwitch::kHoldSteps; ++i) EXPECT_EQ(hold.Hold(0), 1);
  EXPECT_EQ(hold.Hold(0), 0);
}

// A prompt that comes brings the edge near: drafts that paid a step before
// would take the whole step over it.
TEST(ColumnBudgetTest, ASwitchThatIsHeldDoesNotClimbAStair) {
  const auto table = Table([](int n) { return n <= 16 ? 1.0 : 5.0; });
  DraftSwitch hold;
  const std::vector<DraftOffer> offers = {{4, 0.9, false, &hold}};
  ColumnBudget budget;
  // Off and on again: now it is held on.
  ColumnBudget::Base full = Base(table, 16);
  EXPECT_EQ(budget.Share(full, offers)[0], 0);
  while (budget.Share(Base(table, 8), offers)[0] == 0) {
  }
  EXPECT_EQ(budget.Share(full, offers)[0], 0);
  // It is held yet: where it is cheap, it goes on though it does not pay.
  const auto slope = Table([](int n) { return 1 + 0.1 * n; });
  ColumnBudget::Base worse = Base(slope, 16);
  EXPECT_EQ(budget.Share(worse, {{{4, 0.01, false, &hold}}})[0], 1);
}

TEST(ColumnBudgetTest, WhenNothingIsDraftedOneTokenIsInThirtyTwoSteps) {
  const auto dear = Table([](int n) { return n; });
  DraftSwitch a, b;
  const std::vector<DraftOffer> offers = {{9, 0.2, false, &a},
                                          {9, 0.4, false, &b}};
  ColumnBudget budget;
  int drafted = 0;
  for (int step = 1; step <= 4 * ColumnBudget::kProbeSteps; ++step) {
    const auto counts = budget.Share(Base(dear, 2), offers);
    EXPECT_EQ(counts[0], 0);
    EXPECT_EQ(counts[1], step % ColumnBudget::kProbeSteps == 0 ? 1 : 0);
    drafted += counts[1];
  }
  EXPECT_EQ(drafted, 4);
}

}  // namespace
}  // namespace aio::sched
