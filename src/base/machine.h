// SPDX-License-Identifier: Apache-2.0
//
// What this process may use, which in a container is less than what the machine
// has: processors from the affinity mask and the cgroup's quota, memory from
// the cgroup's limit. cgroup v2 and v1, the process's own group and its
// parents.
//
// Thread safety: stateless.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace aio {

struct Machine {
  int cpus = 1;              // >= 1; a quota of 1.5 processors counts as 1
  int64_t memory_bytes = 0;  // 0: unknown
  std::string cpu_name;      // as the kernel calls it; may be empty
  int64_t cache_bytes = 0;   // of the last level; 0: unknown
};

// `root` is put in front of /proc and /sys paths, for tests; the affinity mask
// is always this process's.
Machine ReadMachine(const std::string& root = "");

// Whether this processor has every extension that the compiler was allowed to
// use everywhere (AIO_ARM_ARCH; nothing on x86, where only the kernels use any
// and choose at run time). kUnsupported names what is missing. To be called
// first in main(), since the alternative is an illegal instruction.
Result<void> CheckCpu();

}  // namespace aio
