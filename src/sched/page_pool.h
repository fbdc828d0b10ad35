// SPDX-License-Identifier: Apache-2.0
//
// Which KV pages hold nothing, as indices. Who may read a page that is taken
// is its taker's business: one sequence's, or the prefix tree's.
//
// Thread safety: none; the engine thread only.
// Cost: O(1) each; allocates only in the constructor.
#pragma once

#include <cstdint>
#include <vector>

namespace aio::sched {

class PagePool {
 public:
  explicit PagePool(int pages);

  int total() const { return static_cast<int>(taken_.size()); }
  int free() const { return static_cast<int>(free_.size()); }

  int32_t Take();           // REQUIRES: free() > 0
  void Give(int32_t page);  // REQUIRES: taken

 private:
  std::vector<int32_t> free_;  // a stack: recently used pages are warm
  std::vector<bool> taken_;    // [page]
};

}  // namespace aio::sched
