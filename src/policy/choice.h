// SPDX-License-Identifier: Apache-2.0
//
// Steps that several policies share: who is fit, who stands in for an unfit
// candidate, and how a reason is written.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace aio::policy {

inline bool Fit(const Input& input, int candidate) {
  return candidate >= 0 && input.candidates[candidate].unfit.empty();
}

// The index of that variant, as it answers unless told otherwise if it stands
// there so (it comes first), or -1. Of its replicas, BestReplica.
int Find(const Input& input, std::string_view variant);

// Whether they are replicas of one variant that are told the same.
bool Alike(const Candidate& a, const Candidate& b);

// Of the fit candidates that are replicas of `candidate`, told the same: the
// one with the fewest requests, where a prompt that it has not seen counts as
// one; of equals, one by the request's random number. `candidate` if none is
// fit.
int BestReplica(const Input& input, int candidate);

// One of `equals` by the request's random number. REQUIRES: not empty.
int Drawn(const Input& input, const std::vector<int>& equals);

// The fit candidate to use where the wanted one is not: the largest by bytes
// per token, the first of equals (of its replicas, the best); -1 if none is
// fit. An unknown size counts as the smallest, and usual ones go before others.
int LargestFit(const Input& input);

// A decision for `wanted` because of `reason`, or for LargestFit if `wanted` is
// unfit or -1. Every candidate's `why` is filled: its own unfitness, the reason
// for the chosen one, `other` for the rest.
Decision Choose(const Input& input, int wanted, std::string reason,
                std::string_view other);

// "0.123": three digits, for reasons.
std::string Short(double x);

}  // namespace aio::policy
