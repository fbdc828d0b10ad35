// SPDX-License-Identifier: Apache-2.0
#include "policy/choice.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace aio::policy {

namespace {

double LoadOf(const Candidate& c) {
  const cost::Estimate& e = c.estimate;
  const double unseen =
      e.prompt_tokens > 0
          ? static_cast<double>(e.prompt_tokens - e.cached_tokens) /
                e.prompt_tokens
          : 1;
  return c.view.running + c.view.queued + unseen;
}

}  // namespace

bool Alike(const Candidate& a, const Candidate& b) {
  return a.variant == b.variant && a.thinking == b.thinking &&
         a.usual == b.usual;
}

int Find(const Input& input, std::string_view variant) {
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    if (input.candidates[i].variant == variant) {
      return BestReplica(input, static_cast<int>(i));
    }
  }
  return -1;
}

int BestReplica(const Input& input, int candidate) {
  const Candidate& like = input.candidates[static_cast<size_t>(candidate)];
  if (like.replica.empty()) return candidate;
  std::vector<int> best;
  double least = 0;
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const Candidate& c = input.candidates[i];
    if (!c.unfit.empty() || !Alike(c, like)) continue;
    const double load = LoadOf(c);
    if (!best.empty() && load > least) continue;
    if (best.empty() || load < least) best.clear();
    best.push_back(static_cast<int>(i));
    least = load;
  }
  return best.empty() ? candidate : Drawn(input, best);
}

int Drawn(const Input& input, const std::vector<int>& equals) {
  // Bounded, NaN included, because the number may come from a log line.
  const double unit = input.random > 0 ? std::min(input.random, 1.0) : 0.0;
  const auto count = static_cast<double>(equals.size());
  return equals[std::min(equals.size() - 1, static_cast<size_t>(unit * count))];
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
  return best < 0 ? best : BestReplica(input, best);
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
