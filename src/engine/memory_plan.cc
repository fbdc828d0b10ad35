// SPDX-License-Identifier: Apache-2.0
#include "engine/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/forward.h"

namespace aio::engine {
namespace {

int64_t PagesOf(int64_t tokens) {
  return (tokens + model::kPageTokens - 1) / model::kPageTokens;
}

// Pages of one variant when all may have `contexts` whole contexts.
int64_t PagesFor(const MemoryNeed& need, int contexts) {
  const int64_t least = PagesOf(need.context_tokens);
  const int64_t wanted =
      need.kv_bytes > 0 ? need.kv_bytes / need.page_bytes : least * contexts;
  return std::clamp<int64_t>(wanted, least, int64_t{1} << 30);
}

MemoryPlan PlanWith(const std::vector<MemoryNeed>& needs, int contexts) {
  MemoryPlan plan;
  for (const MemoryNeed& need : needs) {
    MemoryShare share;
    share.variant = need.variant;
    share.weight_bytes = need.weight_bytes;
    share.scratch_bytes = need.scratch_bytes;
    share.pages = static_cast<int>(PagesFor(need, contexts));
    share.kv_bytes = share.pages * need.page_bytes;
    plan.total_bytes +=
        share.weight_bytes + share.scratch_bytes + share.kv_bytes;
    plan.shares.push_back(share);
  }
  return plan;
}

}  // namespace

Result<MemoryPlan> PlanMemory(int64_t limit_bytes, int sequences_max,
                              const std::vector<MemoryNeed>& needs) {
  MemoryPlan plan;
  for (int contexts = sequences_max; contexts >= 1; contexts /= 2) {
    plan = PlanWith(needs, contexts);
    plan.limit_bytes = limit_bytes;
    if (limit_bytes == 0 || plan.total_bytes <= limit_bytes) return plan;
  }
  std::string message = fmt::format(
      "memory_limit is {}, but at least {} are needed:", BytesText(limit_bytes),
      BytesText(plan.total_bytes));
  for (const MemoryShare& s : plan.shares) {
    message += fmt::format(" {}: weights {}, KV {}, scratch {};", s.variant,
                           BytesText(s.weight_bytes), BytesText(s.kv_bytes),
                           BytesText(s.scratch_bytes));
  }
  message += " raise memory_limit, or lower context_max";
  return Error{ErrorCode::kInvalidArgument, message, "memory_limit"};
}

std::string BytesText(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace aio::engine
