// SPDX-License-Identifier: Apache-2.0
#include "eval/route_eval.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace aio::eval {
namespace {

constexpr uint64_t kResamples = 2000;

// In whole questions, so that sums are exact.
struct Border {
  int64_t calls = 0;  // of the strong model
  int64_t right = 0;
};

// The items of one router by falling score.
class Ranking {
 public:
  explicit Ranking(std::span<const RouteItem> items)
      : items_(items), order_(items.size()) {
    for (const RouteItem& item : items) {
      CHECK(item.score >= 0 && item.score <= 1);
    }
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::ranges::stable_sort(order_, [&](size_t a, size_t b) {
      return items_[a].score > items_[b].score;
    });
  }

  // Where item i stands `times[i]` times in the sample.
  std::vector<Border> Borders(std::span<const int> times) const {
    Border at;
    for (size_t i = 0; i < items_.size(); ++i) {
      at.right += times[i] * items_[i].weak_right;
    }
    std::vector<Border> borders = {at};
    for (size_t k = 0; k < order_.size(); ++k) {
      const RouteItem& item = items_[order_[k]];
      const int n = times[order_[k]];
      at.calls += n;
      at.right += n * (item.strong_right - item.weak_right);
      const bool last =
          k + 1 == order_.size() || items_[order_[k + 1]].score < item.score;
      if (last && at.calls > borders.back().calls) borders.push_back(at);
    }
    return borders;
  }

 private:
  std::span<const RouteItem> items_;
  std::vector<size_t> order_;
};

int64_t GapOf(const std::vector<Border>& borders) {
  return borders.back().right - borders.front().right;
}

// The area under PGR. REQUIRES: a gap.
double Apgr(const std::vector<Border>& borders) {
  const int64_t weak = borders.front().right;
  int64_t twice = 0;
  for (size_t i = 1; i < borders.size(); ++i) {
    twice += (borders[i].calls - borders[i - 1].calls) *
             (borders[i].right + borders[i - 1].right - 2 * weak);
  }
  return static_cast<double>(twice) /
         static_cast<double>(2 * GapOf(borders) * borders.back().calls);
}

// The least share that recovers `part` of the gap. REQUIRES: a gap, part in
// 0..1 and above 0, so that the first border is below.
double CallsFor(double part, const std::vector<Border>& borders) {
  const double wanted = static_cast<double>(borders.front().right) +
                        part * static_cast<double>(GapOf(borders));
  size_t i = 1;
  while (static_cast<double>(borders[i].right) < wanted) ++i;
  const Border from = borders[i - 1], to = borders[i];
  const double within = (wanted - static_cast<double>(from.right)) /
                        static_cast<double>(to.right - from.right);
  const double calls = static_cast<double>(from.calls) +
                       within * static_cast<double>(to.calls - from.calls);
  return calls / static_cast<double>(borders.back().calls);
}

// APGR, CPT(50), CPT(80).
using Values = std::array<double, 3>;

Values ValuesOf(const std::vector<Border>& borders) {
  return {Apgr(borders), CallsFor(0.5, borders), CallsFor(0.8, borders)};
}

Estimate Around(double value, std::vector<double> drawn) {
  if (drawn.empty()) return {value, {value, value}};
  std::ranges::sort(drawn);
  const auto at = [&](double share) {
    return drawn[static_cast<size_t>(share *
                                     static_cast<double>(drawn.size() - 1))];
  };
  return {value, {at(0.025), at(0.975)}};
}

// What is drawn together: items of one group, or each item alone.
using Units = std::vector<std::vector<size_t>>;

Units Alone(size_t items) {
  Units units(items);
  for (size_t i = 0; i < items; ++i) units[i] = {i};
  return units;
}

Units Groups(std::span<const RouteItem> items) {
  std::map<int, std::vector<size_t>> groups;
  for (size_t i = 0; i < items.size(); ++i) {
    groups[items[i].group].push_back(i);
  }
  Units units;
  for (auto& [group, members] : groups) units.push_back(std::move(members));
  return units;
}

// [resample with a gap][router]
std::vector<std::vector<Values>> Resample(const std::vector<Ranking>& rankings,
                                          const Units& units, size_t items,
                                          uint64_t seed) {
  std::vector<std::vector<Values>> out;
  std::vector<int> times(items);
  for (uint64_t round = 0; round < kResamples; ++round) {
    std::ranges::fill(times, 0);
    for (uint64_t i = 0; i < units.size(); ++i) {
      const size_t drawn = RandomBits(seed, round, i) % units.size();
      for (const size_t item : units[drawn]) ++times[item];
    }
    std::vector<Values> values;
    for (const Ranking& ranking : rankings) {
      const auto borders = ranking.Borders(times);
      if (GapOf(borders) <= 0) break;  // of all routers alike
      values.push_back(ValuesOf(borders));
    }
    if (values.size() == rankings.size()) out.push_back(std::move(values));
  }
  return out;
}

}  // namespace

