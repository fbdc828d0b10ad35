// SPDX-License-Identifier: Apache-2.0
#include "policy/static.h"

#include "policy/choice.h"

namespace aio::policy {

Decision StaticPolicy::Decide(const Input& input) const {
  return Choose(input, Find(input, variant_), name_,
                "the policy always takes " + variant_);
}

}  // namespace aio::policy
