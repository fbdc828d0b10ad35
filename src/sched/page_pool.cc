// SPDX-License-Identifier: Apache-2.0
#include "sched/page_pool.h"

#include "base/check.h"

namespace aio::sched {

PagePool::PagePool(int pages) : users_(pages, 0) {
  free_.reserve(pages);
  for (int32_t page = pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t PagePool::Take() {
  CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  users_[page] = 1;
  return page;
}

void PagePool::Share(int32_t page) {
  CHECK(users_[page] > 0);
  ++users_[page];
}

void PagePool::Give(int32_t page) {
  CHECK(users_[page] > 0);
  if (--users_[page] == 0) free_.push_back(page);
}

}  // namespace aio::sched
