// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/orchestrator.h"

#include <algorithm>
#include <utility>

#include "base/nearest.h"
#include "orchestrator/candidates.h"
#include "orchestrator/impl.h"

namespace aio::orchestrator {
namespace {

constexpr const char* kAuto = "auto";

// Each once, however many replicas it has.
std::vector<std::string> Names(const std::vector<core::Variant>& variants) {
  std::vector<std::string> names;
  for (const core::Variant& v : variants) {
    if (names.empty() || names.back() != v.name) names.push_back(v.name);
  }
  return names;
}

// Lengths measured of a variant are of what it does unless told.
core::LengthTable LengthsOf(const Parts& parts) {
  core::LengthTable lengths = parts.lengths;
  for (const core::Variant& v : parts.variants) {
    const auto row = parts.lengths.find(v.name);
    if (!v.thinking.usual || row == parts.lengths.end()) continue;
    lengths.try_emplace(core::ThinkingRow(v.name, *v.thinking.usual),
                        row->second);
  }
  return lengths;
}

int IndexOf(const std::vector<core::Variant>& variants,
            const std::string& name) {
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

// ---- The life of a request --------------------------------------------------

// Sense, peek, and from there on Choose.
void Orchestrator::Impl::Handle(const FlightPtr& flight) {
  flight->begun = parts_.executor->Now();
  if (Result<void> admitted = Admit(flight); !admitted) {
    return Refuse(flight, std::move(admitted).error());
  }
  if (guard_) guard_->InFlight(flights_.size());
  Recall(flight.get());
  Sense(flight.get());
  Peek(flight);
}

// Estimate, decide, start. Comes back here with the answer of the model probe,
// and without a candidate that failed.
void Orchestrator::Impl::Choose(const FlightPtr& flight) {
  flight->stage = Flight::Stage::kDeciding;
  const Time begun = parts_.executor->Now();
  policy::Input input =
      Candidates(parts_.variants, learner_, drained_, &ledger_, flight.get());
  for (policy::Candidate& c : input.candidates) {
    AddQuality(&c, input.intent);
  }
  input.can_ask = CanAsk(*flight);
  input.quality_floor = flight->request->hints.quality;
  AddPrices(*flight, &input);
  const policy::Decision decision = Decide(*flight, input);
  flight->deciding += parts_.executor->Now() - begun;
  if (parts_.decision_log && !flight->explained) {
    flight->rounds.push_back(
        {input, decision, flight->pinned < 0 && Held(*flight, input) >= 0});
  }
  if (decision.ask && input.can_ask) return Ask(flight, input);
  if (flight->explained) return Explain(flight, input, decision);
  if (decision.candidate < 0 && flight->only >= 0) {
    flight->only = -1;
    return Choose(flight);
  }
  if (decision.candidate < 0 && Wait(flight)) return;
  if (decision.candidate < 0) {
    return Refuse(flight, WhyNone(parts_.variants, *flight));
  }
  if (flight->attempts > 0 && !flight->escalation && !MayRetry(flight)) {
    return Refuse(flight, WhyNone(parts_.variants, *flight));
  }
  if (flight->attempts == 0) {
    CountExpected(input, decision.candidate);
    LearnTraffic(*flight, input, decision);
  }
  Start(flight, input, decision);
}

void Orchestrator::Impl::AddQuality(policy::Candidate* candidate,
                                    const core::Intent& intent) const {
  std::string name(candidate->variant);
  if (candidate->thinking) {
    std::string told = core::ThinkingRow(name, *candidate->thinking);
    if (parts_.quality.count(told) > 0) name = std::move(told);
  }
  candidate->quality = core::ExpectedQuality(parts_.quality, name, intent);
  const auto row = parts_.quality.find(name);
  if (row == parts_.quality.end()) return;
  for (size_t label = 0; label < core::kLabels; ++label) {
    if (!row->second[label]) continue;
    candidate->quality_of[label] = row->second[label]->value;
  }
}

// Which variants would have done, for the devices' plans. Who names one needs
// that one.
void Orchestrator::Impl::LearnTraffic(const Flight& flight,
                                      const policy::Input& input,
                                      const policy::Decision& decision) {
  if (!parts_.policy->prices()) return;
  std::vector<bool> good(parts_.variants.size());
  for (size_t i = 0; i < decision.good.size(); ++i) {
    if (decision.good[i]) good[flight.options[i].variant] = true;
  }
  const auto chosen = static_cast<size_t>(decision.candidate);
  good[flight.options[chosen].variant] = true;
  traffic_.Add(good, input.candidates[chosen].estimate);
}

// Whether anybody who decides weighs costs.
bool Orchestrator::Impl::Prices() const {
  return parts_.policy->prices() || (parts_.shadow && parts_.shadow->prices());
}

// Of those that may be chosen, if the policy looks at it.
void Orchestrator::Impl::AddPrices(const Flight& flight, policy::Input* input) {
  if (!Prices()) return;
  const Time now = parts_.executor->Now();
  for (size_t i = 0; i < input->candidates.size(); ++i) {
    const size_t variant = flight.options[i].variant;
    loads_.See(variant, input->candidates[i].view,
               ledger_.outstanding(variant));
  }
  const std::vector<bool> asleep = traffic_.Asleep(loads_.InFlight());
  for (size_t i = 0; i < input->candidates.size(); ++i) {
    policy::Candidate& c = input->candidates[i];
    const size_t variant = flight.options[i].variant;
    if (!c.unfit.empty() || !loads_.Knows(variant)) continue;
    c.asleep = asleep[variant];
    c.estimate.price = loads_.PriceOf(variant, c.estimate, now);
  }
  const auto probe = static_cast<size_t>(std::max(0, probe_variant_));
  if (!input->can_ask || probe_variant_ < 0 || !loads_.Knows(probe)) return;
  // One token behind the prompt, or behind as much of it as is read.
  policy::AskPrice ask;
  ask.candidate = flight.OptionOf(probe_variant_);
  cost::Estimate estimate =
      input->candidates[static_cast<size_t>(ask.candidate)].estimate;
  ask.reused = estimate.prompt_tokens <= parts_.model_probe_tokens_max;
  if (!ask.reused) {
    estimate.prompt_tokens = parts_.model_probe_tokens_max;
    estimate.cached_tokens = 0;
  }
  estimate.output_tokens = 1;
  ask.price = loads_.PriceOf(probe, estimate, now);
  input->ask = ask;
  // Who would be late is not asked.
  const Duration most = options_.probe_deadline;
  if (most > Duration::zero() && ask.price.ttft >= Seconds(most)) {
    input->can_ask = false;
  }
}

// ---- Admit and sense --------------------------------------------------------

// On success the flight is in the books; else its client gets the error.
Result<void> Orchestrator::Impl::Admit(const FlightPtr& flight) {
  const core::Request& request = *flight->request;
  flight->number = ++count_;
  if (flights_.size() >= static_cast<size_t>(options_.requests_max)) {
    return Error{ErrorCode::kOverloaded,
                 std::to_string(flights_.size()) +
                     " requests are in flight, which is the limit",
                 ""};
  }
  ASSIGN_OR_RETURN(flight->pinned, Pinned(request));
  if (!request.id.empty() && by_id_.count(request.id) > 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "a request with this id is in flight", ""};
  }
  AddOptions(flight.get());
  flight->random = RandomUnit(parts_.random_seed, 0, flight->number);
  // 53 bits, so that a client whose numbers are doubles can send it back.
  flight->seed = request.sampling.seed.value_or(
      RandomBits(parts_.random_seed, 1, flight->number) >> 11);
  flights_[flight->number] = flight;
  if (!request.id.empty()) by_id_[request.id] = flight->number;
  return {};
}

// One of each variant, or of each of its replicas that is there; and, where
// nobody has said whether to think and the quality table knows what the variant
// reaches when it is told to do what it does not do by itself, one of that.
void Orchestrator::Impl::AddOptions(Flight* flight) const {
  const core::Request& request = *flight->request;
  const bool open = request.chat && !request.thinking && flight->pinned < 0;
  for (size_t i = 0; i < parts_.variants.size(); ++i) {
    const core::Variant& variant = parts_.variants[i];
    const core::ThinkingModes& modes = variant.thinking;
    const bool one_of_many = !variant.replica.empty();
    if (one_of_many && !variant.backend->View(variant.name).present) continue;
    Flight::Option option;
    option.variant = i;
    if (request.chat) option.thinking = modes.For(request.thinking);
    flight->options.push_back(option);
    if (!open || !modes.both() || !Prices()) continue;
    const core::Thinking other = modes.other();
    if (parts_.quality.count(core::ThinkingRow(variant.name, other)) == 0) {
      continue;
    }
    option.thinking = other;
    option.usual = false;
    flight->options.push_back(option);
  }
}

// The variant that the request names, as its model or as a hint; -1 for none.
Result<int> Orchestrator::Impl::Pinned(const core::Request& request) const {
  const std::string& hint = request.hints.variant;
  const std::string& model = request.model;
  const bool routed = model.empty() || model == kAuto;
  const std::vector<std::string>& names = names_;
  if (!hint.empty() && IndexOf(parts_.variants, hint) < 0) {
    return Error{ErrorCode::kNotFound,
                 "there is no variant '" + Printable(hint) + "'" +
                     DidYouMean(hint, names),
                 "aio.variant"};
  }
  if (!routed && IndexOf(parts_.variants, model) < 0) {
    std::vector<std::string> models = names;
    models.insert(models.begin(), kAuto);
    return Error{ErrorCode::kNotFound,
                 "there is no model '" + Printable(model) + "'" +
                     DidYouMean(model, models),
                 "model"};
  }
  if (!routed && !hint.empty() && hint != model) {
    return Error{ErrorCode::kInvalidArgument,
                 "model is '" + model + "' but aio.variant is '" + hint + "'",
                 "aio.variant"};
  }
  const std::string& name = hint.empty() ? model : hint;
  const int pinned = IndexOf(parts_.variants, name);
  if (pinned >= 0 && !core::Allows(request.allowed, name)) {
    return Error{ErrorCode::kDenied, "this API key may not use '" + name + "'",
                 hint.empty() ? "model" : "aio.variant"};
  }
  return pinned;
}

// The exchange that the request goes on from.
void Orchestrator::Impl::Recall(Flight* flight) {
  const core::Request& request = *flight->request;
  if (!request.chat) return;
  flight->conversation = KeysOf(request);
  if (!flight->conversation.before) return;
  const Exchange* earlier =
      conversations_.Find(*flight->conversation.before, request.tenant);
  if (earlier != nullptr) flight->earlier = *earlier;
}

void Orchestrator::Impl::AskText(Flight* flight) const {
  if (!parts_.text_probe) return;
  const Time begun = parts_.executor->Now();
  const core::Intent intent = parts_.text_probe(*flight->request);
  flight->probing = parts_.executor->Now() - begun;
  flight->deciding += flight->probing;
  if (!IsDistribution(intent)) return;
  flight->intent = intent;
  flight->probe = ProbeState::kText;
}

// The text probe speaks even where the variant is pinned: what a request wants
// is also what its length is learned by. What the model probe has told of a
// conversation is not asked again; a tool's words tell nothing new.
void Orchestrator::Impl::Sense(Flight* flight) {
  const core::Request& request = *flight->request;
  const Exchange* earlier = flight->earlier ? &*flight->earlier : nullptr;
  if (request.hints.intent) {
    flight->intent = core::Intent::Pinned(*request.hints.intent);
  } else if (earlier != nullptr && request.tool_result) {
    flight->intent = earlier->intent;
    flight->probe = ProbeState::kSticky;
  } else {
    AskText(flight);
    if (earlier != nullptr &&
        earlier->intent.source == core::IntentSource::kModel) {
      flight->intent = Sharpened(earlier->intent, flight->intent);
      flight->probe = ProbeState::kSticky;
    }
  }
  if (parts_.length_probe) flight->output_tokens = parts_.length_probe(request);
  if (request.hints.intent || flight->pinned >= 0) {
    flight->probe = ProbeState::kPinned;
  }
}

// ---- The object -------------------------------------------------------------

Orchestrator::Impl::Impl(Parts parts, Options options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      names_(Names(parts_.variants)),
      probe_variant_(IndexOf(parts_.variants, parts_.model_probe_variant)),
      learner_(names_, {.lengths = LengthsOf(parts_)}),
      ledger_(parts_.variants.size()),
      loads_(&parts_.costs),
      traffic_(&parts_.costs),
      conversations_(
          static_cast<size_t>(std::max(0, options_.conversations_max))),
      drained_(parts_.variants.size()),
      retries_(options_.retry_share),
      guard_(Guard::Make(parts_, options_.guard)) {
  CHECK(parts_.executor != nullptr && parts_.metrics != nullptr);
  CHECK(parts_.policy != nullptr && !parts_.variants.empty());
}

// Nobody else holds this any more, so no task of it runs. What a backend has
// started ends through its attempt.
Orchestrator::Impl::~Impl() {
  for (auto& [number, flight] : flights_) {
    if (flight->stage == Flight::Stage::kRunning) continue;
    flight->Fail({ErrorCode::kCancelled, "the server is stopping", ""});
  }
}

void Orchestrator::Impl::Cancel(const std::string& request_id) {
  const auto it = by_id_.find(request_id);
  if (it == by_id_.end()) return;
  const FlightPtr flight = flights_[it->second];
  flight->cancelled = true;
  if (flight->stage == Flight::Stage::kRunning) {
    backend(flight->variant).Cancel(request_id);
    return;  // its attempt ends with kCancelled
  }
  if (flight->stage == Flight::Stage::kProbing) DropProbe(*flight);
  Refuse(flight, {ErrorCode::kCancelled, "cancelled", ""});
}

Orchestrator::Orchestrator(Parts parts, Options options)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(options))) {}

Orchestrator::~Orchestrator() = default;

void Orchestrator::Handle(std::shared_ptr<const core::Request> request,
                          std::shared_ptr<core::Sink> sink) {
  auto flight = std::make_shared<Flight>();
  flight->request = std::move(request);
  flight->answer = std::make_shared<Answer>(std::move(sink));
  impl_->Later([flight](Impl* impl) { impl->Handle(flight); });
}

void Orchestrator::Route(std::shared_ptr<const core::Request> request,
                         std::function<void(Result<Explanation>)> done) {
  auto flight = std::make_shared<Flight>();
  flight->request = std::move(request);
  flight->explained = std::move(done);
  impl_->Later([flight](Impl* impl) { impl->Handle(flight); });
}

void Orchestrator::Cancel(const std::string& request_id) {
  impl_->Later([request_id](Impl* impl) { impl->Cancel(request_id); });
}

void Orchestrator::Drain(const std::string& variant, const std::string& replica,
                         bool drained, std::function<void(Result<void>)> done) {
  impl_->Later([=, done = std::move(done)](Impl* impl) {
    done(impl->Drain(variant, replica, drained));
  });
}

void Orchestrator::Places(std::function<void(std::vector<Place>)> done) {
  impl_->Later([done = std::move(done)](Impl* impl) { done(impl->Places()); });
}

int Orchestrator::retry_seconds() const { return impl_->retry_seconds(); }

const std::vector<core::Variant>& Orchestrator::variants() const {
  return impl_->variants();
}

}  // namespace aio::orchestrator
