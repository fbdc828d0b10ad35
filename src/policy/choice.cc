// SPDX-License-Identifier: Apache-2.0
#include "policy/choice.h"

#include <cstdio>
#include <utility>

namespace aio::policy {

int Find(const Input& input, std::string_view variant) {
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    if (input.candidates[i].variant == variant) return static_cast<int>(i);
  }
  return -1;
}

int LargestFit(const Input& input) {
  int best = -1;
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const Candidate& candidate = input.candidates[i];
    if (!candidate.unfit.empty()) continue;
    const auto rank = [](const Candidate& c) {
      return std::pair(c.usual, c.bytes_per_token);
    };
    if (best < 0 || rank(candidate) > rank(input.candidates[best])) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

Decision Choose(const Input& input, int wanted, std::string reason,
                std::string_view other) {
  Decision decision;
  decision.reason = std::move(reason);
  decision.candidate = wanted;
  if (!Fit(input, wanted)) {
    decision.candidate = LargestFit(input);
    if (decision.candidate < 0) {
      decision.reason = "no variant can serve it";
    } else if (wanted >= 0) {
      const Candidate& unfit = input.candidates[wanted];
      decision.reason +=
          "; " + std::string(unfit.variant) + " cannot: " + unfit.unfit;
    }
  }
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const Candidate& candidate = input.candidates[i];
    if (!candidate.unfit.empty()) {
      decision.why.push_back(candidate.unfit);
    } else if (static_cast<int>(i) == decision.candidate) {
      decision.why.push_back(decision.reason);
    } else {
      decision.why.emplace_back(other);
    }
  }
  return decision;
}

std::string Short(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", x);
  return text;
}

}  // namespace aio::policy
