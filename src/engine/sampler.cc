// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace aio::engine {
namespace {

// Nats below the best: a weight of e^-37 is less than a rounding of 1; steps in
// which candidates are ordered.
constexpr double kNothing = 37;
constexpr double kStep = 2;

constexpr float kLowest = std::numeric_limits<float>::lowest();

// A total order even for logits that are not numbers.
float Ordered(float logit) { return std::isnan(logit) ? kLowest : logit; }

// The first of the largest. The search for it goes in lanes, without a branch,
// which compilers turn into vectors: a vocabulary is long.
int32_t ArgMax(std::span<const float> logits) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, kLowest);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float x = logits[i + j];  // never larger if it is no number
      lanes[j] = x > lanes[j] ? x : lanes[j];
    }
  }
  float best = *std::max_element(lanes, lanes + kLanes);
  for (; i < logits.size(); ++i) best = logits[i] > best ? logits[i] : best;
  const auto at = std::ranges::find(logits, best, Ordered);
  return at == logits.end() ? 0 : static_cast<int32_t>(at - logits.begin());
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
  if (sampling_.top_k > 0) KeepBest(static_cast<size_t>(sampling_.top_k));
  return Draw(position);
}

int32_t Sampler::Guess(std::span<const float> logits, int position,
                       std::span<const int32_t> drafted) {
  position += static_cast<int>(drafted.size());
  if (!Penalizes()) return Sample(logits, position);
  Sampler then = *this;
  for (const int32_t id : drafted) then.Accept(id);
  return then.Sample(logits, position);
}

void Sampler::Accept(int32_t id) {
  ++output_counts_[id];
  if (sampling_.repetition_penalty == 1) return;
  const auto at = std::lower_bound(seen_.begin(), seen_.end(), id);
  if (at == seen_.end() || *at != id) seen_.insert(at, id);
}

void Sampler::Gather(std::span<const float> logits) {
  ordered_ = 0;
  reach_ = 0;
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

bool Sampler::IsBetter(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void Sampler::KeepBest(size_t count) {
  if (count >= candidates_.size()) return;
  std::partial_sort(candidates_.begin(), candidates_.begin() + count,
                    candidates_.end(), IsBetter);
  candidates_.resize(count);
  ordered_ = count;
}

// Relative to the best candidate's, so nothing overflows.
double Sampler::WeightOf(float logit) const {
  if (logit == best_) return 1;  // infinities too
  return std::exp((double{logit} - best_) / sampling_.temperature);
}

double Sampler::Total() {
  best_ = candidates_[0].logit;
  for (const Candidate& c : candidates_) best_ = std::max(best_, c.logit);
  // Less than a rounding of the sum, which is 1 or more.
  const double least = best_ - kNothing * double{sampling_.temperature};
  double total = 0;
  for (const Candidate& c : candidates_) {
    if (c.logit < least) continue;
    const double w = WeightOf(c.logit);
    if (w >= sampling_.min_p) total += w;
  }
  return total;
}

// A vocabulary is long and a draw ends early: the next few are ordered when it
// gets there, by how far they are from the best.
double Sampler::Weight(size_t i) {
  while (i >= ordered_ && ordered_ < candidates_.size()) {
    reach_ += kStep;
    const double least = best_ - reach_ * double{sampling_.temperature};
    const auto begin = candidates_.begin() + static_cast<long>(ordered_);
    const auto end =
        reach_ > kNothing
            ? candidates_.end()
            : std::partition(begin, candidates_.end(), [&](const Candidate& c) {
                return c.logit >= least;
              });
    std::sort(begin, end, IsBetter);
    ordered_ = static_cast<size_t>(end - candidates_.begin());
  }
  if (i >= candidates_.size()) return -1;
  const double w = WeightOf(candidates_[i].logit);
  return w < sampling_.min_p ? -1 : w;
}

// How many of the best make up top_p of `total`, which becomes what they weigh.
size_t Sampler::Nucleus(double* total) {
  double sum = 0;
  size_t count = 0;
  while (count == 0 || sum < sampling_.top_p * *total) {
    const double w = Weight(count);
    if (w < 0) break;
    sum += w;
    ++count;
  }
  *total = sum;
  return count;
}

// A draw that lands past the end through rounding takes the last candidate.
int32_t Sampler::Draw(int position) {
  double total = Total();
  const size_t end = sampling_.top_p < 1 ? Nucleus(&total) : candidates_.size();
  double target = total * RandomUnit(seed_, static_cast<uint64_t>(choice_),
                                     static_cast<uint64_t>(position));
  size_t i = 0;
  for (; i < end; ++i) {
    const double w = Weight(i);
    if (w < 0) break;
    if (target < w) return candidates_[i].id;
    target -= w;
  }
  return candidates_[i == 0 ? 0 : i - 1].id;
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
