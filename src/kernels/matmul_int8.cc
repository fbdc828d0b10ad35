// SPDX-License-Identifier: Apache-2.0
//
// Q8_0 and Q4_0 weights times int8 columns. Per block of 32 the integer part is
// exact; an output has one vector of float sums, to which blocks are added in
// order, each as products * (weight scale * column scale).
#include <algorithm>
#include <cmath>

#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_int8.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"
#include "kernels/int8_dot-inl.h"
#include "kernels/matmul_impl.h"
#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

using B = Int8Blocks;

struct Q8Format {
  static constexpr size_t kBytes = kQ8Bytes;
  static HWY_INLINE B::Weights Load(const std::byte* p, size_t blocks) {
    return B::LoadQ8(p, blocks);
  }
};

struct Q4Format {
  static constexpr size_t kBytes = kQ4Bytes;
  static HWY_INLINE B::Weights Load(const std::byte* p, size_t blocks) {
    return B::LoadQ4(p, blocks);
  }
};

template <typename Format>
struct Int8Kernel {
  template <size_t kRows, size_t kColumns>
  static HWY_INLINE void Dot(const std::byte* const* rows, int64_t ahead,
                             const Activations& x, float* HWY_RESTRICT sums) {
    const B::FloatTag d;
    const auto blocks = static_cast<size_t>(x.depth / kBlock);
    const auto stride = static_cast<size_t>(x.stride);
    B::Floats acc[kRows][kColumns];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) acc[r][c] = hn::Zero(d);
    }
    const auto add = [&](size_t block, size_t count) HWY_ATTR {
      B::Weights w[kRows];
      B::Floats scale[kRows];
      for (size_t r = 0; r < kRows; ++r) {
        const std::byte* p = rows[r] + block * Format::kBytes;
        if (ahead != 0) hwy::Prefetch(p + ahead);
        w[r] = Format::Load(p, count);
        scale[r] = B::Scale<Format::kBytes>(p, count);
      }
      for (size_t c = 0; c < kColumns; ++c) {
        const auto codes =
            B::LoadColumns(x.codes + c * stride + block * kBlock);
        const auto column_scale = hn::Load(
            d, x.scales + (c * stride / kBlock + block) * kScaleCopies);
        for (size_t r = 0; r < kRows; ++r) {
          acc[r][c] = hn::MulAdd(B::Dot(w[r], codes),
                                 hn::Mul(scale[r], column_scale), acc[r][c]);
        }
      }
    };
    size_t block = 0;
    for (; block + B::kBlocks <= blocks; block += B::kBlocks) {
      add(block, B::kBlocks);
    }
    if (B::kBlocks > 1 && block < blocks) add(block, 1);
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < kColumns; ++c) {
        sums[r * kColumns + c] = hn::GetLane(hn::SumOfLanes(d, acc[r][c]));
      }
    }
  }
};

void Int8PassTarget(const MatMulPass& pass) {
  if (pass.w.type == DType::kQ8_0) {
    return RunPass<Int8Kernel<Q8Format>>(pass);
  }
  RunPass<Int8Kernel<Q4Format>>(pass);
}

#if HWY_TARGET == HWY_SCALAR

// Nearest even, and no undefined conversion of what is not a number.
int8_t RoundCode(float x) {
  if (!(x > -128.0f)) return -128;
  if (!(x < 127.0f)) return 127;
  return static_cast<int8_t>(std::nearbyint(x));
}

void QuantizeBlockTarget(const float* x, uint8_t* codes, float* scales) {
  float largest = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    largest = std::max(largest, std::fabs(x[i]));
  }
  const float inverse = largest != 0 ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<uint8_t>(RoundCode(x[i] * inverse));
  }
  const float scale = F16ToF32(F32ToF16(largest / 127.0f));
  std::fill_n(scales, kScaleCopies, scale);
}

#else

void QuantizeBlockTarget(const float* HWY_RESTRICT x,
                         uint8_t* HWY_RESTRICT codes,
                         float* HWY_RESTRICT scales) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const hn::RebindToUnsigned<decltype(bytes)> unsigned_bytes;
  const size_t lanes = hn::Lanes(d);
  auto most = hn::Zero(d);
  for (size_t i = 0; i < kBlock; i += lanes) {
    most = hn::Max(most, hn::Abs(hn::Load(d, x + i)));
  }
  const float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  const auto inverse = hn::Set(d, largest != 0 ? 127.0f / largest : 0.0f);
  for (size_t i = 0; i < kBlock; i += lanes) {
    const auto q = hn::NearestInt(hn::Mul(hn::Load(d, x + i), inverse));
    const auto code = hn::BitCast(unsigned_bytes, hn::DemoteTo(bytes, q));
    hn::StoreU(hn::Xor(code, hn::Set(unsigned_bytes, B::kEncodeSign)),
               unsigned_bytes, codes + i);
  }
  const float scale = F16ToF32(F32ToF16(largest / 127.0f));
  const hn::CappedTag<float, kScaleCopies> copies;
  for (size_t i = 0; i < kScaleCopies; i += hn::Lanes(copies)) {
    hn::Store(hn::Set(copies, scale), copies, scales + i);
  }
}

#endif

void QuantizeColumnsTarget(const Activations& x, Range columns) {
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    const Activations column = x.From(c);
    // To the padded end: the padding is zeros, whose scale is zero.
    for (int64_t k = 0; k < x.stride; k += kBlock) {
      QuantizeBlockTarget(column.values + k, column.codes + k,
                          column.scales + k / kBlock * kScaleCopies);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(Int8PassTarget);
HWY_EXPORT(QuantizeColumnsTarget);

void Int8Pass(const MatMulPass& pass) {
  HWY_DYNAMIC_DISPATCH(Int8PassTarget)(pass);
}

void QuantizeColumns(const Activations& x, Range columns) {
  HWY_DYNAMIC_DISPATCH(QuantizeColumnsTarget)(x, columns);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
