// SPDX-License-Identifier: Apache-2.0
//
// The variant that is good enough and costs least now: what the request adds to
// the device's work, what it takes itself, and what it makes the others wait
// (cost/price.h, docs/cost_model.md).
//
// Good enough is relative: at least `quality_floor` of the best that a fit
// variant is expected to reach for this intent. Without a quality table that
// knows a fit variant nothing can be said of that: then it is `paper`, and says
// no_quality_table.
//
// The model probe is asked where knowing the intent is expected to save more
// than asking takes: by label, what the choice for it would save, or spare in
// answers that must be asked again elsewhere.
// Of those, one that its device keeps at work goes before those that it would
// do better without (cost/device_plan.h).
//
// Thread safety: const and stateless.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/policy.h"

namespace aio::policy {

class MarginalPolicy : public Policy {
 public:
  // Of seconds: of the device for the request, of its own, and of all others.
  struct Weights {
    double system = 1, own = 1, others = 1;
  };
  struct Options {
    std::string name = "marginal";
    double quality_floor = 0.97;
    Weights weights;
    bool plan = true;  // whether a device's plan is kept to
    std::shared_ptr<const Policy> fallback;  // REQUIRED
  };
  explicit MarginalPolicy(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return options_.name; }
  bool prices() const override { return true; }
  Decision Decide(const Input& input) const override;

 private:
  // [candidate] which are good enough, for `label` or for what is known; empty
  // if nothing is known of any.
  std::vector<bool> GoodEnough(const Input& input,
                               std::optional<size_t> label) const;
  // Of those the one to take, for `label` or for what is known; -1: none.
  int Cheapest(const Input& input, std::optional<size_t> label) const;
  int ReplicaOf(const Input& input, int chosen) const;
  double CostOf(const Candidate& candidate) const;
  double CostOf(const cost::Price& price, double device_price) const;
  double CostOf(const Input& input, const AskPrice& ask) const;
  double ValueOfKnowing(const Input& input, int chosen) const;
  bool WorthAsking(const Input& input, int chosen) const;

  const Options options_;
};

}  // namespace aio::policy
