// SPDX-License-Identifier: Apache-2.0
//
// Processors by the numbers that Linux gives them, and threads that stay on
// one.
//
// Thread safety: stateless.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio {

// "0-3,8" -> {0, 1, 2, 3, 8}, in the order of the text. kInvalidArgument says
// what is wrong with it.
Result<std::vector<int>> ParseCpuList(std::string_view text);

// Those that this process may use: first one of each core, then the threads
// that share a core with one of them. `root` is put in front of /sys paths, for
// tests; the affinity mask is always this process's.
std::vector<int> AllowedCpus(const std::string& root = "");

// The calling thread runs on `cpu` alone from here on, and so do the threads
// that it starts. kUnavailable if the system refuses.
Result<void> PinThisThread(int cpu);

}  // namespace aio
