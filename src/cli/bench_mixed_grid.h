// SPDX-License-Identifier: Apache-2.0
//
// The simulated part of `aio bench mixed`: all contenders at all loads, on this
// machine's tables and on devices that are elsewhere. See docs/mixed.md.
//
// Thread safety: one call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aio::cli {

struct GridFlags {
  // "cpu", which is the config's models as measured now, or profiles.
  std::vector<std::string> devices;
  std::string config;
  std::vector<std::string> sets;
  std::vector<std::string> models = {"openpangu-1b", "openpangu-7b",
                                     "openpangu-7b@4"};
  double memory_gib = 64;
  std::vector<std::string> workloads = {"code-centric", "knowledge-centric"};
  std::vector<double> floors = {0.97, 0.92, 0.88, 0.8};
  std::string bursts;  // a trace whose times are taken; empty: Poisson alone
  int requests = 1000;
  double divide = 1;
  uint64_t seed = 1;
  bool as_json = false;
  std::string html;
};

// The exit code.
int MixedGrid(const GridFlags& flags);

}  // namespace aio::cli
