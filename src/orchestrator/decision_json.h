// SPDX-License-Identifier: Apache-2.0
//
// A decision's inputs and outcome as JSON and back, to the last bit: numbers
// that a policy computes with are hexadecimal floats ("0x1.8p-1").
//
// Thread safety: pure functions.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace aio::orchestrator {

boost::json::object ToJson(const policy::Input& input);
boost::json::object ToJson(const policy::Decision& decision);

// An input whose names are its own.
struct KeptInput {
  policy::Input input;
  std::vector<std::string> names;  // that its candidates point to
  std::vector<std::string> replicas;
};
// kCorrupt names what is missing or of another kind.
Result<std::unique_ptr<KeptInput>> InputOf(const boost::json::object& object);
Result<policy::Decision> DecisionOf(const boost::json::object& object);

// "0x1.8p-1"; inf and nan as such.
std::string HexFloat(double x);

}  // namespace aio::orchestrator
