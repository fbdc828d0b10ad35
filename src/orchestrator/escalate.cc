// SPDX-License-Identifier: Apache-2.0
//
// A larger variant takes over from one that is failing (docs/escalation.md).
#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "orchestrator/impl.h"
#include "policy/choice.h"

namespace aio::orchestrator {

// Who would take over from that candidate: the largest that is fit, thinking or
// not as that one does, if it can. -1: nobody, or nobody may.
int Orchestrator::Impl::LargerThan(const Flight& flight,
                                   const policy::Input& input,
                                   int chosen) const {
  const core::Request& request = *flight.request;
  const bool may = options_.escalation.margin_min > 0 && flight.pinned < 0 &&
                   request.choices == 1 &&
                   request.hints.escalate.value_or(true);
  if (!may) return -1;
  const policy::Candidate& now = input.candidates[static_cast<size_t>(chosen)];
  const auto rank = [&](const policy::Candidate& c) {
    return std::tuple(c.bytes_per_token, c.thinking == now.thinking, c.usual);
  };
  int best = -1;
  for (size_t i = 0; i < input.candidates.size(); ++i) {
    const policy::Candidate& c = input.candidates[i];
    if (!c.unfit.empty() || c.bytes_per_token <= now.bytes_per_token) continue;
    if (best < 0 ||
        rank(c) > rank(input.candidates[static_cast<size_t>(best)])) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

// What an attempt needs so that another may take over from it, and one that
// takes over so that nothing is said twice. The request as it is to be asked.
std::shared_ptr<const core::Request> Orchestrator::Impl::AddEscalation(
    const FlightPtr& flight, Attempt::Parts* attempt, core::Plan* plan) {
  const core::Request& request = *flight->request;
  if (const auto& before = flight->escalation) {
    const bool shown = before->shown_tokens > 0;
    (shown ? plan->shown_text : plan->draft_text) = before->text;
    attempt->shown_tokens = before->shown_tokens;
    if (!shown || !request.max_tokens) return flight->request;
    auto rest = std::make_shared<core::Request>(request);
    *rest->max_tokens -= before->shown_tokens;
    return rest;
  }
  if (flight->larger < 0) return flight->request;
  const Flight::Option& larger =
      flight->options[static_cast<size_t>(flight->larger)];
  Watch::Options options;
  options.margin_min = options_.escalation.margin_min;
  options.tokens = options_.escalation.tokens;
  // Behind what was shown it is too late to think.
  const core::Variant& variant = parts_.variants[larger.variant];
  options.after_shown =
      request.hints.escalate.value_or(false) && variant.resumes &&
      (!variant.thinking.on || larger.thinking == core::Thinking::kOff);
  attempt->watch = std::make_unique<Watch>(options, request);
  attempt->failing = [weak = weak_from_this(), flight,
                      number = flight->attempts] {
    const std::shared_ptr<Impl> self = weak.lock();
    if (!self) return;
    self->Later([flight, number](Impl* impl) { impl->GiveUp(flight, number); });
  };
  auto watched = std::make_shared<core::Request>(request);
  watched->sampling.logprobs = true;
  watched->sampling.top_logprobs = std::max(2, request.sampling.top_logprobs);
  return watched;
}

// Its end comes through its attempt, as any other.
void Orchestrator::Impl::GiveUp(const FlightPtr& flight, int attempt) {
  if (flight->stage != Flight::Stage::kRunning || flight->attempts != attempt) {
    return;
  }
  backend(flight->variant).Cancel(flight->request->id);
}

void Orchestrator::Impl::Escalate(const FlightPtr& flight,
                                  const Escalation& escalation) {
  const std::string& from = parts_.variants[flight->variant].name;
  const Flight::Option& larger =
      flight->options[static_cast<size_t>(flight->larger)];
  const std::string& to = parts_.variants[larger.variant].name;
  const Labels labels = {{"from", from},
                         {"to", to},
                         {"intent", std::string(flight->intent.BestName())}};
  parts_.metrics->Add("aio_escalations_total",
                      "Requests that a larger variant took over", 1, labels);
  parts_.metrics->Add("aio_escalation_tokens_total",
                      "Tokens that the smaller one had said of them",
                      escalation.tokens, labels);
  flight->escalation = escalation;
  flight->escalated_from = flight->chosen;
  flight->only = flight->larger;
  flight->only_why = "escalated: margin " + policy::Short(escalation.margin) +
                     " < " + policy::Short(options_.escalation.margin_min);
  Choose(flight);
}

}  // namespace aio::orchestrator
