// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/candidates.h"

#include <algorithm>
#include <string>
#include <utility>

namespace aio::orchestrator {
namespace {

// Higher: says more about what the client may do.
int Rank(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOverloaded:
      return 3;  // retry later
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline:
      return 2;
    case ErrorCode::kInvalidArgument:
      return 0;  // it is the request, whoever answers
    default:
      return 1;
  }
}

Error TooLong(const core::Variant& variant, const core::Request& request,
              int prompt_tokens) {
  return {ErrorCode::kInvalidArgument,
          "the prompt has " + std::to_string(prompt_tokens) +
              " tokens, which leaves no room in the context of " +
              std::to_string(variant.context_tokens_max) + " tokens of '" +
              variant.name + "'",
          request.chat ? "messages" : "prompt"};
}

Error NotDeterministic(const core::Variant& variant) {
  return {ErrorCode::kInvalidArgument,
          "answers of '" + variant.name +
              "' to a seed may differ from one time to the next: name another "
              "variant, or leave out aio.deterministic",
          "aio.deterministic"};
}

// What the variant's backend cannot do at all for this request.
std::optional<Error> Unable(const core::Variant& variant,
                            const core::Request& request) {
  if (request.foreign && !variant.passes) return request.foreign;
  const auto lacking = core::Lacking(variant.features, request.needs);
  if (!lacking) return std::nullopt;
  return Error{ErrorCode::kUnsupported,
               "'" + variant.name + "' does not take part in " +
                   std::string(core::Name(*lacking)) + " (its features)",
               "model"};
}

Error CannotBeTold(const core::Variant& variant, core::Thinking said) {
  return {ErrorCode::kInvalidArgument,
          "'" + variant.name + "' " +
              (said == core::Thinking::kOn ? "cannot think" : "always thinks") +
              ": name another variant, or leave out enable_thinking",
          "enable_thinking"};
}

// Why `variant` cannot serve at all; nothing about the expected answer.
std::optional<Error> Unfit(const core::Variant& variant, const Flight& flight,
                           const Flight::Option& option,
                           const core::Snapshot& view) {
  if (!core::Allows(flight.request->allowed, variant.name)) {
    return Error{ErrorCode::kDenied, "the key may not use it", ""};
  }
  if (flight.only >= 0 && &option != &flight.options[flight.only]) {
    return Error{ErrorCode::kUnavailable, flight.only_why, ""};
  }
  const bool shown = flight.escalation && flight.escalation->shown_tokens > 0;
  if (shown && !variant.resumes) {
    return Error{ErrorCode::kUnavailable,
                 "cannot go on behind text that was shown", ""};
  }
  if (auto unable = Unable(variant, *flight.request)) return unable;
  if (flight.request->hints.deterministic && !variant.deterministic) {
    return NotDeterministic(variant);
  }
  const std::optional<core::Thinking> said = flight.request->thinking;
  if (!flight.request->thinking_in_text && !variant.thinking.Can(said)) {
    return CannotBeTold(variant, *said);
  }
  if (option.dropped) return option.dropped;
  if (!option.peeked) {
    return Error{ErrorCode::kDeadline, "did not answer the peek", ""};
  }
  if (!view.healthy) return Error{ErrorCode::kUnavailable, "unhealthy", ""};
  const int prompt = option.size.tokens;
  if (variant.context_tokens_max > 0 && prompt >= variant.context_tokens_max) {
    return TooLong(variant, *flight.request, prompt);
  }
  return std::nullopt;
}

bool AnswerFits(const policy::Candidate& candidate) {
  return candidate.context_tokens_max <= 0 ||
         candidate.estimate.context_tokens <= candidate.context_tokens_max;
}

cost::Estimate EstimateOf(const core::Variant& variant,
                          const cost::Learner& learner, const Flight& flight,
                          const Flight::Option& option) {
  cost::Learner::Question question;
  question.variant = variant.name;
  question.prompt_tokens = option.size.tokens;
  question.cached_tokens = option.size.cached_tokens;
  // A backend that cannot tell has what the exchange before left there.
  if (!option.size.exact && flight.earlier &&
      flight.earlier->variant == option.variant) {
    question.cached_tokens =
        std::max(question.cached_tokens, flight.earlier->prompt_tokens);
  }
  question.max_tokens = flight.request->max_tokens;
  question.output_tokens = flight.output_tokens;
  question.thinking = option.thinking;
  question.intent = &flight.intent;
  question.bytes_per_token = variant.bytes_per_token;
  return learner.Of(question);
}

// Prefers those with room for the expected answer, if there are any.
void PreferRoom(policy::Input* input) {
  bool room = false;
  for (const policy::Candidate& c : input->candidates) {
    room = room || (c.unfit.empty() && AnswerFits(c));
  }
  if (!room) return;
  for (policy::Candidate& c : input->candidates) {
    if (!c.unfit.empty() || AnswerFits(c)) continue;
    c.unfit = "context " + std::to_string(c.estimate.context_tokens) + " > " +
              std::to_string(c.context_tokens_max);
  }
}

}  // namespace