RouteBounds BoundsOf(std::span<const RouteItem> items) {
  RouteBounds bounds;
  bounds.items = static_cast<int>(items.size());
  if (items.empty()) return bounds;
  int weak = 0, strong = 0, only_strong = 0;
  for (const RouteItem& item : items) {
    weak += item.weak_right;
    strong += item.strong_right;
    only_strong += item.strong_right && !item.weak_right;
  }
  const double n = bounds.items;
  bounds.weak = weak / n;
  bounds.strong = strong / n;
  bounds.oracle = (weak + only_strong) / n;
  bounds.oracle_share = only_strong / n;
  return bounds;
}

std::vector<RoutePoint> RouteCurve(std::span<const RouteItem> items) {
  std::vector<RoutePoint> curve;
  if (items.empty()) return curve;
  const double n = static_cast<double>(items.size());
  const std::vector<int> once(items.size(), 1);
  for (const Border& border : Ranking(items).Borders(once)) {
    curve.push_back({static_cast<double>(border.calls) / n,
                     static_cast<double>(border.right) / n});
  }
  return curve;
}

double AccuracyAt(std::span<const RoutePoint> curve, double share) {
  CHECK(!curve.empty() && share >= 0 && share <= 1);
  size_t i = 1;
  while (curve[i].share < share) ++i;
  const RoutePoint from = curve[i - 1], to = curve[i];
  return from.accuracy + (to.accuracy - from.accuracy) * (share - from.share) /
                             (to.share - from.share);
}

Result<std::vector<RouteFigures>> CompareRouters(
    std::span<const std::vector<RouteItem>> routers, size_t baseline,
    uint64_t seed) {
  CHECK(baseline < routers.size());
  std::vector<Ranking> rankings;
  std::vector<Values> values;
  const size_t items = routers.front().size();
  const std::vector<int> once(items, 1);
  for (const auto& router : routers) {
    CHECK(router.size() == items);
    rankings.emplace_back(router);
    const auto borders = rankings.back().Borders(once);
    if (GapOf(borders) <= 0) {
      return Error{ErrorCode::kInvalidArgument,
                   "the strong model is no better than the weak one: there is "
                   "no gap to recover",
                   ""};
    }
    values.push_back(ValuesOf(borders));
  }
  const auto drawn = Resample(rankings, Alone(items), items, seed);
  const auto groups = Resample(rankings, Groups(routers.front()), items, seed);
  std::vector<RouteFigures> figures;
  for (size_t r = 0; r < routers.size(); ++r) {
    const auto of = [&](size_t v) {
      std::vector<double> each;
      for (const auto& sample : drawn) each.push_back(sample[r][v]);
      return Around(values[r][v], std::move(each));
    };
    const auto over = [&](const std::vector<std::vector<Values>>& samples) {
      std::vector<double> each;
      for (const auto& sample : samples) {
        each.push_back(sample[r][0] - sample[baseline][0]);
      }
      return Around(values[r][0] - values[baseline][0], std::move(each));
    };
    figures.push_back(
        {of(0), of(1), of(2), over(drawn), over(groups).interval});
  }
  return figures;
}

std::vector<int> FoldsOfGroups(std::span<const RouteItem> items, int folds) {
  CHECK(folds > 0);
  std::map<int, int> sizes;
  for (const RouteItem& item : items) ++sizes[item.group];
  std::vector<std::pair<int, int>> largest;  // -size, group
  for (const auto& [group, size] : sizes) largest.emplace_back(-size, group);
  std::ranges::sort(largest);
  std::vector<int> load(static_cast<size_t>(folds), 0);
  std::map<int, int> fold_of;
  for (const auto& [size, group] : largest) {
    const auto least = std::ranges::min_element(load);
    *least -= size;
    fold_of[group] = static_cast<int>(least - load.begin());
  }
  std::vector<int> out;
  for (const RouteItem& item : items) out.push_back(fold_of[item.group]);
  return out;
}

}  // namespace aio::eval
