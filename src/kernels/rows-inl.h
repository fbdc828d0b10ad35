// SPDX-License-Identifier: Apache-2.0
//
// The loops around a dot-product kernel: some rows at a time against 1..8
// columns, everything in registers. A Kernel has
//
//   template <size_t kRows, size_t kColumns>
//   static void Dot(const std::byte* const* rows, int64_t ahead,
//                   const Activations& x, float* sums);
//
// with sums [kRows][kColumns]. It sums each output alone, so that neither
// number enters the arithmetic. What lies `ahead` bytes behind a weight is
// multiplied by the next call and should be on its way by then: rows are too
// short for the hardware to see a stream in them. (0: it is in a cache
// already.)
//
// Several rows at once give independent chains of additions and share the load
// of the activations.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_ROWS_INL_H_
#undef AIO_KERNELS_ROWS_INL_H_
#else
#define AIO_KERNELS_ROWS_INL_H_
#endif

#include <algorithm>

#include "kernels/highway-inl.h"
#include "kernels/matmul_impl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// Accumulators are rows * columns: within 32 vector registers with AVX-512 and
// NEON, 16 with AVX2.
constexpr size_t RowsAtOnce([[maybe_unused]] size_t columns) {
#if HWY_TARGET == HWY_SCALAR
  return 1;
#elif HWY_TARGET == HWY_AVX2
  return columns <= 2 ? 4 : columns <= 4 ? 2 : 1;
#else
  return columns <= 4 ? 4 : 3;
#endif
}

template <typename Kernel, size_t kColumns>
void RunRows(const MatMulPass& pass) {
  constexpr size_t kRows = RowsAtOnce(kColumns);
  const int64_t ahead =
      pass.from_memory ? static_cast<int64_t>(kRows) * pass.w.row_bytes : 0;
  for (int64_t row = pass.rows.begin; row < pass.rows.end; row += kRows) {
    const auto count = std::min<int64_t>(kRows, pass.rows.end - row);
    // The last rows may be fewer: the surplus repeats one and is not stored.
    const std::byte* rows[kRows];
    for (size_t r = 0; r < kRows; ++r) {
      rows[r] = pass.w.Row(row + std::min(static_cast<int64_t>(r), count - 1));
    }
    float sums[kRows * kColumns];
    Kernel::template Dot<kRows, kColumns>(rows, ahead, pass.x, sums);
    for (size_t c = 0; c < kColumns; ++c) {
      float* y = pass.y + static_cast<int64_t>(c) * pass.y_stride + row;
      for (int64_t r = 0; r < count; ++r) {
        y[r] = sums[static_cast<size_t>(r) * kColumns + c];
      }
    }
  }
}

template <typename Kernel>
void RunPass(const MatMulPass& pass) {
  switch (pass.columns) {
    case 1:
      return RunRows<Kernel, 1>(pass);
    case 2:
      return RunRows<Kernel, 2>(pass);
    case 3:
      return RunRows<Kernel, 3>(pass);
    case 4:
      return RunRows<Kernel, 4>(pass);
    case 5:
      return RunRows<Kernel, 5>(pass);
    case 6:
      return RunRows<Kernel, 6>(pass);
    case 7:
      return RunRows<Kernel, 7>(pass);
    default:
      return RunRows<Kernel, 8>(pass);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
