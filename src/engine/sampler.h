// SPDX-License-Identifier: Apache-2.0
//
// From logits to a token. Order of operations: penalties, then temperature,
// then min-p, top-k and top-p on the tempered distribution (OpenAI defines the
// nucleus so; vLLM has the same order), then one draw. Candidates are ordered
// by (logit descending, id ascending), and nucleus and draw go through them in
// that order; what all of them weigh is summed by id. The draw is keyed by
// (seed, choice, output position). Together: rules e and f of the determinism
// contract (design.md, section 7).
//
// Thread safety: none; one per choice.
// Cost: O(vocabulary), and to order those that the draw passes.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/backend.h"
#include "core/request.h"

namespace aio::engine {

class Sampler {
 public:
  // `prompt`: what the repetition penalty also counts.
  Sampler(const core::Sampling& sampling, uint64_t seed, int choice,
          std::span<const int32_t> prompt);

  // The token at output position `position` (0-based). REQUIRES: logits not
  // empty. NaN logits count as the lowest.
  int32_t Sample(std::span<const float> logits, int position);
  // Counts `id` as output: for the penalties of the tokens after it.
  void Accept(int32_t id);
  // What Sample would say if `drafted` came first, from logits that another
  // model has given: the same random number, so that it says what Sample will
  // say as often as the two models agree.
  int32_t Guess(std::span<const float> logits, int position,
                std::span<const int32_t> drafted);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };

  static bool IsBetter(const Candidate& a, const Candidate& b);
  bool Penalizes() const;
  void Gather(std::span<const float> logits);
  void Penalize();
  // Orders the best `count` of candidates_ and drops the rest.
  void KeepBest(size_t count);
  double WeightOf(float logit) const;
  // Of all candidates; finds the best.
  double Total();
  // Of the i-th best candidate; orders as many as that takes. -1 if there is
  // none, or min-p ends before it.
  double Weight(size_t i);
  size_t Nucleus(double* total);
  int32_t Draw(int position);

  core::Sampling sampling_;
  uint64_t seed_;
  int choice_;
  std::unordered_map<int32_t, int> output_counts_;
  std::vector<int32_t> seen_;  // distinct ids of prompt and output, ascending
  std::vector<Candidate> candidates_;
  size_t ordered_ = 0;  // the best of candidates_, in front
  double reach_ = 0;    // nats below the best that are among them
  float best_ = 0;      // logit
};

// Log-probabilities (nats) of `id` and of the `top` most probable tokens under
// softmax(logits), before penalties and temperature.
core::TokenLogprob LogprobOf(std::span<const float> logits, int32_t id,
                             int top);

}  // namespace aio::engine
