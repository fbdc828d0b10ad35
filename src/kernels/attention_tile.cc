// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention_impl.h"
#include "kernels/targets.h"
#include "tensor/block_formats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_tile.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/attention_keys-inl.h"
#include "kernels/highway-inl.h"
#include "kernels/load-inl.h"
// After highway-inl.h, so that both are compiled for the same extensions.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

// How many rows times vectors of sums the registers hold: AVX2 has 16 of them,
// the others 32.
constexpr size_t kSumsMax = HWY_TARGET == HWY_AVX2 ? 8 : 16;

// Vectors at once: enough independent chains of additions with few rows.
constexpr size_t VectorsAtOnce(size_t rows) {
  return rows >= 6 ? std::min<size_t>(2, kSumsMax / rows) : rows == 4 ? 2 : 4;
}

// One block of the KV, and how far away the next is.
struct BlockAt {
  const std::byte* keys;
  const std::byte* values;
  // To the same place in the next block, or 0. Blocks are scattered and too
  // short for the hardware to see a stream in them.
  int64_t ahead;
};

// What memory brings during a softmax. Past the end of a block it does no harm.
constexpr size_t kSoftmaxBytes = 1536;

template <size_t kBytes>
HWY_INLINE void PrefetchRun(const std::byte* p) {
  for (size_t i = 0; i < kBytes; i += 64) hwy::Prefetch(p + i);
}

// sums += values * by.
template <size_t kVectors>
HWY_INLINE void MulAddTo(const Floats (&values)[kVectors], Floats by,
                         Floats (&sums)[kVectors]) {
  for (size_t i = 0; i < kVectors; ++i) {
    sums[i] = hn::MulAdd(values[i], by, sums[i]);
  }
}

template <size_t kVectors>
HWY_INLINE void AddKeys(const KeyCodes::Keys (&keys)[kVectors],
                        const float* query, KeyCodes::Sums (&sums)[kVectors]) {
  for (size_t i = 0; i < kVectors; ++i) {
    sums[i] = KeyCodes::Add(sums[i], keys[i], query);
  }
}

// The codes that share a scale in each query, and the keys for them.
struct CodeBlock {
  const std::byte* keys;
  const float* queries;  // [groups][rows]
  const float* scales;   // [rows]
  const float* offsets;  // [rows]
  size_t groups;
};

// kRows queries against one block after another; a row's arithmetic is the same
// whatever kRows is.
template <size_t kRows>
struct Rows {
  // Of one block: scores, then exp(score - most).
  using Weights = float[kRows][kKvBlock];

  float most[kRows];       // of all blocks so far
  float sum[kRows];        // of the weights of all blocks so far
  float old_scale[kRows];  // of what the blocks before have summed

  static constexpr size_t kAtOnce = VectorsAtOnce(kRows);
  static constexpr size_t kLanes = hn::MaxLanes(FloatTag());
  static constexpr size_t kKeyVectors =
      std::min<size_t>(kAtOnce, kKvBlock / kLanes);

  // Scores from the queries as PrepareTile orders them, [head_dim][kRows].
  template <typename Numbers>
  void Scores(size_t dim, const BlockAt& block, const float* queries,
              Weights& weights) const {
    const FloatTag d;
    constexpr size_t kVector = kLanes * Numbers::kBytes;
    for (size_t t = 0; t < kKvBlock; t += kKeyVectors * kLanes) {
      Floats sums[kRows][kKeyVectors];
      for (auto& row : sums) {
        for (auto& s : row) s = hn::Zero(d);
      }
      const std::byte* k = block.keys + t * Numbers::kBytes;
      const float* q = queries;
      for (size_t j = 0; j < dim; ++j, q += kRows) {
        PrefetchRun<kKeyVectors * kVector>(k + block.ahead);
        Floats key[kKeyVectors];
        for (size_t i = 0; i < kKeyVectors; ++i) {
          key[i] = Numbers::Load(d, k + i * kVector);
        }
        for (size_t r = 0; r < kRows; ++r) {
          MulAddTo(key, hn::Set(d, q[r]), sums[r]);
        }
        k += kKvBlock * Numbers::kBytes;
      }
      for (size_t r = 0; r < kRows; ++r) {
        for (size_t i = 0; i < kKeyVectors; ++i) {
          hn::Store(sums[r][i], d, weights[r] + t + i * kLanes);
        }
      }
    }
  }

