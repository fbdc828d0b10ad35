// SPDX-License-Identifier: Apache-2.0
#include "tensor/aligned_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace aio {
namespace {

constexpr size_t kLine = 64;
// Of x86 and of ARM with small pages of 4 KiB; where it is another, the kernel
// uses what fits.
constexpr size_t kHugePage = size_t{2} << 20;
// What rounding up to whole huge pages adds is then little.
constexpr size_t kLarge = 16 * kHugePage;

}  // namespace

void* AllocateAligned(size_t bytes) {
  const size_t alignment = bytes < kLarge ? kLine : kHugePage;
  const size_t size =
      (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* data = size < bytes ? nullptr : std::aligned_alloc(alignment, size);
  if (data == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Only advice: without it everything works, more slowly.
  if (alignment == kHugePage) madvise(data, size, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace aio
