// SPDX-License-Identifier: Apache-2.0
#include "tensor/aligned_buffer.h"

#include <sys/mman.h>

#include <new>

namespace aio {
namespace {

constexpr size_t kLine = 64;
// Of x86 and of ARM with small pages of 4 KiB; where it is another, the kernel
// uses what fits.
constexpr size_t kHugePage = size_t{2} << 20;
// What whole huge pages add to what is touched is then little.
constexpr size_t kLarge = 16 * kHugePage;

std::align_val_t AlignmentOf(size_t bytes) {
  return std::align_val_t{bytes < kLarge ? kLine : kHugePage};
}

}  // namespace

void* AllocateAligned(size_t bytes) {
  void* data = ::operator new(bytes, AlignmentOf(bytes));
#ifdef MADV_HUGEPAGE
  // Only advice: without it everything works, more slowly. Whole pages, so that
  // nothing of what lies behind is in them.
  if (bytes >= kLarge) {
    madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
#endif
  return data;
}

void FreeAligned(void* data, size_t bytes) {
  ::operator delete(data, AlignmentOf(bytes));
}

}  // namespace aio
