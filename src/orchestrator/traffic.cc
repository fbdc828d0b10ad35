// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/traffic.h"

#include <algorithm>

namespace aio::orchestrator {
namespace {

// About the last 128 requests count.
constexpr double kKeep = 1 - 1.0 / 128;
// What has become rarer than this is forgotten.
constexpr double kLeast = 0.01;

}  // namespace

Traffic::Traffic(const Costs* costs) : costs_(*costs) {}

void Traffic::Add(const std::vector<bool>& good,
                  const cost::Estimate& estimate) {
  for (cost::TrafficClass& c : classes_) c.share *= kKeep;
  auto found = std::ranges::find(classes_, good, &cost::TrafficClass::good);
  if (found == classes_.end()) {
    std::erase_if(classes_,
                  [](const cost::TrafficClass& c) { return c.share < kLeast; });
    if (classes_.size() == kClassesMost) {
      classes_.erase(
          std::ranges::min_element(classes_, {}, &cost::TrafficClass::share));
    }
    classes_.push_back({.good = good, .share = 0});
    found = classes_.end() - 1;
  }
  // Means that forget as shares do.
  found->share += 1;
  const auto learn = [&](double* mean, double x) {
    *mean += (x - *mean) / found->share;
  };
  learn(&found->prompt_tokens,
        std::max(1, estimate.prompt_tokens - estimate.cached_tokens));
  learn(&found->output_tokens, std::max(1.0, estimate.output_tokens));
}

std::vector<bool> Traffic::Asleep(const std::vector<size_t>& in_flight) const {
  std::vector<bool> asleep(costs_.variants.size());
  for (size_t d = 0; d < costs_.devices.size(); ++d) {
    std::vector<cost::PlanVariant> variants;
    std::vector<size_t> numbers;
    for (size_t v = 0; v < costs_.variants.size(); ++v) {
      const auto& at = costs_.variants[v];
      if (!at || at->device != d) continue;
      const ModelCost& model = costs_.devices[d][at->model];
      variants.push_back(
          {&model.steps, at->model, at->coarse, model.sequences_max});
      numbers.push_back(v);
    }
    // Of those that this device is good for; who could as well be elsewhere is
    // counted too, so that nobody finds all of his variants asleep.
    std::vector<cost::TrafficClass> classes;
    for (const cost::TrafficClass& c : classes_) {
      cost::TrafficClass here = c;
      here.good.clear();
      for (const size_t v : numbers) here.good.push_back(c.good[v]);
      if (std::ranges::count(here.good, true) > 0) {
        classes.push_back(std::move(here));
      }
    }
    // And the one that is to be decided.
    const auto at_work = cost::VariantsAtWork(
        variants, classes, static_cast<double>(in_flight[d] + 1));
    for (size_t i = 0; i < numbers.size(); ++i) {
      asleep[numbers[i]] = !at_work[i];
    }
  }
  return asleep;
}

}  // namespace aio::orchestrator
