// SPDX-License-Identifier: Apache-2.0
#include "policy/random.h"

#include <algorithm>

#include "policy/choice.h"

namespace aio::policy {

Decision RandomPolicy::Decide(const Input& input) const {
  std::vector<int> fit;
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    if (!input.candidates[i].usual) continue;
    if (Fit(input, static_cast<int>(i))) fit.push_back(static_cast<int>(i));
  }
  if (fit.empty()) {
    return Choose(input, -1, "none fits unless told", "not drawn");
  }
  // Bounded, NaN included, because the number may come from a log line.
  const double unit = input.random > 0 ? std::min(input.random, 1.0) : 0.0;
  const size_t at =
      std::min(fit.size() - 1, static_cast<size_t>(unit * fit.size()));
  return Choose(input, fit[at],
                "random: 1 of " + std::to_string(fit.size()) + " that fit",
                "not drawn");
}

}  // namespace aio::policy
