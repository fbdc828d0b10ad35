// SPDX-License-Identifier: Apache-2.0
//
// What decided: the policy with its options, as the head of a decision log has
// it, so that the log alone can be replayed.
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "base/result.h"
#include "policy/policies.h"

namespace aio::cli {

struct DecisionRule {
  std::string kind;
  policy::Options options;
};

// The head of a log: {"decision_log": 3, "rule": ..., "rule_hash": ...}.
boost::json::object HeadOf(const DecisionRule& rule);
// kCorrupt if it is no head, or of another version.
Result<DecisionRule> RuleOf(const boost::json::object& head);

}  // namespace aio::cli