  // One block of kQueryBlock codes of the queries: weights += products * scale,
  // or = for the first.
  HWY_INLINE void AddCodeScores(const CodeBlock& block, int64_t ahead,
                                bool first, Weights& weights) const {
    const FloatTag d;
    constexpr size_t kVector = kLanes * KeyCodes::kGroup;
    for (size_t t = 0; t < kKvBlock; t += kKeyVectors * kLanes) {
      KeyCodes::Sums sums[kRows][kKeyVectors];
      for (size_t r = 0; r < kRows; ++r) {
        int32_t offset;
        std::memcpy(&offset, block.offsets + r, sizeof(offset));
        for (auto& s : sums[r]) s = KeyCodes::Start(offset);
      }
      const std::byte* k = block.keys + t * KeyCodes::kGroup;
      const float* q = block.queries;
      for (size_t j = 0; j < block.groups; ++j, q += kRows) {
        PrefetchRun<kKeyVectors * kVector>(k + ahead);
        KeyCodes::Keys key[kKeyVectors];
        for (size_t i = 0; i < kKeyVectors; ++i) {
          key[i] = KeyCodes::Load(k + i * kVector);
        }
        for (size_t r = 0; r < kRows; ++r) AddKeys(key, q + r, sums[r]);
        k += kKvBlock * KeyCodes::kGroup;
      }
      for (size_t r = 0; r < kRows; ++r) {
        for (size_t i = 0; i < kKeyVectors; ++i) {
          float* w = weights[r] + t + i * kLanes;
          const auto products = KeyCodes::ToFloats(sums[r][i]);
          const auto scale = hn::Set(d, block.scales[r]);
          const auto before = first ? hn::Zero(d) : hn::Load(d, w);
          hn::Store(hn::MulAdd(products, scale, before), d, w);
        }
      }
    }
  }

  // weights *= the scales of the block's positions.
  static HWY_INLINE void TimesScales(const std::byte* scales,
                                     Weights& weights) {
    const FloatTag d;
    for (size_t t = 0; t < kKvBlock; t += kLanes) {
      const auto scale = F16Numbers::Load(d, scales + t * F16Numbers::kBytes);
      for (size_t r = 0; r < kRows; ++r) {
        float* w = weights[r] + t;
        hn::Store(hn::Mul(hn::Load(d, w), scale), d, w);
      }
    }
  }

  void CodeScores(const AttentionShape& shape, const BlockAt& block,
                  const float* queries, Weights& weights) const {
    const auto dim = static_cast<size_t>(shape.head_dim);
    const size_t blocks = (dim + kQueryBlock - 1) / kQueryBlock;
    const float* scales = queries + blocks * kQueryBlock * kRows;
    const float* offsets = scales + blocks * kRows;
    constexpr size_t kGroups = kQueryBlock / KeyCodes::kGroup;
    const size_t all = (dim + KeyCodes::kGroup - 1) / KeyCodes::kGroup;
    for (size_t b = 0; b < blocks; ++b) {
      AddCodeScores({block.keys + b * kQueryBlock * kKvBlock,
                     queries + b * kGroups * kRows, scales + b * kRows,
                     offsets + b * kRows, std::min(kGroups, all - b * kGroups)},
                    block.ahead, b == 0, weights);
    }
    TimesScales(block.keys + shape.key_number_bytes(), weights);
  }

