// SPDX-License-Identifier: Apache-2.0
//
// Which KV pages are in use, as indices, with a count of users each: sequences
// that begin alike share the pages of what they have in common.
//
// Thread safety: none; the engine thread only.
// Invariants: a page is free exactly if its count is zero.
// Cost: O(1) each; allocates only in the constructor.
#pragma once

#include <cstdint>
#include <vector>

namespace aio::sched {

class PagePool {
 public:
  explicit PagePool(int pages);

  int total() const { return static_cast<int>(users_.size()); }
  int free() const { return static_cast<int>(free_.size()); }

  // A page with one user. REQUIRES: free() > 0.
  int32_t Take();
  void Share(int32_t page);  // REQUIRES: in use
  void Give(int32_t page);   // one user less; free at zero

 private:
  std::vector<int32_t> free_;   // a stack: recently used pages are warm
  std::vector<int32_t> users_;  // [page]
};

}  // namespace aio::sched
