// SPDX-License-Identifier: Apache-2.0
//
// The inside of Orchestrator. Read orchestrator.cc: Handle first.
//
// Thread safety: all methods run on the executor, but those said to be for any
// thread. Backends and timers hold weak pointers, so that what arrives after
// the end finds nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fair_queue.h"
#include "base/random.h"
#include "cost/learner.h"
#include "orchestrator/conversations.h"
#include "orchestrator/flight.h"
#include "orchestrator/guard.h"
#include "orchestrator/ledger.h"
#include "orchestrator/loads.h"
#include "orchestrator/orchestrator.h"
#include "orchestrator/retry_budget.h"
#include "orchestrator/traffic.h"
#include "orchestrator/turned_away.h"

namespace aio::orchestrator {

class Orchestrator::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Parts parts, Options options);
  ~Impl();

  // Any thread: runs `work(impl)` on the executor, if the object still lives.
  template <typename Work>
  void Later(Work work) {
    parts_.executor->Post(Task(std::move(work)));
  }

  void Handle(const FlightPtr& flight);
  void Cancel(const std::string& request_id);
  Result<void> Drain(const std::string& variant, const std::string& replica,
                     bool drained);
  std::vector<Place> Places() const;
  const std::vector<core::Variant>& variants() const { return parts_.variants; }
  int retry_seconds() const { return retry_seconds_; }  // any thread

 private:
  template <typename Work>
  std::function<void()> Task(Work work) {
    return [weak = weak_from_this(), work = std::move(work)] {
      if (const std::shared_ptr<Impl> self = weak.lock()) work(self.get());
    };
  }

  // Sense.
  Result<void> Admit(const FlightPtr& flight);
  Result<int> Pinned(const core::Request& request) const;
  void AddOptions(Flight* flight) const;
  void Recall(Flight* flight);
  void Sense(Flight* flight);
  void AskText(Flight* flight) const;

  // Peek.
  void Peek(const FlightPtr& flight);
  void Peeked(const FlightPtr& flight, size_t at,
              Result<core::PromptSize> size);
  void PeekedEnough(const FlightPtr& flight);

  // Decide.
  void Choose(const FlightPtr& flight);
  void AddQuality(policy::Candidate* candidate,
                  const core::Intent& intent) const;
  void LearnTraffic(const Flight& flight, const policy::Input& input,
                    const policy::Decision& decision);
  bool Prices() const;
  void AddPrices(const Flight& flight, policy::Input* input);
  void CountExpected(const policy::Input& input, int chosen) const;
  int Held(const Flight& flight, const policy::Input& input) const;
  policy::Decision Decide(const Flight& flight,
                          const policy::Input& input) const;
  void Explain(const FlightPtr& flight, const policy::Input& input,
               const policy::Decision& decision);

  // Ask the model probe.
  bool CanAsk(const Flight& flight) const;
  Duration ProbeDeadline(const policy::Input& input) const;
  void Ask(const FlightPtr& flight, const policy::Input& input);
  void Asked(const FlightPtr& flight, uint64_t number,
             Result<core::Intent> intent);
  void DropProbe(const Flight& flight);

  // Wait.
  bool Wait(const FlightPtr& flight);
  void StopWaiting(const Flight& flight);
  void ServeWaiting();
  void WatchWaiting();

  // Run and learn.
  bool TimesTokens(const Flight& flight) const;
  bool MayRetry(const FlightPtr& flight);
  void CountConversation(const Flight& flight, size_t variant) const;
  void Start(const FlightPtr& flight, const policy::Input& input,
             const policy::Decision& decision);
  void Ended(const FlightPtr& flight, const End& end);
  void CountAttempt(Flight* flight);
  void Send(const FlightPtr& flight, core::Strategy strategy,
            std::shared_ptr<std::atomic<int>> said);
  core::Outcome Learn(const Flight& flight, const End& end);
  Loads::Went WentOf(const Flight& flight, const core::Outcome& outcome) const;
  void LearnPrice(const Flight& flight, const Loads::Went& went);
  void Refuse(const FlightPtr& flight, Error error);
  void Finish(const FlightPtr& flight, const core::Outcome& outcome,
              std::optional<ErrorCode> error);
  void Keep(const Flight& flight, const core::Outcome& outcome);
  void Count(const Flight& flight, std::optional<ErrorCode> error,
             Duration total);

  // Escalate.
  int LargerThan(const Flight& flight, const policy::Input& input,
                 int chosen) const;
  std::shared_ptr<const core::Request> AddEscalation(const FlightPtr& flight,
                                                     Attempt::Parts* attempt,
                                                     core::Plan* plan);
  void GiveUp(const FlightPtr& flight, int attempt);
  void Escalate(const FlightPtr& flight, const Escalation& escalation);

  core::Backend& backend(int variant) {
    return *parts_.variants[variant].backend;
  }

  const Parts parts_;
  const Options options_;
  const std::vector<std::string> names_;  // of variants, each once
  int probe_variant_ = -1;  // whose Prepared the model probe takes
  cost::Learner learner_;
  Ledger ledger_;
  Loads loads_;
  Traffic traffic_;
  Conversations conversations_;
  TurnedAway turned_away_;
  // Those who wait, by the variant that they name, -1 for any; of each, tenants
  // have their turns.
  std::map<int, FairQueue<uint64_t>> waiting_;
  bool watching_ = false;      // a look at them is under way
  std::vector<bool> drained_;  // [variant]
  RetryBudget retries_;
  std::atomic<int> retry_seconds_ = 1;
  const std::shared_ptr<Guard> guard_;     // null: off
  uint64_t count_ = 0;                     // flights so far
  std::map<uint64_t, FlightPtr> flights_;  // by number
  std::map<std::string, uint64_t> by_id_;  // request id -> number
};

}  // namespace aio::orchestrator
