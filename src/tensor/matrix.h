// SPDX-License-Identifier: Apache-2.0
//
// Memory as the kernels see it: a matrix of weights where it lies in a file,
// and zeroed buffers aligned to cache lines.
//
// Thread safety: plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "tensor/dtype.h"

namespace aio {

// Rows of `depth` weights, one after another; y[row] = dot(row, x). A view: the
// bytes belong to the mapped file and need no alignment.
struct WeightMatrix {
  DType type = DType::kF32;
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t row_bytes = 0;

  const std::byte* Row(int64_t row) const { return data + row * row_bytes; }
  int64_t bytes() const { return rows * row_bytes; }
};

// `size` elements aligned to 64 bytes; zeros, or whatever was there: large
// memory that is written before it is read need not be touched here. T is
// trivial.
template <typename T>
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;
  enum Fill { kZero, kNothing };

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size, Fill fill = kZero)
      : size_(size),
        data_(static_cast<T*>(
            ::operator new[](size * sizeof(T), std::align_val_t{kAlignment}))) {
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
    void operator()(T* p) const {
      ::operator delete[](p, std::align_val_t{kAlignment});
    }
  };
  size_t size_ = 0;
  std::unique_ptr<T, Deleter> data_;
};

}  // namespace aio