  // Positions from a row's count on belong to nobody, or to later columns.
  static void Hide(const int* counts, Weights& weights) {
    for (size_t r = 0; r < kRows; ++r) {
      std::fill(weights[r] + counts[r], weights[r] + kKvBlock,
                -std::numeric_limits<float>::infinity());
    }
  }

  void Softmax(Weights& weights) {
    const FloatTag d;
    for (size_t r = 0; r < kRows; ++r) {
      auto m = hn::Load(d, weights[r]);
      for (size_t t = kLanes; t < kKvBlock; t += kLanes) {
        m = hn::Max(m, hn::Load(d, weights[r] + t));
      }
      const auto old = hn::Set(d, most[r]);
      m = hn::Max(hn::MaxOfLanes(d, m), old);
      auto total = hn::Zero(d);
      for (size_t t = 0; t < kKvBlock; t += kLanes) {
        const auto e = hn::Exp(d, hn::Sub(hn::Load(d, weights[r] + t), m));
        hn::Store(e, d, weights[r] + t);
        total = hn::Add(total, e);
      }
      const auto scale = hn::Exp(d, hn::Sub(old, m));
      total = hn::MulAdd(hn::Set(d, sum[r]), scale, hn::SumOfLanes(d, total));
      most[r] = hn::GetLane(m);
      sum[r] = hn::GetLane(total);
      old_scale[r] = hn::GetLane(scale);
    }
  }

  // out[r] = out[r] * old_scale[r] + (sum of weights * values), kVectors
  // vectors of it. Row r goes on to counts[r].
  template <typename Numbers, size_t kVectors>
  HWY_INLINE void AddValues(const std::byte* values, int64_t ahead,
                            size_t stride, const int* counts,
                            const Weights& weights, float* out) const {
    const FloatTag d;
    constexpr size_t kVector = kLanes * Numbers::kBytes;
    Floats sums[kRows][kVectors];
    for (size_t r = 0; r < kRows; ++r) {
      const auto scale = hn::Set(d, old_scale[r]);
      for (size_t i = 0; i < kVectors; ++i) {
        sums[r][i] = hn::Mul(hn::Load(d, out + r * stride + i * kLanes), scale);
      }
    }
    const std::byte* v = values;
    Floats value[kVectors];
    size_t t = 0;
    for (; t < static_cast<size_t>(counts[0]); ++t) {
      PrefetchRun<kVectors * kVector>(v + ahead);
      for (size_t i = 0; i < kVectors; ++i) {
        value[i] = Numbers::Load(d, v + i * kVector);
      }
      for (size_t r = 0; r < kRows; ++r) {
        MulAddTo(value, hn::Set(d, weights[r][t]), sums[r]);
      }
      v += stride * Numbers::kBytes;
    }
    for (; t < static_cast<size_t>(counts[kRows - 1]); ++t) {
      for (size_t i = 0; i < kVectors; ++i) {
        value[i] = Numbers::Load(d, v + i * kVector);
      }
      for (size_t r = 0; r < kRows; ++r) {
        if (t >= static_cast<size_t>(counts[r])) continue;
        MulAddTo(value, hn::Set(d, weights[r][t]), sums[r]);
      }
      v += stride * Numbers::kBytes;
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t i = 0; i < kVectors; ++i) {
        hn::Store(sums[r][i], d, out + r * stride + i * kLanes);
      }
    }
  }

  template <typename Numbers>
  void Values(size_t stride, const BlockAt& block, const int* counts,
              const Weights& weights, float* out) const {
    size_t j = 0;
    for (; j + kAtOnce * kLanes <= stride; j += kAtOnce * kLanes) {
      AddValues<Numbers, kAtOnce>(block.values + j * Numbers::kBytes,
                                  block.ahead, stride, counts, weights,
                                  out + j);
    }
    for (; j < stride; j += kLanes) {
      AddValues<Numbers, 1>(block.values + j * Numbers::kBytes, block.ahead,
                            stride, counts, weights, out + j);
    }
  }
};

