// SPDX-License-Identifier: Apache-2.0
//
// Always the same variant: the baseline every other policy is compared with.
//
// Thread safety: const and stateless.
#pragma once

#include <string>
#include <utility>

#include "policy/policy.h"

namespace aio::policy {

class StaticPolicy : public Policy {
 public:
  explicit StaticPolicy(std::string variant)
      : name_("static:" + variant), variant_(std::move(variant)) {}
  std::string_view name() const override { return name_; }
  Decision Decide(const Input& input) const override;

 private:
  const std::string name_;
  const std::string variant_;
};

}  // namespace aio::policy
