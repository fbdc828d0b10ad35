// SPDX-License-Identifier: Apache-2.0
//
// What running a request takes, learned from how the ones before it ended: per
// variant the prefill and decode rates, per variant, thinking and intent the
// length of an answer. Everything is a decayed mean with its sample count, so
// old behaviour is forgotten after about `Options::memory` requests and nothing
// grows.
//
// Rates are ratios of sums (seconds over tokens), not means of ratios: a prompt
// of one token, where the launch floor is everything, then weighs little. Time
// to the first token includes waiting in the backend's queue, so a rate learned
// under load is the rate under that load.
//
// Thread safety: none; used on the orchestrator's executor only. Has no clock:
// durations come inside outcomes.
// Invariants: memory is variants x thinking x labels, fixed at construction.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/intent.h"
#include "core/length.h"
#include "core/outcome.h"
#include "cost/estimate.h"

namespace aio::cost {

// Tokens of an answer before any sample, by label. Not measured: an order of
// magnitude, worth Options::prior_samples outcomes, that samples replace.
inline constexpr std::array<double, core::kLabels> kPriorOutputTokens = {
    300, 250, 150, 150, 150, 100, 120, 500};

// What thinking adds to that before any sample, by core::Thinking: an openPangu
// 7B V1.1 writes 2,484 tokens on C-Eval where it thinks, 1,723 where it decides
// by itself whether to (its README).
inline constexpr std::array<double, 3> kPriorThinkingTokens = {0, 2300, 1600};

// A mean that forgets: each sample weighs `keep` times the one after it.
struct DecayedMean {
  double sum = 0;
  double weight = 0;
  void Add(double x, double keep) {
    sum = sum * keep + x;
    weight = weight * keep + 1;
  }
};

class Learner {
 public:
  struct Options {
    double memory = 64;  // requests; larger: smoother and slower to follow
    double prior_samples = 4;  // weight of kPriorOutputTokens
    // What stands in their place where it was measured (`aio calibrate`). Of
    // no more weight: tasks are not the traffic that is to come. Rows of
    // variants, and of what they are told (core::ThinkingRow).
    core::LengthTable lengths = {};
  };

  // A request as far as its cost on one variant depends on it.
  struct Question {
    std::string_view variant;
    int prompt_tokens = 0;
    int cached_tokens = 0;
    std::optional<int> max_tokens;
    std::optional<double> output_tokens;  // told, not expected
    std::optional<core::Thinking> thinking;
    const core::Intent* intent = nullptr;  // REQUIRED
    int64_t bytes_per_token = 0;
  };

  Learner(const std::vector<std::string>& variants, Options options);
  explicit Learner(const std::vector<std::string>& variants)
      : Learner(variants, Options()) {}

  // Failed requests teach nothing; neither do unknown variants nor impossible
  // counters, which an upstream can send.
  void Learn(const core::Outcome& outcome);

  // An unknown variant is answered from the priors, with rates of 0.
  Estimate Of(const Question& question) const;

  // Outcomes learned from, all intents; for tests and reports.
  int64_t samples(std::string_view variant) const;

 private:
  struct Rates {
    std::string variant;
    int64_t samples = 0;
    DecayedMean prefill_seconds, prefill_tokens;
    DecayedMean decode_seconds, decode_tokens;
    // [thinking][label]; the last is of those of whom nobody knows.
    std::array<std::array<DecayedMean, core::kLabels>, 4> output_tokens;
    std::array<std::array<double, core::kLabels>, 4> prior_tokens;
  };

  void AddPriors(std::optional<core::Thinking> thinking, Rates* rates) const;
  const Rates* Find(std::string_view variant) const;
  double OutputTokens(const Rates* rates,
                      std::optional<core::Thinking> thinking,
                      size_t label) const;
  void LearnLength(const core::Outcome& outcome, Rates* rates) const;

  const Options options_;
  const double keep_;  // 1 - 1 / memory
  std::vector<Rates> rates_;
};

}  // namespace aio::cost
