// SPDX-License-Identifier: Apache-2.0
#include "policy/random.h"

#include "policy/choice.h"

namespace aio::policy {

Decision RandomPolicy::Decide(const Input& input) const {
  std::vector<int> fit;  // one of each variant, whatever replicas it has
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const Candidate& c = input.candidates[i];
    if (!c.usual || !c.unfit.empty()) continue;
    const bool seen =
        !fit.empty() && input.candidates[fit.back()].variant == c.variant;
    if (!seen) fit.push_back(static_cast<int>(i));
  }
  if (fit.empty()) {
    return Choose(input, -1, "none fits unless told", "not drawn");
  }
  return Choose(input, BestReplica(input, Drawn(input, fit)),
                "random: 1 of " + std::to_string(fit.size()) + " that fit",
                "not drawn");
}

}  // namespace aio::policy
