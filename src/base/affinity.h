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

// Those that this process may use, ascending.
std::vector<int> AllowedCpus();

// First one of each core, then those that share a core with one of them; else
// in their order. `root` is put in front of /sys paths, for tests.
std::vector<int> CoresFirst(std::vector<int> cpus,
                            const std::string& root = "");

// The calling thread runs on `cpu` alone from here on, and so do the threads
// that it starts. kUnavailable if the system refuses.
Result<void> PinThisThread(int cpu);

}  // namespace aio
