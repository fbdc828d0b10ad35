// SPDX-License-Identifier: Apache-2.0
//
// The steps that Handle and Choose (orchestrator.cc) are made of.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "orchestrator/candidates.h"
#include "orchestrator/decision_log.h"
#include "orchestrator/impl.h"
#include "policy/choice.h"

namespace aio::orchestrator {
namespace {

using Stage = Flight::Stage;

// Metric label of an outcome: "ok", or "invalid_argument" for InvalidArgument.
std::string OutcomeName(std::optional<ErrorCode> error) {
  if (!error) return "ok";
  std::string name;
  for (const char c : CodeName(*error)) {
    if (c >= 'A' && c <= 'Z') {
      if (!name.empty()) name += '_';
      name += static_cast<char>(c - 'A' + 'a');
    } else {
      name += c;
    }
  }
  return name;
}

// An upstream is sent a seed only by a client.
std::optional<uint64_t> SeedOf(const core::Variant& variant,
                               const Flight& flight) {
  if (variant.passes && !flight.request->sampling.seed) return std::nullopt;
  return flight.seed;
}

// Before another attempt at somebody else's server: so long at most, twice as
// long each time, and a random part of it, so that those that failed together
// do not come together.
constexpr Duration kBackoff = std::chrono::milliseconds(25);

}  // namespace

// ---- Peek -------------------------------------------------------------------

// All candidates at once, or only the one that the request names. The variant
// that the model probe asks is looked at for it, whoever may answer.
void Orchestrator::Impl::Peek(const FlightPtr& flight) {
  std::vector<size_t> peeked;
  for (size_t i = 0; i < flight->options.size(); ++i) {
    const size_t variant = flight->options[i].variant;
    const std::string& name = parts_.variants[variant].name;
    const bool wanted = flight->pinned < 0
                            ? static_cast<int>(variant) == probe_variant_ ||
                                  core::Allows(flight->request->allowed, name)
                            : name == parts_.variants[flight->pinned].name;
    if (wanted) peeked.push_back(i);
  }
  if (peeked.empty()) return PeekedEnough(flight);
  flight->peeks_missing = static_cast<int>(peeked.size());
  for (const size_t i : peeked) {
    auto done = [weak = weak_from_this(), flight,
                 i](Result<core::PromptSize> size) {
      const std::shared_ptr<Impl> self = weak.lock();
      if (!self) return;
      self->Later(
          [flight, i, size](Impl* impl) { impl->Peeked(flight, i, size); });
    };
    const core::Variant& variant = parts_.variants[flight->options[i].variant];
    variant.backend->Peek(flight->request, variant.name,
                          flight->options[i].thinking, std::move(done));
  }
  if (options_.peek_deadline > Duration::zero()) {
    parts_.executor->PostAt(
        flight->begun + options_.peek_deadline,
        Task([late = std::weak_ptr<Flight>(flight)](Impl* impl) {
          if (const FlightPtr f = late.lock()) impl->PeekedEnough(f);
        }));
  }
}

void Orchestrator::Impl::Peeked(const FlightPtr& flight, size_t at,
                                Result<core::PromptSize> size) {
  Flight::Option& option = flight->options[at];
  if (flight->stage != Stage::kPeeking || option.peeked || option.dropped) {
    return;  // too late, or said twice
  }
  if (size) {
    option.peeked = true;
    option.size = *std::move(size);
  } else {
    option.dropped = std::move(size).error();
  }
  if (--flight->peeks_missing == 0) PeekedEnough(flight);
}

void Orchestrator::Impl::PeekedEnough(const FlightPtr& flight) {
  if (flight->stage == Stage::kPeeking) Choose(flight);
}

// ---- Decide -----------------------------------------------------------------

// The fit candidate that a tool loop stays with: it does not change its variant
// or its mode before the model has had the tool's result, nor its replica as
// long as that is there. -1: none is.
int Orchestrator::Impl::Held(const Flight& flight,
                             const policy::Input& input) const {
  if (!flight.request->tool_result || !flight.earlier) return -1;
  const std::string& name = parts_.variants[flight.earlier->variant].name;
  int held = -1;
  int best = -1;
  for (size_t i = 0; i < flight.options.size(); ++i) {
    const Flight::Option& option = flight.options[i];
    if (parts_.variants[option.variant].name != name) continue;
    if (!policy::Fit(input, static_cast<int>(i))) continue;
    const int rank = 2 * (option.variant == flight.earlier->variant) +
                     (option.thinking == flight.earlier->thinking);
    if (rank <= best) continue;
    held = static_cast<int>(i);
    best = rank;
  }
  return held;
}

// A request that names its variant leaves the policy nothing to choose, nor
// does a tool loop; one that names its strategy, not that.
policy::Decision Orchestrator::Impl::Decide(const Flight& flight,
                                            const policy::Input& input) const {
  const std::optional<core::Strategy> named = flight.request->hints.strategy;
  policy::Decision decision;
  const int held = flight.pinned < 0 ? Held(flight, input) : -1;
  if (flight.pinned < 0 && held < 0) {
    decision = parts_.policy->Decide(input);
    decision.strategy = named.value_or(decision.strategy);
    return decision;
  }
  decision.strategy = named.value_or(decision.strategy);
  const int option =
      held >= 0 ? held
                : policy::Find(input, parts_.variants[flight.pinned].name);
  const bool fit = policy::Fit(input, option);
  decision.candidate = fit ? option : -1;
  decision.reason =
      held >= 0 ? "tool loop"
                : "the request names " + parts_.variants[flight.pinned].name;
  for (const policy::Candidate& c : input.candidates) {
    decision.why.push_back(c.unfit.empty() ? decision.reason : c.unfit);
  }
  return decision;
}

// What the choice is expected to take, and what it would have been by the
// shadow or had all gone to the largest: what routing saves is the difference.
void Orchestrator::Impl::CountExpected(const policy::Input& input,
                                       int chosen) const {
  const auto count = [&](const char* by, int candidate) {
    if (candidate < 0) return;
    const policy::Candidate& c =
        input.candidates[static_cast<size_t>(candidate)];
    parts_.metrics->Add("aio_expected_bytes_total",
                        "Bytes that requests were expected to read, had they "
                        "gone where `by` sends them",
                        static_cast<double>(c.estimate.bytes_read),
                        {{"by", by}});
    if (!c.estimate.price) return;
    parts_.metrics->Add("aio_expected_device_seconds_total",
                        "Device time that requests were expected to take, had "
                        "they gone where `by` sends them",
                        c.estimate.price->system(), {{"by", by}});
  };
  count("live", chosen);
  count("largest", policy::LargestFit(input));
  if (!parts_.shadow) return;
  policy::Input asked = input;
  asked.can_ask = false;  // nobody asks for a shadow
  const int shadow = parts_.shadow->Decide(asked).candidate;
  count("shadow", shadow);
  const auto name = [&](int candidate) {
    return std::string(
        candidate < 0
            ? "none"
            : input.candidates[static_cast<size_t>(candidate)].variant);
  };
  parts_.metrics->Add("aio_shadow_total",
                      "Requests by where they went and where the shadow would "
                      "have sent them",
                      1, {{"live", name(chosen)}, {"shadow", name(shadow)}});
}

void Orchestrator::Impl::Explain(const FlightPtr& flight,
                                 const policy::Input& input,
                                 const policy::Decision& decision) {
  Explanation explanation;
  explanation.intent = flight->intent;
  explanation.probe = std::string(Name(flight->probe));
  explanation.strategy = decision.strategy;
  explanation.reason = decision.reason;
  explanation.deciding = flight->deciding;
  if (decision.candidate >= 0) {
    const policy::Candidate& chosen = input.candidates[decision.candidate];
    explanation.variant = chosen.variant;
    explanation.thinking = chosen.thinking;
  }
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const policy::Candidate& c = input.candidates[i];
    explanation.candidates.push_back({std::string(c.variant), decision.why[i],
                                      c.estimate, c.quality, c.thinking,
                                      c.device_price, std::string(c.replica)});
  }
  if (flight->asked) DropProbe(*flight);
  const auto explained = std::exchange(flight->explained, nullptr);
  Finish(flight, {}, std::nullopt);
  explained(std::move(explanation));
}

