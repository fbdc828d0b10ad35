// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace aio::engine {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

// A total order even for logits that are not numbers.
float Ordered(float logit) { return std::isnan(logit) ? kLowest : logit; }

int32_t ArgMax(std::span<const float> logits) {
  int32_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (Ordered(logits[i]) > Ordered(logits[best])) {
      best = static_cast<int32_t>(i);
    }
  }
  return best;
}

}  // namespace

Sampler::Sampler(const core::Sampling& sampling, uint64_t seed, int choice,
                 std::span<const int32_t> prompt)
    : sampling_(sampling), seed_(seed), choice_(choice) {
  if (sampling_.repetition_penalty != 1) {
    seen_.assign(prompt.begin(), prompt.end());
    std::sort(seen_.begin(), seen_.end());
    seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  }
}

bool Sampler::Penalizes() const {
  return sampling_.repetition_penalty != 1 || sampling_.presence_penalty != 0 ||
         sampling_.frequency_penalty != 0;
}

int32_t Sampler::Sample(std::span<const float> logits, int position) {
  CHECK(!logits.empty());
  if (sampling_.temperature <= 0 && !Penalizes()) return ArgMax(logits);
  Gather(logits);
  Penalize();
  if (sampling_.temperature <= 0) {
    KeepBest(1);
    return candidates_[0].id;
  }
  KeepBest(sampling_.top_k > 0 ? static_cast<size_t>(sampling_.top_k)
                               : candidates_.size());
  return Draw(position);
}

void Sampler::Accept(int32_t id) {
  ++output_counts_[id];
  if (sampling_.repetition_penalty == 1) return;
  const auto at = std::lower_bound(seen_.begin(), seen_.end(), id);
  if (at == seen_.end() || *at != id) seen_.insert(at, id);
}

void Sampler::Gather(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_[i] = {Ordered(logits[i]), static_cast<int32_t>(i)};
  }
}

void Sampler::Penalize() {
  const auto size = static_cast<int32_t>(candidates_.size());
  for (const int32_t id : seen_) {
    if (id < 0 || id >= size) continue;
    float& logit = candidates_[id].logit;
    logit = logit > 0 ? logit / sampling_.repetition_penalty
                      : logit * sampling_.repetition_penalty;
  }
  if (sampling_.presence_penalty == 0 && sampling_.frequency_penalty == 0) {
    return;
  }
  for (const auto& [id, count] : output_counts_) {
    if (id < 0 || id >= size) continue;
    candidates_[id].logit -=
        sampling_.presence_penalty +
        sampling_.frequency_penalty * static_cast<float>(count);
  }
}

void Sampler::KeepBest(size_t count) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (count < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + count,
                      candidates_.end(), better);
    candidates_.resize(count);
  } else {
    std::sort(candidates_.begin(), candidates_.end(), better);
  }
}

// Weights are relative to the best candidate's, so nothing overflows; a draw
// that lands past the end through rounding takes the last candidate.
int32_t Sampler::Draw(int position) {
  const double best = candidates_[0].logit;
  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    const double w = std::exp((c.logit - best) / sampling_.temperature);
    if (w < sampling_.min_p) break;  // ordered: all that follow are smaller
    weights_.push_back(w);
    total += w;
  }
  if (sampling_.top_p < 1) {
    double sum = 0;
    size_t keep = 0;
    while (keep < weights_.size() &&
           (keep == 0 || sum < sampling_.top_p * total)) {
      sum += weights_[keep++];
    }
    weights_.resize(keep);
    total = sum;
  }
  double target = total * RandomUnit(seed_, static_cast<uint64_t>(choice_),
                                     static_cast<uint64_t>(position));
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (target < weights_[i]) return candidates_[i].id;
    target -= weights_[i];
  }
  return candidates_[weights_.size() - 1].id;
}

core::TokenLogprob LogprobOf(std::span<const float> logits, int32_t id,
                             int top) {
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto count =
      std::min(static_cast<size_t>(std::max(top, 1)), order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](int32_t a, int32_t b) {
                      const float x = Ordered(logits[a]);
                      const float y = Ordered(logits[b]);
                      return x != y ? x > y : a < b;
                    });
  const double best = Ordered(logits[order[0]]);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(Ordered(logit) - best);
  const double log_sum = std::log(sum);
  const auto logprob = [&](int32_t i) {
    return static_cast<float>(Ordered(logits[i]) - best - log_sum);
  };
  core::TokenLogprob out;
  out.id = id;
  out.logprob = logprob(id);
  for (int i = 0; i < top && i < static_cast<int>(count); ++i) {
    out.top.push_back({order[i], "", logprob(order[i])});
  }
  return out;
}

}  // namespace aio::engine