policy::Input Candidates(const std::vector<core::Variant>& variants,
                         const cost::Learner& learner,
                         const std::vector<bool>& drained, Ledger* ledger,
                         Flight* flight) {
  policy::Input input;
  input.intent = flight->intent;
  input.random = flight->random;
  for (Flight::Option& option : flight->options) {
    const core::Variant& variant = variants[option.variant];
    policy::Candidate c;
    c.variant = variant.name;
    c.thinking = option.thinking;
    c.usual = option.usual;
    c.bytes_per_token = variant.bytes_per_token;
    c.context_tokens_max = variant.context_tokens_max;
    c.device_price = variant.device_price;
    c.view =
        ledger->Correct(option.variant, variant.backend->View(variant.name));
    c.estimate = EstimateOf(variant, learner, *flight, option);
    c.replica = variant.replica;
    if (flight->pinned >= 0 && variants[flight->pinned].name != variant.name) {
      c.unfit = "the request names " + variants[flight->pinned].name;
    } else {
      option.unfit = Unfit(variant, *flight, option, c.view);
      if (!option.unfit && drained[option.variant]) {
        option.unfit = Error{ErrorCode::kUnavailable, "drained", ""};
      }
      option.full = !option.unfit && c.view.full;
      if (option.full) {
        option.unfit = Error{ErrorCode::kOverloaded,
                             "it has as many requests as it may", ""};
      }
      if (option.unfit) c.unfit = Printable(option.unfit->message);
    }
    input.candidates.push_back(std::move(c));
  }
  PreferRoom(&input);
  return input;
}

Error WhyNone(const std::vector<core::Variant>& variants,
              const Flight& flight) {
  const Flight::Option* best = nullptr;
  const auto context = [&](const Flight::Option& option) {
    return variants[option.variant].context_tokens_max;
  };
  for (const Flight::Option& option : flight.options) {
    // Who was never asked says nothing of why the others cannot.
    const std::string& name = variants[option.variant].name;
    if (!option.unfit || !core::Allows(flight.request->allowed, name)) continue;
    const int rank = Rank(option.unfit->code);
    const int rank_best = best == nullptr ? -1 : Rank(best->unfit->code);
    // Of equals, the one with the longest context is what limits the client.
    if (rank > rank_best ||
        (rank == rank_best && context(option) > context(*best))) {
      best = &option;
    }
  }
  if (best != nullptr) return *best->unfit;
  return {ErrorCode::kUnavailable, "no variant can serve the request", ""};
}

bool IsDistribution(const core::Intent& intent) {
  double sum = 0;
  for (const double p : intent.probabilities) {
    if (!(p >= 0)) return false;  // NaN as well
    sum += p;
  }
  return sum > 0.999 && sum < 1.001;
}

std::string Printable(std::string_view text) {
  constexpr size_t kBytesMax = 200;
  std::string out(text.substr(0, kBytesMax));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out.empty() ? "failed" : out;
}

}  // namespace aio::orchestrator
