// SPDX-License-Identifier: Apache-2.0
//
// How good a router between a weak and a strong model is, where it is known of
// every question which of the two answers it rightly. A router is a score; at a
// share c of strong calls the questions of the c highest scores go to the
// strong model. With q the share that is answered rightly,
//
//   PGR(c)  = (q(c) - q(0)) / (q(1) - q(0))     the gap that is recovered
//   APGR    = mean of PGR over c in 0..1        0.5 for a router that tosses
//   CPT(x)  = the least c with PGR(c) >= x      x for one that tosses
//
// (Ong et al., RouteLLM, arXiv 2406.18665, who take the mean over ten shares;
// here the area is exact.) PGR exceeds 1 where the router keeps at the weak
// model what only that answers rightly. Equal scores are taken in expectation
// over their order: the curve is linear between the borders of equals.
//
// Thread safety: pure functions; the same input gives the same bits.
// See docs/routing.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "eval/statistics.h"

namespace aio::eval {

struct RouteItem {
  int group = 0;  // questions of one subject, say
  bool weak_right = false;
  bool strong_right = false;
  double score = 0;  // 0..1: the higher, the more it wants the strong model
};

// Both models without a router. The oracle asks the strong model only where
// it alone is right.
struct RouteBounds {
  int items = 0;
  double weak = 0;
  double strong = 0;
  double oracle = 0;
  double oracle_share = 0;  // of its strong calls

  // A router that tosses, at that share of strong calls.
  double RandomMix(double share) const {
    return weak + share * (strong - weak);
  }
};
RouteBounds BoundsOf(std::span<const RouteItem> items);

// The first is {0, q(0)}, the last {1, q(1)}; between them the borders of
// equal scores. None without items.
struct RoutePoint {
  double share = 0;
  double accuracy = 0;
};
std::vector<RoutePoint> RouteCurve(std::span<const RouteItem> items);
// REQUIRES: a curve that is not empty, share in 0..1.
double AccuracyAt(std::span<const RoutePoint> curve, double share);

// With its 95 % interval by the percentile bootstrap over items.
struct Estimate {
  double value = 0;
  Interval interval;
};
struct RouteFigures {
  Estimate apgr;
  Estimate cpt50;
  Estimate cpt80;
  // Of APGR over that of another router on the same resamples.
  Estimate over;
  // The same where whole groups are drawn: what it may be on other groups.
  Interval over_groups;
};

// Of several routers on the same questions, each the items with its scores;
// `over` is against the router at `baseline`. 2000 resamples drawn by `seed`,
// the same for all; one in which the strong model is no better has no gap to
// recover and is left out. kInvalidArgument if that is so of all items.
// REQUIRES: the routers' items differ in scores only; baseline < their number.
Result<std::vector<RouteFigures>> CompareRouters(
    std::span<const std::vector<RouteItem>> routers, size_t baseline,
    uint64_t seed);

// A fold for each item: groups stay whole, the largest first into the fold
// that has the fewest items. REQUIRES: folds > 0.
std::vector<int> FoldsOfGroups(std::span<const RouteItem> items, int folds);

}  // namespace aio::eval
