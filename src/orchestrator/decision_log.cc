// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/decision_log.h"

#include <boost/json.hpp>

#include "orchestrator/candidates.h"
#include "orchestrator/decision_json.h"

namespace aio::orchestrator {
namespace {

namespace json = boost::json;

// As `const char*` and lengths differ between Boost's and the standard's view.
json::string Text(std::string_view text) {
  return json::string(text.data(), text.size());
}

json::object RoundOf(const Round& round) {
  json::object out = {{"input", ToJson(round.input)},
                      {"decision", ToJson(round.decision)}};
  if (round.held) out["held"] = true;
  return out;
}

json::object Ending(const LogEntry& entry) {
  const core::Usage& usage = entry.outcome.usage;
  const auto& thinking = entry.flight->thinking;
  return {{"variant", Text(entry.variant)},
          {"thinking", Text(thinking ? core::Name(*thinking) : "")},
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

json::object EscalationOf(const Flight& flight) {
  const Escalation& e = *flight.escalation;
  const auto from = static_cast<size_t>(flight.escalated_from);
  return {{"from", Text(flight.rounds.front().input.candidates[from].variant)},
          {"margin", e.margin},
          {"tokens", e.tokens},
          {"shown_tokens", e.shown_tokens}};
}

}  // namespace

std::string DecisionLine(const LogEntry& entry) {
  const Flight& flight = *entry.flight;
  json::array rounds;
  for (const Round& round : flight.rounds) rounds.push_back(RoundOf(round));
  json::object line = {
      {"id", Text(Printable(flight.request->id))},
      {"begun_ns", flight.begun.time_since_epoch().count()},
      {"policy", Text(entry.policy)},
      {"pinned", flight.pinned >= 0},
      {"strategy_named", flight.request->hints.strategy.has_value()},
      {"earlier", Text(entry.earlier)},
      {"probe", Text(Name(flight.probe))},
      {"probe_ns", flight.probing.count()},
      {"seed", flight.seed},
      {"rounds", std::move(rounds)},
      {"outcome", Ending(entry)}};
  if (flight.escalation) line["escalation"] = EscalationOf(flight);
  return json::serialize(line);
}

}  // namespace aio::orchestrator
