// SPDX-License-Identifier: Apache-2.0
//
// Requests that could be served if there were not so many: they wait here, and
// not at a server, so that tenants have their turns and whoever is free first
// takes them. And who is not to be sent any.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/nearest.h"
#include "orchestrator/candidates.h"
#include "orchestrator/impl.h"

namespace aio::orchestrator {
namespace {

// Replicas that recover, or want requests again, do not say so.
constexpr Duration kLook = std::chrono::milliseconds(50);
// Of an answer without max_tokens, for the cost of a turn.
constexpr double kAnswerTokens = 256;

}  // namespace

// False: nobody is full who could serve it, so there is nothing to wait for.
bool Orchestrator::Impl::Wait(const FlightPtr& flight) {
  const bool full = std::ranges::any_of(
      flight->options, [](const Flight::Option& o) { return o.full; });
  if (!full || flight->explained) return false;
  double prompt = 0;
  for (const Flight::Option& option : flight->options) {
    prompt = std::max<double>(prompt, option.size.tokens);
  }
  const std::optional<int> most = flight->request->max_tokens;
  flight->stage = Flight::Stage::kWaiting;
  waiting_[flight->pinned].Push(
      flight->number, flight->request->tenant,
      std::max(1.0, prompt + (most ? *most : kAnswerTokens)),
      flight->request->weight);
  parts_.metrics->Add("aio_waited_total",
                      "Requests that had to wait, as all were full", 1);
  WatchWaiting();
  return true;
}

// Whoever gives up has used no turn.
void Orchestrator::Impl::StopWaiting(const Flight& flight) {
  const auto queue = waiting_.find(flight.pinned);
  if (queue != waiting_.end()) queue->second.Erase(flight.number);
}

// Those whose turn it is, as long as somebody can take them.
void Orchestrator::Impl::ServeWaiting() {
  size_t count = 0;
  for (auto& [pinned, queue] : waiting_) {
    while (!queue.empty()) {
      const FlightPtr flight = flights_.at(queue.Front());
      const policy::Input input = Candidates(parts_.variants, learner_,
                                             drained_, &ledger_, flight.get());
      const bool fit = std::ranges::any_of(
          input.candidates,
          [](const policy::Candidate& c) { return c.unfit.empty(); });
      const bool full = std::ranges::any_of(
          flight->options, [](const Flight::Option& o) { return o.full; });
      if (!fit && full) break;
      queue.Pop();
      Choose(flight);
    }
    count += queue.size();
  }
  std::erase_if(waiting_, [](const auto& q) { return q.second.empty(); });
  parts_.metrics->Set("aio_waiting", "Requests that wait, as all are full",
                      static_cast<double>(count));
}

void Orchestrator::Impl::WatchWaiting() {
  if (watching_ || waiting_.empty()) return;
  watching_ = true;
  parts_.executor->PostAt(parts_.executor->Now() + kLook, Task([](Impl* impl) {
                            impl->watching_ = false;
                            impl->ServeWaiting();
                            impl->WatchWaiting();
                          }));
}

Result<void> Orchestrator::Impl::Drain(const std::string& variant,
                                       const std::string& replica,
                                       bool drained) {
  bool any = false;
  std::vector<std::string> replicas;
  for (size_t i = 0; i < parts_.variants.size(); ++i) {
    const core::Variant& v = parts_.variants[i];
    if (v.name != variant) continue;
    replicas.push_back(v.replica);
    if (!replica.empty() && v.replica != replica) continue;
    drained_[i] = drained;
    any = true;
  }
  if (any) {
    Log(LogLevel::kInfo, drained ? "drained" : "enabled",
        {{"variant", variant}, {"replica", replica}});
    return {};
  }
  if (replicas.empty()) {
    return Error{ErrorCode::kNotFound,
                 "there is no variant '" + Printable(variant) + "'" +
                     DidYouMean(variant, names_),
                 "variant"};
  }
  return Error{ErrorCode::kNotFound,
               "'" + variant + "' has no replica '" + Printable(replica) + "'" +
                   DidYouMean(replica, replicas),
               "replica"};
}

std::vector<Place> Orchestrator::Impl::Places() const {
  std::vector<Place> places;
  for (size_t i = 0; i < parts_.variants.size(); ++i) {
    const core::Variant& v = parts_.variants[i];
    places.push_back({v.name, v.replica, v.backend->View(v.name), drained_[i]});
  }
  return places;
}

}  // namespace aio::orchestrator