template <size_t kRows>
HWY_INLINE void ScoresOf(const AttentionShape& shape, const BlockAt& block,
                         const float* queries, const Rows<kRows>& rows,
                         typename Rows<kRows>::Weights& weights) {
  const auto dim = static_cast<size_t>(shape.head_dim);
  switch (shape.kv) {
    case KvType::kF32:
      return rows.template Scores<F32Numbers>(dim, block, queries, weights);
    case KvType::kF16:
      return rows.template Scores<F16Numbers>(dim, block, queries, weights);
    case KvType::kQ8:
      return rows.CodeScores(shape, block, queries, weights);
  }
}

template <size_t kRows>
HWY_INLINE void ValuesOf(const AttentionShape& shape, const BlockAt& block,
                         const int* counts, const Rows<kRows>& rows,
                         typename Rows<kRows>::Weights& weights, float* out) {
  const auto stride = static_cast<size_t>(shape.value_stride());
  switch (shape.kv) {
    case KvType::kF32:
      return rows.template Values<F32Numbers>(stride, block, counts, weights,
                                              out);
    case KvType::kF16:
      return rows.template Values<F16Numbers>(stride, block, counts, weights,
                                              out);
    case KvType::kQ8:
      rows.TimesScales(block.values + shape.value_number_bytes(), weights);
      return rows.template Values<CodeNumbers>(stride, block, counts, weights,
                                               out);
  }
}

HWY_INLINE BlockAt BlockOf(const KvPages& kv, int64_t b, int64_t last) {
  const int64_t at = kv.pages[b] * kv.page_bytes;
  const int64_t next = kv.pages[std::min(b + 1, last)] * kv.page_bytes;
  return {kv.keys + at, kv.values + at, next - at};
}

// The next block's scores come before this one's values: work for the processor
// while it waits for the softmax.
template <size_t kRows>
void AttendRows(const AttentionShape& shape, const KvPages& kv,
                const Tile& tile, Range blocks, const Partial& partial) {
  static constexpr int kAll[kTileRows] = {32, 32, 32, 32, 32, 32, 32, 32};
  Rows<kRows> rows;
  HWY_ALIGN typename Rows<kRows>::Weights weights[2];
  std::fill_n(rows.most, kRows, -std::numeric_limits<float>::infinity());
  std::fill_n(rows.sum, kRows, 0.0f);
  std::fill_n(partial.values, kRows * static_cast<size_t>(shape.value_stride()),
              0.0f);
  BlockAt block = BlockOf(kv, blocks.begin, tile.block);
  ScoresOf(shape, block, tile.queries, rows, weights[blocks.begin % 2]);
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int* counts = b == tile.block ? tile.counts : kAll;
    auto& now = weights[b % 2];
    if (b == tile.block) rows.Hide(counts, now);
    // Softmax reads nothing: without these, memory would wait for it.
    PrefetchRun<kSoftmaxBytes>(block.values + block.ahead);
    rows.Softmax(now);
    BlockAt next = block;
    if (b + 1 < blocks.end) {
      next = BlockOf(kv, b + 1, tile.block);
      ScoresOf(shape, next, tile.queries, rows, weights[(b + 1) % 2]);
    }
    ValuesOf(shape, block, counts, rows, now, partial.values);
    block = next;
  }
  std::copy_n(rows.most, kRows, partial.most);
  std::copy_n(rows.sum, kRows, partial.sum);
}

void AttendTileTarget(const AttentionShape& shape, const KvPages& kv,
                      const Tile& tile, Range blocks, const Partial& partial) {
  switch (tile.width) {
    case 1:
      return AttendRows<1>(shape, kv, tile, blocks, partial);
    case 2:
      return AttendRows<2>(shape, kv, tile, blocks, partial);
    case 4:
      return AttendRows<4>(shape, kv, tile, blocks, partial);
    case 6:
      return AttendRows<6>(shape, kv, tile, blocks, partial);
    default:
      return AttendRows<8>(shape, kv, tile, blocks, partial);
  }
}

