// SPDX-License-Identifier: Apache-2.0
#include "engine/guest_forward.h"

namespace aio::engine {

std::vector<int32_t> GuestForward::Run(std::span<const Part> parts) {
  columns_.clear();
  for (const Part& part : parts) {
    const auto& pages = scheduler_.PagesOf(part.id);
    for (int p = part.begin; p < part.end; ++p) {
      columns_.push_back({part.text[static_cast<size_t>(p)], p, pages,
                          part.draws && p + 1 == part.end, bits_});
    }
  }
  forward_.Step(columns_);
  std::vector<int32_t> next;
  for (const Part& part : parts) {
    if (!part.draws) continue;
    const auto logits = forward_.Logits(static_cast<int>(next.size()));
    next.push_back(pick_(part.id, part.text, part.said, logits));
  }
  return next;
}

}  // namespace aio::engine
