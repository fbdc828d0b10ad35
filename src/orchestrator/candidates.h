// SPDX-License-Identifier: Apache-2.0
//
// Estimate: a flight and the state of the backends, as numbers a policy can
// decide by.
//
// Thread safety: none; used on the orchestrator's executor only.
#pragma once

#include <vector>

#include "base/result.h"
#include "core/backend.h"
#include "cost/learner.h"
#include "orchestrator/flight.h"
#include "orchestrator/ledger.h"
#include "policy/policy.h"

namespace aio::orchestrator {

// One candidate per option, in their order, and the reason for each that is
// unfit (also left in Flight::Option::unfit). A variant is unfit if the key may
// not use it, the request names another one, or wants a deterministic one and
// it is none, or says of thinking what it cannot do, its peek or an attempt on
// it failed, it is unhealthy, or the request does not fit its context: prompt
// and expected answer, so that a long answer goes where there is room; or it is
// drained ([variant]), or full. Where that leaves nobody, room for the prompt
// and one token is enough, and the answer ends when the context is full.
//
// can_ask is left false.
policy::Input Candidates(const std::vector<core::Variant>& variants,
                         const cost::Learner& learner,
                         const std::vector<bool>& drained, Ledger* ledger,
                         Flight* flight);

// The error for a request whose candidates are all unfit: what a retry may mend
// goes before what it cannot.
Error WhyNone(const std::vector<core::Variant>& variants, const Flight& flight);

// Probes are wired from outside; numbers that are no probabilities must not
// reach arithmetic.
bool IsDistribution(const core::Intent& intent);

// `text` fit for a header or a log: printable ASCII, at most 200 bytes. Error
// messages may quote an upstream.
std::string Printable(std::string_view text);

}  // namespace aio::orchestrator
