// SPDX-License-Identifier: Apache-2.0
//
// Any variant that fits, evenly: what a router must beat to be worth having.
// The random number is an input, so a decision can still be replayed.
//
// Thread safety: const and stateless.
#pragma once

#include "policy/policy.h"

namespace aio::policy {

class RandomPolicy : public Policy {
 public:
  std::string_view name() const override { return "random"; }
  Decision Decide(const Input& input) const override;
};

}  // namespace aio::policy
