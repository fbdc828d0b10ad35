// SPDX-License-Identifier: Apache-2.0
//
// A part of `aio bench mixed`: a workload of the simulator's through the
// engine, whatever its weights say, and through the simulator. See
// docs/mixed.md.
//
// Thread safety: one call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aio::cli {

struct BesideFlags {
  std::string config;
  std::vector<std::string> sets;
  std::string workload = "code-centric";
  std::vector<int> clients = {1, 4, 16};
  int requests = 40;
  double divide = 16;
  uint64_t seed = 1;
  bool as_json = false;
};

// The exit code.
int MixedBeside(const BesideFlags& flags);

}  // namespace aio::cli