// ---- The model probe --------------------------------------------------------

bool Orchestrator::Impl::CanAsk(const Flight& flight) const {
  return parts_.model_probe && !flight.asked && flight.attempts == 0 &&
         flight.probe != ProbeState::kPinned &&
         flight.probe != ProbeState::kSticky &&
         (probe_variant_ < 0 || flight.OptionOf(probe_variant_) >= 0);
}

// What may be lost to a probe that does not answer: a share of the time to the
// first token of the candidate that would be chosen without asking.
Duration Orchestrator::Impl::ProbeDeadline(const policy::Input& input) const {
  const Duration most = options_.probe_deadline > Duration::zero()
                            ? options_.probe_deadline
                            : Duration::max();
  if (options_.probe_deadline_share <= 0 || !input.ask) return most;
  policy::Input unasked = input;
  unasked.can_ask = false;
  const int best = parts_.policy->Decide(unasked).candidate;
  if (best < 0) return most;
  const auto& price =
      input.candidates[static_cast<size_t>(best)].estimate.price;
  if (!price) return most;
  const double seconds = std::max(options_.probe_deadline_share * price->ttft,
                                  kProbeSlack * input.ask->price.ttft);
  // Written so that a NaN is no deadline of its own.
  return seconds < Seconds(most) ? FromSeconds(seconds) : most;
}

