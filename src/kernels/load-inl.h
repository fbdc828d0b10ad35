// SPDX-License-Identifier: Apache-2.0
//
// Vectors of floats from F32, F16 and BF16 bytes of any alignment.
//
// Per-target include, by Highway's convention.
#if defined(AIO_KERNELS_LOAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIO_KERNELS_LOAD_INL_H_
#undef AIO_KERNELS_LOAD_INL_H_
#else
#define AIO_KERNELS_LOAD_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "kernels/highway-inl.h"
#include "tensor/block_formats.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A number format: how many bytes one takes, and Lanes(d) of them as floats.
#if HWY_TARGET == HWY_SCALAR

struct F32Numbers {
  static constexpr size_t kBytes = 4;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    float x;
    std::memcpy(&x, p, sizeof(x));
    return hn::Set(d, x);
  }
};

struct F16Numbers {
  static constexpr size_t kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    uint16_t x;
    std::memcpy(&x, p, sizeof(x));
    return hn::Set(d, F16ToF32(x));
  }
};

struct BF16Numbers {
  static constexpr size_t kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    uint16_t x;
    std::memcpy(&x, p, sizeof(x));
    return hn::Set(d, Bf16ToF32(x));
  }
};

#else

struct F32Numbers {
  static constexpr size_t kBytes = 4;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    return hn::LoadU(d, reinterpret_cast<const float*>(p));
  }
};

struct F16Numbers {
  static constexpr size_t kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    const hn::Rebind<hwy::float16_t, D> half;
    return hn::PromoteTo(
        d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(p)));
  }
};

struct BF16Numbers {
  static constexpr size_t kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> Load(D d, const std::byte* p) {
    const hn::Rebind<hwy::bfloat16_t, D> half;
    return hn::PromoteTo(
        d, hn::LoadU(half, reinterpret_cast<const hwy::bfloat16_t*>(p)));
  }
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
