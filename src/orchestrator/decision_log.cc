// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/decision_log.h"

#include <boost/json.hpp>
#include <cstdio>

#include "orchestrator/candidates.h"

namespace aio::orchestrator {
namespace {

namespace json = boost::json;

std::string_view SourceName(core::IntentSource source) {
  switch (source) {
    case core::IntentSource::kNone:
      return "none";
    case core::IntentSource::kPinned:
      return "pinned";
    case core::IntentSource::kText:
      return "text";
    case core::IntentSource::kModel:
      return "model";
  }
  return "";
}

// As `const char*` and lengths differ between Boost's and the standard's view.
json::string Text(std::string_view text) {
  return json::string(text.data(), text.size());
}

json::object Intent(const core::Intent& intent) {
  json::array probabilities;
  for (const double p : intent.probabilities) {
    probabilities.push_back(Text(HexFloat(p)));
  }
  return {{"source", Text(SourceName(intent.source))},
          {"probabilities", std::move(probabilities)}};
}

json::object View(const core::Snapshot& view) {
  return {{"running", view.running},       {"queued", view.queued},
          {"pages_free", view.pages_free}, {"pages_total", view.pages_total},
          {"admissions", view.admissions}, {"healthy", view.healthy}};
}

json::object Estimate(const cost::Estimate& e) {
  return {{"context_tokens", e.context_tokens},
          {"prompt_tokens", e.prompt_tokens},
          {"cached_tokens", e.cached_tokens},
          {"output_tokens", Text(HexFloat(e.output_tokens))},
          {"prefill_seconds", Text(HexFloat(e.prefill_seconds))},
          {"seconds_per_token", Text(HexFloat(e.seconds_per_token))},
          {"seconds", Text(HexFloat(e.seconds))},
          {"bytes_read", e.bytes_read}};
}

json::object Candidate(const policy::Candidate& c) {
  json::object out = {{"variant", Text(c.variant)},
                      {"unfit", Text(c.unfit)},
                      {"bytes_per_token", c.bytes_per_token},
                      {"context_tokens_max", c.context_tokens_max},
                      {"estimate", Estimate(c.estimate)},
                      {"view", View(c.view)}};
  if (c.quality) out["quality"] = Text(HexFloat(*c.quality));
  return out;
}

json::object RoundOf(const Round& round) {
  json::array candidates;
  for (const policy::Candidate& c : round.input.candidates) {
    candidates.push_back(Candidate(c));
  }
  const policy::Decision& d = round.decision;
  return {{"random", Text(HexFloat(round.input.random))},
          {"can_ask", round.input.can_ask},
          {"intent", Intent(round.input.intent)},
          {"candidates", std::move(candidates)},
          {"ask", d.ask},
          {"candidate", d.candidate},
          {"strategy", Text(core::Name(d.strategy))},
          {"reason", Text(d.reason)}};
}

json::object Ending(const LogEntry& entry) {
  const core::Usage& usage = entry.outcome.usage;
  return {{"variant", Text(entry.variant)},
          {"error", Text(entry.error ? CodeName(*entry.error) : "")},
          {"attempts", entry.flight->attempts},
          {"total_ns", entry.total.count()},
          {"attempt_ns", entry.outcome.total.count()},
          {"to_first_token_ns", entry.outcome.to_first_token.count()},
          {"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"drafted_tokens", usage.drafted_tokens},
          {"accepted_tokens", usage.accepted_tokens},
          {"bytes_read", usage.bytes_read}};
}

}  // namespace

std::string HexFloat(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", x);
  return text;
}

std::string DecisionLine(const LogEntry& entry) {
  const Flight& flight = *entry.flight;
  json::array rounds;
  for (const Round& round : flight.rounds) rounds.push_back(RoundOf(round));
  const json::object line = {
      {"id", Text(Printable(flight.request->id))},
      {"begun_ns", flight.begun.time_since_epoch().count()},
      {"policy", Text(entry.policy)},
      {"pinned", flight.pinned >= 0},
      {"probe", Text(Name(flight.probe))},
      {"probe_ns", flight.probing.count()},
      {"seed", flight.seed},
      {"rounds", std::move(rounds)},
      {"outcome", Ending(entry)}};
  return json::serialize(line);
}

}  // namespace aio::orchestrator
