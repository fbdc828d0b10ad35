// SPDX-License-Identifier: Apache-2.0
#include "cost/learner.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace aio::cost {
namespace {

// Above any real context; keeps a hostile counter from poisoning a mean.
constexpr int kTokensMax = 1 << 24;

bool Possible(const core::Outcome& outcome) {
  const core::Usage& usage = outcome.usage;
  for (const int tokens : {usage.prompt_tokens, usage.cached_tokens,
                           usage.completion_tokens, outcome.choices}) {
    if (tokens < 0 || tokens > kTokensMax) return false;
  }
  return outcome.choices > 0 && usage.cached_tokens <= usage.prompt_tokens &&
         outcome.to_first_token >= Duration::zero() &&
         outcome.total >= outcome.to_first_token;
}

// Seconds per token, 0 if nothing is known.
double Rate(const DecayedMean& seconds, const DecayedMean& tokens) {
  return tokens.sum > 0 ? seconds.sum / tokens.sum : 0;
}

// Of Rates::output_tokens.
size_t RowOf(std::optional<core::Thinking> thinking) {
  return thinking ? static_cast<size_t>(*thinking)
                  : core::kThinkingNames.size();
}

double PriorOf(std::optional<core::Thinking> thinking, size_t label) {
  const double thought =
      thinking ? kPriorThinkingTokens[static_cast<size_t>(*thinking)] : 0;
  return kPriorOutputTokens[label] + thought;
}

}  // namespace

Learner::Learner(const std::vector<std::string>& variants, Options options)
    : options_(std::move(options)),
      keep_(1 - 1 / std::max(1.0, options_.memory)) {
  for (const std::string& variant : variants) {
    rates_.emplace_back();
    rates_.back().variant = variant;
    AddPriors(std::nullopt, &rates_.back());
    for (const auto thinking :
         {core::Thinking::kOff, core::Thinking::kOn, core::Thinking::kAuto}) {
      AddPriors(thinking, &rates_.back());
    }
  }
}

void Learner::AddPriors(std::optional<core::Thinking> thinking,
                        Rates* rates) const {
  const auto measured = options_.lengths.find(
      thinking ? core::ThinkingRow(rates->variant, *thinking) : rates->variant);
  for (size_t label = 0; label < core::kLabels; ++label) {
    double& prior = rates->prior_tokens[RowOf(thinking)][label];
    prior = PriorOf(thinking, label);
    if (measured == options_.lengths.end()) continue;
    prior = measured->second[label].value_or(prior);
  }
}

const Learner::Rates* Learner::Find(std::string_view variant) const {
  for (const Rates& rates : rates_) {
    if (rates.variant == variant) return &rates;
  }
  return nullptr;
}

double Learner::OutputTokens(const Rates* rates,
                             std::optional<core::Thinking> thinking,
                             size_t label) const {
  if (rates == nullptr) return PriorOf(thinking, label);
  const double prior = rates->prior_tokens[RowOf(thinking)][label];
  const DecayedMean& mean = rates->output_tokens[RowOf(thinking)][label];
  return (mean.sum + prior * options_.prior_samples) /
         (mean.weight + options_.prior_samples);
}

// An answer cut at max_tokens says only that it would have been longer: it
// raises an expectation below it and never lowers one above it. Otherwise
// clients that ask for one token would teach that answers have one.
void Learner::LearnLength(const core::Outcome& outcome, Rates* rates) const {
  const size_t label = static_cast<size_t>(outcome.intent);
  const double tokens =
      static_cast<double>(outcome.usage.completion_tokens) / outcome.choices;
  if (outcome.cut && tokens < OutputTokens(rates, outcome.thinking, label)) {
    return;
  }
  rates->output_tokens[RowOf(outcome.thinking)][label].Add(tokens, keep_);
}

void Learner::Learn(const core::Outcome& outcome) {
  Rates* rates = const_cast<Rates*>(Find(outcome.variant));
  if (rates == nullptr || outcome.error || !Possible(outcome)) return;
  ++rates->samples;
  LearnLength(outcome, rates);
  const core::Usage& usage = outcome.usage;
  const double first = Seconds(outcome.to_first_token);
  if (first > 0) {
    rates->prefill_seconds.Add(first, keep_);
    rates->prefill_tokens.Add(
        std::max(1, usage.prompt_tokens - usage.cached_tokens), keep_);
  }
  // The choices are decoded together, so a step gives each of them one token;
  // the first token came with the prefill.
  const double steps =
      static_cast<double>(usage.completion_tokens) / outcome.choices - 1;
  if (first > 0 && steps > 0) {
    rates->decode_seconds.Add(Seconds(outcome.total) - first, keep_);
    rates->decode_tokens.Add(steps, keep_);
  }
}

Estimate Learner::Of(const Question& question) const {
  const Rates* rates = Find(question.variant);
  Estimate e;
  e.prompt_tokens = std::max(0, question.prompt_tokens);
  e.cached_tokens = std::clamp(question.cached_tokens, 0, e.prompt_tokens);
  for (size_t label = 0; label < core::kLabels; ++label) {
    e.output_tokens += question.intent->probabilities[label] *
                       OutputTokens(rates, question.thinking, label);
  }
  if (question.output_tokens) e.output_tokens = *question.output_tokens;
  if (question.max_tokens) {
    e.output_tokens =
        std::min<double>(e.output_tokens, std::max(0, *question.max_tokens));
  }
  e.context_tokens =
      e.prompt_tokens + static_cast<int>(std::ceil(e.output_tokens));
  if (rates != nullptr) {
    e.prefill_seconds = Rate(rates->prefill_seconds, rates->prefill_tokens) *
                        (e.prompt_tokens - e.cached_tokens);
    e.seconds_per_token = Rate(rates->decode_seconds, rates->decode_tokens);
  }
  e.seconds = e.prefill_seconds + e.output_tokens * e.seconds_per_token;
  e.bytes_read = static_cast<int64_t>(
      static_cast<double>(question.bytes_per_token) * e.output_tokens);
  return e;
}

int64_t Learner::samples(std::string_view variant) const {
  const Rates* rates = Find(variant);
  return rates == nullptr ? 0 : rates->samples;
}

}  // namespace aio::cost
