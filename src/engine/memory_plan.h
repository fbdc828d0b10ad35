// SPDX-License-Identifier: Apache-2.0
//
// How one device's memory is shared out before anything is allocated: weights
// and scratch of every variant are given, KV pages take what is left. Pure
// arithmetic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace aio::engine {

// What one variant needs. All sizes in bytes.
struct MemoryNeed {
  std::string variant;
  int64_t weight_bytes = 0;
  int64_t scratch_bytes = 0;
  int64_t page_bytes = 0;  // one KV page
  int context_tokens = 0;
  int64_t kv_bytes = 0;  // asked for in the config; 0: whatever fits
};

struct MemoryShare {
  std::string variant;
  int64_t weight_bytes = 0;
  int64_t scratch_bytes = 0;
  int pages = 0;
  int64_t kv_bytes = 0;
};

struct MemoryPlan {
  std::vector<MemoryShare> shares;
  int64_t total_bytes = 0;
  int64_t limit_bytes = 0;
};

// Wants pages for `sequences_max` whole contexts of each variant, and halves
// that until all fit `limit_bytes`. kInvalidArgument with the numbers if not
// even one whole context of each does.
Result<MemoryPlan> PlanMemory(int64_t limit_bytes, int sequences_max,
                              const std::vector<MemoryNeed>& needs);

// "1.5 GiB", "20.0 MiB", "512 B".
std::string BytesText(int64_t bytes);

}  // namespace aio::engine
