// SPDX-License-Identifier: Apache-2.0
#include "cost/device_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/check.h"

namespace aio::cost {
namespace {

constexpr double kWorthwhile = 0.98;
constexpr int kRounds = 4;  // until sequences are spread as tokens need them

double DecodeSeconds(const PlanVariant& v, double columns, double context) {
  StepSize size = {.columns = std::max(1, static_cast<int>(columns + 0.5))};
  size.coarse = v.coarse;
  size.context_tokens = static_cast<int64_t>(context);
  return v.steps->Seconds(size);
}

// [class][variant] seconds of one request alone.
struct Alone {
  double prompt = 0, step = 0;
};
using Costs = std::vector<std::vector<Alone>>;

Costs CostsOf(std::span<const PlanVariant> variants,
              std::span<const TrafficClass> classes) {
  Costs out;
  for (const TrafficClass& c : classes) {
    CHECK(c.good.size() == variants.size());
    std::vector<Alone>& row = out.emplace_back();
    for (const PlanVariant& v : variants) {
      StepSize prompt = {.columns =
                             std::max(1, static_cast<int>(c.prompt_tokens))};
      prompt.coarse = v.coarse;
      row.push_back(
          {v.steps->Seconds(prompt),
           DecodeSeconds(v, 1, c.prompt_tokens + 0.5 * c.output_tokens)});
    }
  }
  return out;
}

// A model that some classes are on.
struct Busy {
  PlanVariant fine;    // coarse only if all of them are
  double tokens = 0;   // of an average request
  double context = 0;  // of a sequence, times tokens
  double sequences = 0;
};

// Sequences pile up where steps are slow. Of a device's time a model gets a
// share in proportion to the root of the sequences it has, n: so the tokens it
// serves go as n^1.5 / step. Once a model is full, more wait for it, and there
// are no more on the others either.
void Spread(double in_flight, std::vector<Busy>* models) {
  const auto to = [&](auto weight) {
    double sum = 0;
    for (Busy& m : *models) sum += m.sequences = weight(m);
    double scale = in_flight / sum;
    for (const Busy& m : *models) {
      scale = std::min(scale, m.fine.sequences_max / m.sequences);
    }
    for (Busy& m : *models) m.sequences *= scale;
  };
  to([](const Busy& m) { return std::pow(m.tokens, 2.0 / 3); });
  for (int i = 0; i < kRounds; ++i) {
    to([](const Busy& m) {
      return std::pow(m.tokens * DecodeSeconds(m.fine, m.sequences, 0),
                      2.0 / 3);
    });
  }
}

struct Outlook {
  double seconds = 0;      // of an average request
  std::vector<bool> used;  // [variant]
};

// Each class goes where it alone takes least.
Outlook Look(std::span<const PlanVariant> variants,
             std::span<const TrafficClass> classes, const Costs& costs,
             const std::vector<bool>& at_work, double in_flight) {
  Outlook out;
  out.used.resize(variants.size());
  double& seconds = out.seconds;
  double shares = 0;
  for (const TrafficClass& c : classes) shares += c.share;
  std::vector<std::optional<Busy>> models(variants.size());  // [model's first]
  for (size_t c = 0; c < classes.size(); ++c) {
    const auto own = [&](size_t v) {
      return costs[c][v].prompt + classes[c].output_tokens * costs[c][v].step;
    };
    std::optional<size_t> on;
    for (size_t v = 0; v < variants.size(); ++v) {
      if (!at_work[v] || !classes[c].good[v]) continue;
      if (!on || own(v) < own(*on)) on = v;
    }
    if (!on) return {std::numeric_limits<double>::infinity(), {}};
    out.used[*on] = true;
    const double share = classes[c].share / shares;
    seconds += share * costs[c][*on].prompt;
    size_t first = 0;
    while (variants[first].model != variants[*on].model) ++first;
    std::optional<Busy>& m = models[first];
    if (!m) m = Busy{.fine = variants[*on]};
    m->fine.coarse = m->fine.coarse && variants[*on].coarse;
    const double tokens = share * std::max(1.0, classes[c].output_tokens);
    m->tokens += tokens;
    m->context +=
        tokens * (classes[c].prompt_tokens + 0.5 * classes[c].output_tokens);
  }
  std::vector<Busy> busy;
  for (const auto& m : models) {
    if (m) busy.push_back(*m);
  }
  Spread(std::max(1.0, in_flight), &busy);
  for (const Busy& m : busy) {
    const double n = std::max(1.0, m.sequences);
    seconds +=
        m.tokens * DecodeSeconds(m.fine, n, n * m.context / m.tokens) / n;
  }
  return out;
}

}  // namespace

double SecondsARequest(std::span<const PlanVariant> variants,
                       std::span<const TrafficClass> classes,
                       const std::vector<bool>& at_work, double in_flight) {
  return Look(variants, classes, CostsOf(variants, classes), at_work, in_flight)
      .seconds;
}

std::vector<bool> VariantsAtWork(std::span<const PlanVariant> variants,
                                 std::span<const TrafficClass> classes,
                                 double in_flight) {
  const std::vector<bool> all(variants.size(), true);
  if (classes.empty() || in_flight <= 1) return all;
  if (variants.size() > kPlanVariantsMost) return all;
  const Costs costs = CostsOf(variants, classes);
  Outlook best = Look(variants, classes, costs, all, in_flight);
  double least = kWorthwhile * best.seconds;
  for (uint32_t set = 1; set + 1 < (1U << variants.size()); ++set) {
    std::vector<bool> at_work;
    for (size_t v = 0; v < variants.size(); ++v) {
      at_work.push_back((set >> v & 1) != 0);
    }
    Outlook outlook = Look(variants, classes, costs, at_work, in_flight);
    if (outlook.seconds >= least) continue;
    least = outlook.seconds;
    best = std::move(outlook);
  }
  return best.used;
}

}  // namespace aio::cost
