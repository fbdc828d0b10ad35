// SPDX-License-Identifier: Apache-2.0
#include "cost/step_fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "base/median.h"

namespace aio::cost {
namespace {

constexpr size_t kEnough = 3;  // steps of a width: two may both be unlucky
// Steps whose pairs differ by less from those of one prompt are of their width.
constexpr double kPairsAlike = 0.05;
// A step that took longer than so many medians was stopped by something else.
constexpr double kStalled = 4;

double Mean(const std::vector<double>& values) {
  const double most = kStalled * Median(values);
  double sum = 0;
  for (const double v : values) sum += std::min(v, most);
  return sum / static_cast<double>(values.size());
}

// Of a width that lies between those of `factors`, which is not empty.
double FactorAt(const std::map<int, double>& factors, int columns) {
  const auto next = factors.lower_bound(columns);
  if (next == factors.end()) return factors.rbegin()->second;
  if (next == factors.begin() || next->first == columns) return next->second;
  const auto before = std::prev(next);
  const double share =
      std::log(static_cast<double>(columns) / before->first) /
      std::log(static_cast<double>(next->first) / before->first);
  return before->second + share * (next->second - before->second);
}

// Steps of about one width.
struct Seen {
  std::vector<double> ratios;
  int64_t columns = 0;  // of all of them
};

// Each width of decoding for itself; prompts are of any width, so those within
// half an octave count together.
int KeyOf(int columns) {
  if (columns <= 8) return columns;
  return 8 + static_cast<int>(std::lround(2 * std::log2(columns / 8.0)));
}

void Correct(const std::map<int, Seen>& all, StepTable* table) {
  std::map<int, double> factors;
  for (const auto& [key, seen] : all) {
    const auto steps = static_cast<int64_t>(seen.ratios.size());
    if (seen.ratios.size() < kEnough) continue;
    factors[static_cast<int>((seen.columns + steps / 2) / steps)] =
        Mean(seen.ratios);
  }
  if (factors.empty()) return;
  StepTable out = *table;
  out.columns.clear();
  out.seconds.clear();
  std::vector<int> widths = table->columns;
  for (const auto& [columns, factor] : factors) widths.push_back(columns);
  std::ranges::sort(widths);
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());
  for (const int n : widths) {
    out.columns.push_back(n);
    out.seconds.push_back(table->Seconds(n, 0) * FactorAt(factors, n));
  }
  out.prefill_seconds_per_token *= factors.rbegin()->second;
  if (auto checked = Checked(std::move(out))) *table = *std::move(checked);
}

// How many pairs a step with prompts has beyond those of one prompt of its
// columns, as a share of them.
double PairsBeyond(const StepSize& size) {
  if (!size.prefill) return 0;
  const double one = 0.5 * size.columns * static_cast<double>(size.columns);
  return (size.pairs - one) / one;
}

// What several prompts took less than one of as many columns, and chunks behind
// a context more: least squares, as the tables are by now.
void CorrectPairs(std::span<const TimedStep> steps, StepCost* cost) {
  double xy = 0, xx = 0;
  size_t count = 0;
  for (const TimedStep& step : steps) {
    const double beyond = PairsBeyond(step.size);
    if (std::abs(beyond) <= kPairsAlike) continue;
    const bool coarse = step.size.coarse && cost->coarse;
    const StepTable& table = coarse ? *cost->coarse : cost->table;
    const double one =
        table.Seconds(step.size.columns, step.size.context_tokens);
    const double n = step.size.columns;
    xy += beyond * 0.5 * n * n * (step.seconds - one);
    xx += beyond * 0.5 * n * n * beyond * 0.5 * n * n;
    ++count;
  }
  if (count < kEnough) return;
  const double pair = std::max(0.0, xy / xx);
  cost->table.pair_seconds = pair;
  if (cost->coarse) cost->coarse->pair_seconds = pair;
}

}  // namespace

StepErrors ErrorsOf(const StepCost& cost, std::span<const TimedStep> steps) {
  double took = 0, all = 0;
  std::vector<double> off;
  for (const TimedStep& step : steps) {
    const double said = cost.Seconds(step.size);
    if (said <= 0) continue;
    took += step.seconds;
    all += said;
    off.push_back(std::abs(step.seconds / said - 1));
  }
  if (off.empty()) return {};
  return {static_cast<int64_t>(off.size()), took / all, Median(off)};
}

StepCost Corrected(StepCost cost, std::span<const TimedStep> steps) {
  std::map<int, Seen> fine, coarse;
  for (const TimedStep& step : steps) {
    const double said = cost.Seconds(step.size);
    if (said <= 0 || std::abs(PairsBeyond(step.size)) > kPairsAlike) continue;
    auto& all = step.size.coarse && cost.coarse ? coarse : fine;
    Seen& seen = all[KeyOf(step.size.columns)];
    seen.ratios.push_back(step.seconds / said);
    seen.columns += step.size.columns;
  }
  Correct(fine, &cost.table);
  if (cost.coarse) Correct(coarse, &*cost.coarse);
  CorrectPairs(steps, &cost);
  return cost;
}

}  // namespace aio::cost