void Orchestrator::Impl::Ask(const FlightPtr& flight,
                             const policy::Input& input) {
  flight->stage = Stage::kProbing;
  flight->asked = true;
  flight->asked_at = parts_.executor->Now();
  const uint64_t number = ++flight->probe_number;
  const auto answer = [weak = weak_from_this(), flight,
                       number](Result<core::Intent> intent) {
    const std::shared_ptr<Impl> self = weak.lock();
    if (!self) return;
    self->Later([flight, number, intent](Impl* impl) {
      impl->Asked(flight, number, intent);
    });
  };
  Time deadline = Time::max();
  const Duration patience = ProbeDeadline(input);
  if (patience < Duration::max()) {
    deadline = flight->asked_at + patience;
    // The probe minds the deadline too; this is for one that does not answer.
    parts_.executor->PostAt(
        deadline,
        Task([late = std::weak_ptr<Flight>(flight), number](Impl* impl) {
          const FlightPtr f = late.lock();
          if (f)
            impl->Asked(f, number, Error{ErrorCode::kDeadline, "late", ""});
        }));
  }
  std::shared_ptr<const core::Prepared> prepared;
  if (probe_variant_ >= 0) {
    const auto option = static_cast<size_t>(flight->OptionOf(probe_variant_));
    prepared = flight->options[option].size.prepared;
  }
  parts_.model_probe(flight->request, std::move(prepared), deadline, answer);
}

// Whatever it says, the policy decides again, and cannot ask twice.
void Orchestrator::Impl::Asked(const FlightPtr& flight, uint64_t number,
                               Result<core::Intent> intent) {
  if (flight->stage != Stage::kProbing || flight->probe_number != number) {
    return;
  }
  flight->probing += parts_.executor->Now() - flight->asked_at;
  if (intent && IsDistribution(*intent)) {
    flight->intent = *intent;
    flight->probe = ProbeState::kModel;
  } else {
    const bool late = !intent && intent.error().code == ErrorCode::kDeadline;
    flight->probe = late ? ProbeState::kTimedOut : ProbeState::kFailed;
    Log(LogLevel::kWarning, "model probe",
        {{"id", flight->request->id},
         {"state", std::string(Name(flight->probe))},
         {"error",
          intent ? "no distribution" : Printable(intent.error().message)}});
    DropProbe(*flight);
  }
  Choose(flight);
}

// Ends the probe's work for this request; the KV of its prompt stays cached.
void Orchestrator::Impl::DropProbe(const Flight& flight) {
  if (probe_variant_ >= 0) backend(probe_variant_).Cancel(flight.request->id);
}

// ---- Run --------------------------------------------------------------------

void Orchestrator::Impl::CountConversation(const Flight& flight,
                                           size_t variant) const {
  if (!flight.earlier) return;
  const bool stays = flight.earlier->variant == variant;
  parts_.metrics->Add("aio_conversation_total",
                      "Requests that go on from an exchange, by whether they "
                      "stay with its variant",
                      1, {{"to", stays ? "same" : "other"}});
}

