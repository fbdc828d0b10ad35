// SPDX-License-Identifier: Apache-2.0
//
// One request on its way: everything the orchestrator knows about it between
// Handle and its end. Plain data.
//
// Thread safety: none; touched on the orchestrator's executor only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/backend.h"
#include "core/intent.h"
#include "core/request.h"
#include "core/thinking.h"
#include "orchestrator/answer.h"
#include "orchestrator/conversations.h"
#include "orchestrator/orchestrator.h"
#include "policy/policy.h"

namespace aio::orchestrator {

// Who told the intent. A request counts in exactly one of these.
enum class ProbeState : uint8_t {
  kPinned,    // the request names its intent or its variant
  kSticky,    // its conversation's was told before
  kText,      // the text probe was enough, or all there is
  kModel,     // the model probe answered
  kSkipped,   // no probe was consulted
  kTimedOut,  // the model probe was asked and too late
  kFailed,    // the model probe was asked and failed
};
std::string_view Name(ProbeState state);

// One decision with all its inputs.
struct Round {
  policy::Input input;  // candidates' names point into the variants
  policy::Decision decision;
  bool held = false;  // by a tool loop: not the policy's
};

struct Flight {
  enum class Stage : uint8_t {
    kPeeking,
    kDeciding,
    kProbing,
    kWaiting,  // until one that could serve it is not full
    kRunning,
    kOver
  };

  // A candidate for this request.
  struct Option {
    size_t variant = 0;                      // whose answer it would be
    std::optional<core::Thinking> thinking;  // absent: nothing to tell
    bool usual = true;    // what the variant does unless told
    bool peeked = false;  // `size` is known
    core::PromptSize size;
    std::optional<Error> dropped;  // its peek or an attempt on it failed
    std::optional<Error> unfit;    // why it cannot serve, as last looked at
    bool full = false;             // that is all that is wrong with it
  };

  uint64_t number = 0;  // of this orchestrator; the key of ledgers and timers
  std::shared_ptr<const core::Request> request;
  std::shared_ptr<Answer> answer;                      // of Handle
  std::function<void(Result<Explanation>)> explained;  // of Route
  Time begun{};
  Stage stage = Stage::kPeeking;
  bool cancelled = false;

  core::Intent intent;
  ProbeState probe = ProbeState::kSkipped;
  std::optional<double> output_tokens;  // what the length probe says
  Duration deciding{};                  // sensing and deciding, all rounds
  Duration probing{};                   // what the probes took, both together
  bool asked = false;                   // the model probe
  Time asked_at{};
  uint64_t probe_number = 0;  // tells a late answer from the awaited one
  int pinned = -1;            // the variant the request names

  ConversationKeys conversation;
  std::optional<Exchange> earlier;  // that it goes on from, if it is known

  std::vector<Option> options;  // [candidate]
  int peeks_missing = 0;
  double random = 0;
  uint64_t seed = 0;

  // The candidate that takes over if the attempt is failing; -1: nobody does.
  int larger = -1;
  std::optional<Escalation> escalation;  // of an attempt; at most one a flight
  int escalated_from = -1;               // its candidate
  // The only candidate that may answer, and why; -1: all may.
  int only = -1;
  std::string only_why;

  int chosen = -1;   // the candidate that runs, or ran last
  int variant = -1;  // its
  std::optional<core::Thinking> thinking;  // of it
  int attempts = 0;
  Time started{};                   // of the attempt
  std::string reason;               // of the decision that runs
  std::optional<cost::Price> said;  // of the attempt, if it was priced
  double expected_tokens = 0;       // of its answer
  std::shared_ptr<Kept> kept;       // of the attempt, if it is to be compared
  std::vector<Round> rounds;        // kept only if there is a decision log

  Flight() = default;
  // An explanation nobody gave is a cancelled one; an Answer sees to itself.
  ~Flight();
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  // The first option of that variant; -1 if it has none.
  int OptionOf(int of_variant) const;
  // Tells the client, if it has not been told.
  void Fail(Error error);
};
using FlightPtr = std::shared_ptr<Flight>;

}  // namespace aio::orchestrator
