// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/targets.h"
#include "tensor/block_formats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"
#include "kernels/load-inl.h"
// After highway-inl.h, so that both are compiled for the same extensions.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// At most 16 lanes: value rows are padded to so many.
using FloatTag = hn::CappedTag<float, 16>;
using Floats = hn::Vec<FloatTag>;
// Vectors at once: enough independent chains of additions with few heads.
constexpr size_t kAtOnce = 2;

// Some heads against one block; a head's arithmetic is the same whatever
// kHeads is.
template <typename Numbers, size_t kHeads>
struct Block {
  HWY_ALIGN float weights[kHeads][kKvBlock];  // scores, then exp(score - most)
  float most[kHeads];
  float sum[kHeads];
  float old_scale[kHeads];  // of what the blocks before have summed
  float new_scale[kHeads];  // of this block

  // To the same place in the next block, or 0. Blocks are scattered and too
  // short for the hardware to see a stream in them.
  int64_t ahead;

  // Scores of kAtOnce vectors of positions from t on.
  HWY_INLINE void ScoresAt(const AttentionShape& shape, const std::byte* keys,
                           const float* q, size_t t) {
    const FloatTag d;
    const size_t lanes = hn::Lanes(d);
    const auto dim = static_cast<size_t>(shape.head_dim);
    Floats acc[kHeads][kAtOnce];
    for (size_t i = 0; i < kHeads * kAtOnce; ++i) {
      acc[i / kAtOnce][i % kAtOnce] = hn::Zero(d);
    }
    const std::byte* k = keys + t * Numbers::kBytes;
    for (size_t j = 0; j < dim; ++j, k += kKvBlock * Numbers::kBytes) {
      hwy::Prefetch(k + ahead);
      Floats key[kAtOnce];
      for (size_t i = 0; i < kAtOnce; ++i) {
        key[i] = Numbers::Load(d, k + i * lanes * Numbers::kBytes);
      }
      for (size_t h = 0; h < kHeads; ++h) {
        const auto query = hn::Set(d, q[h * dim + j]);
        for (size_t i = 0; i < kAtOnce; ++i) {
          acc[h][i] = hn::MulAdd(key[i], query, acc[h][i]);
        }
      }
    }
    const auto scale = hn::Set(d, shape.scale);
    for (size_t h = 0; h < kHeads; ++h) {
      for (size_t i = 0; i < kAtOnce; ++i) {
        hn::Store(hn::Mul(acc[h][i], scale), d, weights[h] + t + i * lanes);
      }
    }
  }

  void Scores(const AttentionShape& shape, const std::byte* keys,
              const float* q) {
    const size_t step = kAtOnce * hn::Lanes(FloatTag());
    for (size_t t = 0; t < kKvBlock; t += step) ScoresAt(shape, keys, q, t);
  }

  // Positions from `count` on belong to nobody, or to later columns.
  void Softmax(size_t count) {
    const FloatTag d;
    const size_t lanes = hn::Lanes(d);
    for (size_t h = 0; h < kHeads; ++h) {
      std::fill(weights[h] + count, weights[h] + kKvBlock,
                -std::numeric_limits<float>::infinity());
      auto m = hn::Load(d, weights[h]);
      for (size_t t = lanes; t < kKvBlock; t += lanes) {
        m = hn::Max(m, hn::Load(d, weights[h] + t));
      }
      m = hn::MaxOfLanes(d, m);
      auto total = hn::Zero(d);
      for (size_t t = 0; t < kKvBlock; t += lanes) {
        const auto e = hn::Exp(d, hn::Sub(hn::Load(d, weights[h] + t), m));
        hn::Store(e, d, weights[h] + t);
        total = hn::Add(total, e);
      }
      most[h] = hn::GetLane(m);
      sum[h] = hn::GetLane(hn::SumOfLanes(d, total));
    }
  }

  // Takes this block's maximum and sum into those of the blocks before it.
  void Merge(float* all_most, float* all_sum) {
    for (size_t h = 0; h < kHeads; ++h) {
      const float m = std::max(all_most[h], most[h]);
      old_scale[h] = std::exp(all_most[h] - m);
      new_scale[h] = std::exp(most[h] - m);
      all_sum[h] = all_sum[h] * old_scale[h] + sum[h] * new_scale[h];
      all_most[h] = m;
    }
  }