// Up to kQueryBlock numbers, zeros behind them, as full vectors.
struct Chunk {
  HWY_ALIGN float x[kQueryBlock] = {};

  Chunk(const float* from, size_t n) {
    std::memcpy(x, from, n * sizeof(float));
  }

  float Largest() const {
    const FloatTag d;
    auto most = hn::Zero(d);
    for (size_t i = 0; i < kQueryBlock; i += hn::Lanes(d)) {
      most = hn::Max(most, hn::Abs(hn::Load(d, x + i)));
    }
    return hn::GetLane(hn::MaxOfLanes(d, most));
  }

  // round(x * inverse), ties to even; at most 127 in size, so that 127.5 by
  // rounding of the inverse stays a code. Returns the sum.
  int Codes(float inverse, int8_t* codes) const {
    const FloatTag d;
    const hn::RebindToSigned<FloatTag> di;
    HWY_ALIGN int32_t rounded[kQueryBlock];
    for (size_t i = 0; i < kQueryBlock; i += hn::Lanes(d)) {
      const auto v = hn::Mul(hn::Load(d, x + i), hn::Set(d, inverse));
      hn::Store(hn::NearestInt(v), di, rounded + i);
    }
    int sum = 0;
    for (int i = 0; i < kQueryBlock; ++i) {
      codes[i] = static_cast<int8_t>(rounded[i]);
      sum += rounded[i];
    }
    return sum;
  }

  void Halves(uint16_t* halves) const {
#if HWY_TARGET == HWY_SCALAR
    for (int i = 0; i < kQueryBlock; ++i) halves[i] = F32ToF16(x[i]);
#else
    const FloatTag d;
    const hn::Rebind<hwy::float16_t, FloatTag> half;
    for (size_t i = 0; i < kQueryBlock; i += hn::Lanes(d)) {
      hn::StoreU(hn::DemoteTo(half, hn::Load(d, x + i)), half,
                 reinterpret_cast<hwy::float16_t*>(halves + i));
    }
#endif
  }
};

// Zero stays zero; what an F16 scale cannot hold is not a number anyone caches.
HWY_INLINE float InverseOf(float largest) {
  return largest != 0 ? 127 / largest : 0.0f;
}

void PrepareCodes(const AttentionShape& shape, const Tile& tile) {
  const auto dim = static_cast<size_t>(shape.head_dim);
  const auto width = static_cast<size_t>(tile.width);
  const size_t blocks = (dim + kQueryBlock - 1) / kQueryBlock;
  constexpr size_t kGroups = kQueryBlock / KeyCodes::kGroup;
  float* scales = tile.queries + blocks * kQueryBlock * width;
  float* offsets = scales + blocks * width;
  for (size_t b = 0; b < blocks; ++b) {
    const size_t n = std::min<size_t>(kQueryBlock, dim - b * kQueryBlock);
    for (size_t r = 0; r < width; ++r) {
      // Rows that only fill up repeat the last one.
      const float* q = tile.q[std::min(r, static_cast<size_t>(tile.rows) - 1)];
      const Chunk chunk(q + b * kQueryBlock, n);
      const float largest = chunk.Largest();
      int8_t codes[kQueryBlock];
      const int32_t offset = -128 * chunk.Codes(InverseOf(largest), codes);
      for (size_t g = 0; g < kGroups; ++g) {
        KeyCodes::SetQuery(codes + g * KeyCodes::kGroup,
                           tile.queries + (b * kGroups + g) * width + r);
      }
      scales[b * width + r] = F16ToF32(F32ToF16(largest / 127)) * shape.scale;
      std::memcpy(offsets + b * width + r, &offset, sizeof(offset));
    }
  }
}

void PrepareTileTarget(const AttentionShape& shape, const Tile& tile) {
  if (shape.kv == KvType::kQ8) return PrepareCodes(shape, tile);
  for (int r = 0; r < tile.width; ++r) {
    const float* q = tile.q[std::min(r, tile.rows - 1)];
    for (int j = 0; j < shape.head_dim; ++j) {
      tile.queries[j * tile.width + r] = q[j] * shape.scale;
    }
  }
}