void Orchestrator::Impl::Start(const FlightPtr& flight,
                               const policy::Input& input,
                               const policy::Decision& decision) {
  const Flight::Option& option = flight->options[decision.candidate];
  const auto variant = static_cast<int>(option.variant);
  const cost::Estimate& estimate =
      input.candidates[decision.candidate].estimate;
  const std::string& name = parts_.variants[variant].name;
  // The KV that the probe has kept helps only the variant it was made by.
  if (flight->asked && variant != probe_variant_) DropProbe(*flight);
  flight->stage = Stage::kRunning;
  flight->chosen = decision.candidate;
  flight->variant = variant;
  flight->thinking = option.thinking;
  flight->reason = flight->only >= 0 ? flight->only_why : decision.reason;
  flight->started = parts_.executor->Now();
  CountAttempt(flight.get());
  ledger_.Reserve(variant, flight->number, backend(variant).View(name));
  flight->said = estimate.price;
  flight->expected_tokens = estimate.output_tokens;
  const auto said = std::make_shared<std::atomic<int>>(0);
  loads_.Sent(variant, flight->number, estimate, said, flight->started);
  flight->kept.reset();
  const bool shown = flight->escalation && flight->escalation->shown_tokens > 0;
  if (guard_ && !shown && guard_->Wants(*flight, variant)) {
    flight->kept = std::make_shared<Kept>(kGuardBytesMax);
  }
  flight->larger = LargerThan(*flight, input, decision.candidate);
  Send(flight, decision.strategy, said);
}

void Orchestrator::Impl::CountAttempt(Flight* flight) {
  const std::string& name = parts_.variants[flight->variant].name;
  if (flight->attempts++ == 0) {
    retries_.Requested();
    parts_.metrics->Observe("aio_decide_seconds",
                            "Sensing and deciding, without peeks and the model "
                            "probe",
                            Seconds(flight->deciding));
    parts_.metrics->Add("aio_route_total", "Requests by where they were sent",
                        1,
                        {{"variant", name},
                         {"intent", std::string(flight->intent.BestName())}});
    CountConversation(*flight, static_cast<size_t>(flight->variant));
  } else if (flight->only < 0) {
    parts_.metrics->Add("aio_failover_total",
                        "Attempts on another variant after one had failed", 1,
                        {{"variant", name}});
  }
}

void Orchestrator::Impl::Send(const FlightPtr& flight, core::Strategy strategy,
                              std::shared_ptr<std::atomic<int>> said) {
  const core::Variant& variant = parts_.variants[flight->variant];
  Attempt::Parts attempt;
  attempt.answer = flight->answer;
  attempt.served = {variant.name,
                    strategy,
                    "",
                    std::string(flight->intent.BestName()),
                    flight->reason,
                    SeedOf(variant, *flight),
                    flight->probing,
                    variant.deterministic,
                    flight->thinking};
  attempt.executor = parts_.executor;
  attempt.said = std::move(said);
  attempt.kept = flight->kept;
  attempt.ended = [weak = weak_from_this(), flight](End end) {
    const std::shared_ptr<Impl> self = weak.lock();
    if (!self) {
      if (end.open) flight->Fail(end.done.error());
      return;
    }
    self->Later([flight, end](Impl* impl) { impl->Ended(flight, end); });
  };
  core::Plan plan;
  plan.variant = variant.name;
  plan.strategy = strategy;
  plan.seed = flight->seed;
  plan.thinking = flight->thinking;
  plan.output_tokens = flight->expected_tokens;
  const auto chosen = static_cast<size_t>(flight->chosen);
  plan.prepared = flight->options[chosen].size.prepared;
  if (flight->intent.source != core::IntentSource::kNone) {
    plan.intent = flight->intent.Best();
  }
  auto request = AddEscalation(flight, &attempt, &plan);
  variant.backend->Start(std::move(request), std::move(plan),
                         std::make_shared<Attempt>(std::move(attempt)));
}

