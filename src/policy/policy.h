// SPDX-License-Identifier: Apache-2.0
//
// Choosing a variant is arithmetic: numbers in, a choice and a reason out. A
// policy has no state, clock, lock, log or generator of its own, so a decision
// can be replayed from its log line and the simulator runs the same object.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/backend.h"
#include "core/intent.h"
#include "core/thinking.h"
#include "cost/estimate.h"

namespace aio::policy {

// A variant as the policy sees it for one request; twice where thinking may be
// chosen.
struct Candidate {
  std::string_view variant;
  std::string_view replica = {};  // of several that serve it; empty: the only
  cost::Estimate estimate;
  core::Snapshot view;
  // Empty if it can serve this request, else why not ("context 5120 > 512").
  // A policy never chooses such a candidate.
  std::string unfit;
  int64_t bytes_per_token = 0;
  int context_tokens_max = 0;
  // What a second of its device is worth, in seconds that users wait.
  double device_price = 1;
  // Expected for this request: the sum over labels of p * Q(variant, label);
  // absent without a quality table that knows it (core/quality.h).
  std::optional<double> quality;
  // The same if the request were surely of that label.
  std::array<std::optional<double>, core::kLabels> quality_of = {};
  // Its device does better without it, as far as others are good enough
  // (cost/device_plan.h).
  bool asleep = false;
  // How the variant would be told to answer; absent: there is nothing to tell.
  std::optional<core::Thinking> thinking = {};
  // False: an arm beside the one that does what the variant does unless told.
  // Only policies that weigh quality against cost choose such a candidate.
  bool usual = true;
};

// What asking the model probe would take, now.
struct AskPrice {
  // Of the variant that is asked, for the part of the prompt it reads.
  cost::Price price;
  int candidate = -1;   // that variant
  bool reused = false;  // an answer of that variant finds the prompt computed
};

struct Input {
  std::vector<Candidate> candidates;  // in config order
  core::Intent intent;
  bool can_ask = false;  // the model probe is configured and not yet asked
  std::optional<AskPrice> ask;          // absent: not known
  double random = 0;                    // in [0, 1), drawn for this request
  std::optional<double> quality_floor;  // the request's own
};

struct Decision {
  bool ask = false;    // ask the model probe, then decide again
  int candidate = -1;  // index; -1 only if every candidate is unfit or ask
  core::Strategy strategy = core::Strategy::kAuto;
  std::string reason;            // one line: "code, entropy 0.12 <= 0.45"
  std::vector<std::string> why;  // [candidate] why or why not
  // [candidate] which would have done; empty where the policy does not say.
  std::vector<bool> good;
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  // Whether it looks at Estimate::price.
  virtual bool prices() const { return false; }
  virtual Decision Decide(const Input& input) const = 0;
};

}  // namespace aio::policy
