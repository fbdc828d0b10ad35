// SPDX-License-Identifier: Apache-2.0
#include "policy/paper.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "policy/choice.h"

namespace aio::policy {
namespace {

constexpr std::string_view kOther = "not what the rule takes for this request";

double Entropy(const std::array<double, 3>& p) {
  double sum = 0;
  for (const double x : p) {
    // Not a probability: no entropy either, and so never certain.
    if (!(x >= 0)) return std::numeric_limits<double>::quiet_NaN();
    if (x > 0) sum -= x * std::log(x);
  }
  return sum;
}

Decision Ask(const Input& input, std::string reason) {
  Decision decision;
  decision.ask = true;
  for (const Candidate& candidate : input.candidates) {
    decision.why.push_back(candidate.unfit.empty() ? reason : candidate.unfit);
  }
  decision.reason = std::move(reason);
  return decision;
}

}  // namespace

std::array<double, 3> ProjectToThree(const core::Intent& intent) {
  const double code =
      intent.probabilities[static_cast<size_t>(core::Label::kCode)];
  const double math =
      intent.probabilities[static_cast<size_t>(core::Label::kMath)];
  return {code, math, std::max(1 - code - math, 0.0)};
}

// The published policy decides between models; it never speculates.
Decision PaperPolicy::Decide(const Input& input) const {
  Decision decision = Route(input);
  decision.strategy = core::Strategy::kPlain;
  return decision;
}

Decision PaperPolicy::Route(const Input& input) const {
  const int small = Find(input, options_.small);
  const int large = Find(input, options_.large);
  if (small == large) {
    return Choose(input, large, "the rule has one variant", kOther);
  }
  if (!Fit(input, small)) {
    return Choose(input, large,
                  options_.small + " cannot: " +
                      (small < 0 ? "absent" : input.candidates[small].unfit),
                  kOther);
  }
  const int context = input.candidates[small].estimate.context_tokens;
  if (context > options_.context_tokens_max) {
    return Choose(input, large,
                  "context " + std::to_string(context) + " > " +
                      std::to_string(options_.context_tokens_max),
                  kOther);
  }
  return ByIntent(input, small, large);
}

// Written as `entropy <= max` so that a NaN counts as uncertain.
Decision PaperPolicy::ByIntent(const Input& input, int small, int large) const {
  constexpr const char* kNames[] = {"code", "math", "other"};
  const std::array<double, 3> p = ProjectToThree(input.intent);
  const double entropy = Entropy(p);
  const size_t best = std::max_element(p.begin(), p.end()) - p.begin();
  const bool certain = entropy <= options_.entropy_max;
  const std::string said = kNames[best] + std::string(", entropy ") +
                           Short(entropy) + (certain ? " <= " : " > ") +
                           Short(options_.entropy_max);
  if (!certain && input.can_ask && Fit(input, large)) {
    return Ask(input, "uncertain (" + said + "): ask the model");
  }
  if (certain && best == 0) return Choose(input, small, said, kOther);
  return Choose(input, large, (certain ? "" : "uncertain: ") + said, kOther);
}

}  // namespace aio::policy