// The answer is complete, or the client has the error, or the next candidate
// gets its try.
void Orchestrator::Impl::Ended(const FlightPtr& flight, const End& end) {
  const core::Outcome outcome = Learn(*flight, end);
  if (!outcome.error && flight->kept) guard_->Take(*flight);
  if (!waiting_.empty()) {
    parts_.executor->Post(Task([](Impl* impl) { impl->ServeWaiting(); }));
  }
  if (!end.open) return Finish(flight, outcome, outcome.error);
  if (flight->cancelled) {
    return Refuse(flight, {ErrorCode::kCancelled, "cancelled", ""});
  }
  if (end.escalation) return Escalate(flight, *end.escalation);
  const std::string& name = parts_.variants[flight->variant].name;
  Log(LogLevel::kWarning, "attempt failed",
      {{"id", flight->request->id},
       {"variant", name},
       {"code", std::string(CodeName(end.done.error().code))},
       {"error", Printable(end.done.error().message)}});
  for (Flight::Option& option : flight->options) {
    if (static_cast<int>(option.variant) == flight->variant) {
      option.dropped = end.done.error();
    }
  }
  if (!parts_.variants[flight->variant].passes) return Choose(flight);
  flight->stage = Stage::kDeciding;
  const double wait =
      RandomUnit(parts_.random_seed, 2 + flight->attempts, flight->number) *
      Seconds(kBackoff) * (1 << flight->attempts);
  parts_.executor->PostAt(
      parts_.executor->Now() + FromSeconds(wait),
      Task([late = std::weak_ptr<Flight>(flight)](Impl* impl) {
        const FlightPtr f = late.lock();
        if (f && f->stage == Stage::kDeciding) impl->Choose(f);
      }));
}

bool Orchestrator::Impl::MayRetry(const FlightPtr& flight) {
  if (flight->attempts < options_.attempts_max && retries_.Take()) return true;
  parts_.metrics->Add("aio_retries_refused_total",
                      "Failed attempts that were not made again elsewhere, as "
                      "too many had been",
                      1);
  return false;
}

// ---- End --------------------------------------------------------------------

// Ends a flight that no attempt has ended.
void Orchestrator::Impl::Refuse(const FlightPtr& flight, Error error) {
  const ErrorCode code = error.code;
  Finish(flight, {}, code);
  flight->Fail(std::move(error));
}

// The end of every flight: out of the books, counted, logged.
void Orchestrator::Impl::Finish(const FlightPtr& flight,
                                const core::Outcome& outcome,
                                std::optional<ErrorCode> error) {
  if (flight->stage == Stage::kWaiting) StopWaiting(*flight);
  flight->stage = Stage::kOver;
  const auto it = by_id_.find(flight->request->id);
  if (it != by_id_.end() && it->second == flight->number) by_id_.erase(it);
  flights_.erase(flight->number);
  if (guard_) guard_->InFlight(flights_.size());
  if (!flight->answer) return;  // an explanation is no traffic
  if (!error) Keep(*flight, outcome);
  const Time now = parts_.executor->Now();
  const Duration total = now - flight->begun;
  if (error == ErrorCode::kOverloaded) {
    retry_seconds_ = turned_away_.Refused(now);
  } else {
    turned_away_.Ended(now);
  }
  Count(*flight, error, total);
  if (!parts_.decision_log) return;
  LogEntry entry;
  entry.flight = flight.get();
  entry.policy = parts_.policy->name();
  if (flight->variant >= 0) {
    entry.variant = parts_.variants[flight->variant].name;
  }
  if (flight->earlier) {
    entry.earlier = parts_.variants[flight->earlier->variant].name;
  }
  entry.outcome = outcome;
  entry.error = error;
  entry.total = total;
  parts_.decision_log(DecisionLine(entry));
}

// For the conversation's next message.
void Orchestrator::Impl::Keep(const Flight& flight,
                              const core::Outcome& outcome) {
  if (!flight.request->chat || flight.variant < 0) return;
  Exchange exchange;
  exchange.tenant = flight.request->tenant;
  exchange.variant = static_cast<size_t>(flight.variant);
  exchange.thinking = flight.thinking;
  exchange.prompt_tokens = outcome.usage.prompt_tokens;
  exchange.intent = flight.intent;
  conversations_.Keep(flight.conversation.own, exchange);
}

void Orchestrator::Impl::Count(const Flight& flight,
                               std::optional<ErrorCode> error, Duration total) {
  const std::string variant =
      flight.variant < 0 ? "none" : parts_.variants[flight.variant].name;
  Metrics& metrics = *parts_.metrics;
  metrics.Add("aio_requests_total", "Requests by how they ended", 1,
              {{"variant", variant}, {"outcome", OutcomeName(error)}});
  metrics.Add("aio_probe_total", "Requests by who told their intent", 1,
              {{"state", std::string(Name(flight.probe))}});
  if (flight.variant < 0) return;
  metrics.Observe("aio_request_seconds", "From arrival to the end",
                  Seconds(total), {{"variant", variant}});
}

}  // namespace aio::orchestrator