  // acc[h] = acc[h] * old_scale[h] + (sum of weights * values) * new_scale[h],
  // `kVectors` vectors of it, `stride` numbers a head.
  template <size_t kVectors>
  HWY_INLINE void AddValues(const std::byte* values, size_t stride,
                            size_t count, float* acc) const {
    const FloatTag d;
    const size_t lanes = hn::Lanes(d);
    Floats part[kHeads][kVectors];
    for (size_t i = 0; i < kHeads * kVectors; ++i) {
      part[i / kVectors][i % kVectors] = hn::Zero(d);
    }
    const std::byte* v = values;
    for (size_t t = 0; t < count; ++t, v += stride * Numbers::kBytes) {
      hwy::Prefetch(v + ahead);
      Floats value[kVectors];
      for (size_t i = 0; i < kVectors; ++i) {
        value[i] = Numbers::Load(d, v + i * lanes * Numbers::kBytes);
      }
      for (size_t h = 0; h < kHeads; ++h) {
        const auto weight = hn::Set(d, weights[h][t]);
        for (size_t i = 0; i < kVectors; ++i) {
          part[h][i] = hn::MulAdd(value[i], weight, part[h][i]);
        }
      }
    }
    for (size_t h = 0; h < kHeads; ++h) {
      for (size_t i = 0; i < kVectors; ++i) {
        float* a = acc + h * stride + i * lanes;
        const auto old = hn::Mul(hn::Load(d, a), hn::Set(d, old_scale[h]));
        const auto scale = hn::Set(d, new_scale[h]);
        hn::Store(hn::MulAdd(part[h][i], scale, old), d, a);
      }
    }
  }

  void Values(const AttentionShape& shape, const std::byte* values,
              size_t count, float* acc) const {
    const size_t lanes = hn::Lanes(FloatTag());
    const auto stride = static_cast<size_t>(shape.value_stride());
    size_t j = 0;
    for (; j + kAtOnce * lanes <= stride; j += kAtOnce * lanes) {
      AddValues<kAtOnce>(values + j * Numbers::kBytes, stride, count, acc + j);
    }
    for (; j < stride; j += lanes) {
      AddValues<1>(values + j * Numbers::kBytes, stride, count, acc + j);
    }
  }
};

template <typename Numbers, size_t kHeads>
void AttendHeads(const AttentionShape& shape, const KvPages& kv, int position,
                 const float* q, float* out, float* acc) {
  const auto stride = static_cast<size_t>(shape.value_stride());
  const auto dim = static_cast<size_t>(shape.head_dim);
  Block<Numbers, kHeads> block;
  float most[kHeads], sum[kHeads];
  std::fill_n(most, kHeads, -std::numeric_limits<float>::infinity());
  std::fill_n(sum, kHeads, 0.0f);
  std::memset(acc, 0, kHeads * stride * sizeof(float));
  for (int first = 0, b = 0; first <= position; first += kKvBlock, ++b) {
    const int64_t at = kv.pages[b] * kv.page_bytes;
    const auto count =
        static_cast<size_t>(std::min(kKvBlock, position - first + 1));
    const bool last = first + kKvBlock > position;
    block.ahead = last ? 0 : kv.pages[b + 1] * kv.page_bytes - at;
    block.Scores(shape, kv.keys + at, q);
    block.Softmax(count);
    block.Merge(most, sum);
    block.Values(shape, kv.values + at, count, acc);
  }
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t j = 0; j < dim; ++j) {
      out[h * dim + j] = acc[h * stride + j] / sum[h];
    }
  }
}

template <typename Numbers>
void AttendAll(const AttentionShape& shape, const KvPages& kv, int position,
               const float* q, float* out, float* scratch) {
  for (int h = 0; h < shape.heads;) {
    const int64_t at = int64_t{h} * shape.head_dim;
    const int left = shape.heads - h;
    if (left >= 4) {
      AttendHeads<Numbers, 4>(shape, kv, position, q + at, out + at, scratch);
      h += 4;
    } else if (left >= 2) {
      AttendHeads<Numbers, 2>(shape, kv, position, q + at, out + at, scratch);
      h += 2;
    } else {
      AttendHeads<Numbers, 1>(shape, kv, position, q + at, out + at, scratch);
      h += 1;
    }
  }
}

void AttendTarget(const AttentionShape& shape, const KvPages& kv, int position,
                  const float* q, float* out, float* scratch) {
  if (shape.f16) {
    AttendAll<F16Numbers>(shape, kv, position, q, out, scratch);
  } else {
    AttendAll<F32Numbers>(shape, kv, position, q, out, scratch);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {
namespace {

template <typename Number, Number (*round)(float)>
void WriteKvAs(const AttentionShape& shape, const float* k, const float* v,
               int slot, std::byte* keys, std::byte* values) {
  auto* key = reinterpret_cast<Number*>(keys) + slot;
  auto* value = reinterpret_cast<Number*>(values) + slot * shape.value_stride();
  for (int i = 0; i < shape.head_dim; ++i) {
    key[i * kKvBlock] = round(k[i]);
    value[i] = round(v[i]);
  }
}

float Same(float x) { return x; }

}  // namespace

HWY_EXPORT(AttendTarget);

void Attend(const AttentionShape& shape, const KvPages& kv, int position,
            const float* q, float* out, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttendTarget)(shape, kv, position, q, out, scratch);
}

void WriteKv(const AttentionShape& shape, const float* k, const float* v,
             int slot, std::byte* keys, std::byte* values) {
  if (shape.f16) {
    WriteKvAs<uint16_t, F32ToF16>(shape, k, v, slot, keys, values);
  } else {
    WriteKvAs<float, Same>(shape, k, v, slot, keys, values);
  }
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