void WriteHalves(const float* x, size_t n, size_t apart, uint16_t* to) {
  uint16_t halves[kQueryBlock];
  for (size_t j = 0; j < n; j += kQueryBlock) {
    const size_t count = std::min<size_t>(kQueryBlock, n - j);
    Chunk(x + j, count).Halves(halves);
    for (size_t i = 0; i < count; ++i) to[(j + i) * apart] = halves[i];
  }
}

// Where the codes of a position go.
struct CodePlace {
  std::byte* codes;
  std::byte* scale;
  size_t group;  // codes side by side
  size_t apart;  // bytes from group to group
  uint8_t sign;  // to flip
};

void WriteCodes(const float* x, size_t n, const CodePlace& to) {
  float largest = 0;
  for (size_t j = 0; j < n; j += kQueryBlock) {
    const Chunk chunk(x + j, std::min<size_t>(kQueryBlock, n - j));
    largest = std::max(largest, chunk.Largest());
  }
  int8_t codes[kQueryBlock];
  for (size_t j = 0; j < n; j += kQueryBlock) {
    const size_t count = std::min<size_t>(kQueryBlock, n - j);
    Chunk(x + j, count).Codes(InverseOf(largest), codes);
    for (size_t i = 0; i < count; ++i) {
      to.codes[(j + i) / to.group * to.apart + (j + i) % to.group] =
          static_cast<std::byte>(codes[i] ^ to.sign);
    }
  }
  const uint16_t half = F32ToF16(largest / 127);
  std::memcpy(to.scale, &half, sizeof(half));
}

void WriteKvTarget(const AttentionShape& shape, const float* k, const float* v,
                   int slot, std::byte* keys, std::byte* values) {
  const auto n = static_cast<size_t>(shape.head_dim);
  const auto at = static_cast<size_t>(slot);
  const auto stride = static_cast<size_t>(shape.value_stride());
  std::byte* value =
      values + at * stride * static_cast<size_t>(shape.number_bytes());
  switch (shape.kv) {
    case KvType::kF32: {
      auto* key = reinterpret_cast<float*>(keys) + at;
      for (size_t i = 0; i < n; ++i) key[i * kKvBlock] = k[i];
      std::memcpy(value, v, n * sizeof(float));
      return;
    }
    case KvType::kF16:
      WriteHalves(k, n, kKvBlock, reinterpret_cast<uint16_t*>(keys) + at);
      WriteHalves(v, n, 1, reinterpret_cast<uint16_t*>(value));
      return;
    case KvType::kQ8: {
      constexpr size_t kGroup = KeyCodes::kGroup;
      WriteCodes(k, n,
                 {keys + at * kGroup, keys + shape.key_number_bytes() + 2 * at,
                  kGroup, kGroup * kKvBlock, KeyCodes::kSign});
      WriteCodes(
          v, n, {value, values + shape.value_number_bytes() + 2 * at, 1, 1, 0});
      return;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(AttendTileTarget);
HWY_EXPORT(PrepareTileTarget);
HWY_EXPORT(WriteKvTarget);

void AttendTile(const AttentionShape& shape, const KvPages& kv,
                const Tile& tile, Range blocks, const Partial& partial) {
  HWY_DYNAMIC_DISPATCH(AttendTileTarget)(shape, kv, tile, blocks, partial);
}

void PrepareTile(const AttentionShape& shape, const Tile& tile) {
  HWY_DYNAMIC_DISPATCH(PrepareTileTarget)(shape, tile);
}

void WriteKv(const AttentionShape& shape, const float* k, const float* v,
             int slot, std::byte* keys, std::byte* values) {
  HWY_DYNAMIC_DISPATCH(WriteKvTarget)(shape, k, v, slot, keys, values);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
