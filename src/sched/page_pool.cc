// SPDX-License-Identifier: Apache-2.0
#include "sched/page_pool.h"

#include "base/check.h"

namespace aio::sched {

PagePool::PagePool(int pages) : taken_(pages, false) {
  free_.reserve(pages);
  for (int32_t page = pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t PagePool::Take() {
  CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  taken_[page] = true;
  return page;
}

void PagePool::Give(int32_t page) {
  CHECK(taken_.at(page));
  taken_[page] = false;
  free_.push_back(page);
}

}  // namespace aio::sched
