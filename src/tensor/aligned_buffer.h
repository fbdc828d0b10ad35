// SPDX-License-Identifier: Apache-2.0
//
// Memory that kernels stream through.
//
// Thread safety: plain data.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>

namespace aio {

// `bytes` aligned to a cache line. Large memory is asked for in huge pages:
// with small ones a kernel's prefetches wait for page tables. Throws bad_alloc.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* data, size_t bytes);  // of AllocateAligned(bytes)

// `size` elements aligned to 64 bytes; zeros, or whatever was there: large
// memory that is written before it is read need not be touched here. T is
// trivial.
template <typename T>
class AlignedBuffer {
 public:
  enum Fill { kZero, kNothing };

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size, Fill fill = kZero)
      : size_(size),
        data_(static_cast<T*>(AllocateAligned(size * sizeof(T))),
              Deleter{size}) {
    if (fill == kZero && size > 0) {
      std::memset(data_.get(), 0, size * sizeof(T));
    }
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

 private:
  struct Deleter {
    size_t size = 0;
    void operator()(T* p) const { FreeAligned(p, size * sizeof(T)); }
  };
  size_t size_ = 0;
  std::unique_ptr<T, Deleter> data_;
};

}  // namespace aio
