// SPDX-License-Identifier: Apache-2.0
//
// What an attempt that has ended teaches: rates and lengths, and what was said
// of its times.
#include <prometheus/histogram.h>

#include <algorithm>

#include "base/log.h"
#include "orchestrator/impl.h"

namespace aio::orchestrator {

core::Outcome Orchestrator::Impl::Learn(const Flight& flight, const End& end) {
  const std::string& name = parts_.variants[flight.variant].name;
  core::Outcome outcome;
  outcome.variant = name;
  outcome.intent = flight.intent.Best();
  outcome.thinking = flight.thinking;
  outcome.choices = flight.request->choices;
  outcome.total = end.last - flight.started;
  const bool timed = TimesTokens(flight);
  if (end.first && timed) outcome.to_first_token = *end.first - flight.started;
  if (end.done) {
    outcome.usage = end.done->usage;
    for (const core::FinishReason finish : end.done->finish) {
      outcome.cut = outcome.cut || finish == core::FinishReason::kLength;
    }
  } else {
    outcome.error = end.done.error().code;
  }
  if (end.shown && timed) {
    parts_.metrics->Observe(
        "aio_ttft_seconds", "From arrival to the first token",
        Seconds(*end.shown - flight.begun), {{"variant", name}});
  }
  const Loads::Went went = WentOf(flight, outcome);
  loads_.Ended(flight.number, went, parts_.executor->Now());
  if (!outcome.error && flight.said) LearnPrice(flight, went);
  ledger_.Release(flight.variant, flight.number,
                  backend(flight.variant).View(name));
  learner_.Learn(outcome);
  return outcome;
}

// Whether its first token comes when it is made. An upstream's answer in one
// body tells nothing but how long all of it took.
bool Orchestrator::Impl::TimesTokens(const Flight& flight) const {
  return flight.request->streamed || !parts_.variants[flight.variant].passes;
}

Loads::Went Orchestrator::Impl::WentOf(const Flight& flight,
                                       const core::Outcome& outcome) const {
  Loads::Went went;
  if (outcome.error) return went;
  const double total = Seconds(outcome.total);
  const double tokens =
      static_cast<double>(outcome.usage.completion_tokens) / outcome.choices;
  const double more = std::max(0.0, tokens - 1);  // behind the first
  if (TimesTokens(flight)) {
    went.ttft = Seconds(outcome.to_first_token);
    went.token = more > 0 ? (total - went.ttft) / more : 0;
  } else if (flight.said) {  // both as much off as their sum
    const double said = flight.said->ttft + flight.said->token * more;
    const double off = said > 0 ? total / said : 0;
    went.ttft = flight.said->ttft * off;
    went.token = flight.said->token * off;
  }
  return went;
}

// What was said of its times against what they were, for all to see.
void Orchestrator::Impl::LearnPrice(const Flight& flight,
                                    const Loads::Went& went) {
  const auto variant = static_cast<size_t>(flight.variant);
  const Labels labels = {{"variant", parts_.variants[variant].name}};
  const auto observe = [&](const char* name, const char* help, double said,
                           double took) {
    if (said <= 0 || took <= 0) return;
    parts_.metrics->Ratio(name, help, labels)->Observe(took / said);
  };
  observe("aio_forecast_ttft_ratio",
          "Time to the first token over what was said when it was decided",
          flight.said->ttft, went.ttft);
  observe("aio_forecast_tpot_ratio",
          "Time per token over what was said when it was decided",
          flight.said->token, went.token);
  const bool before = loads_.drifted(variant);
  loads_.Learn(variant, *flight.said, went.ttft, went.token);
  const bool after = loads_.drifted(variant);
  parts_.metrics->Set("aio_forecast_drifted",
                      "1: times are off by more than is corrected", after,
                      labels);
  if (before || !after) return;
  Log(LogLevel::kWarning,
      "times are off by more than is corrected: measure anew",
      {{"variant", parts_.variants[variant].name}});
}

}  // namespace aio::orchestrator
