// SPDX-License-Identifier: Apache-2.0
//
// Attention of one column over the KV pages of its sequence, and writing them.
//
// A block holds the keys or values of one layer and one KV head for kKvBlock
// positions: keys as [head_dim][kKvBlock], so that one vector is many positions
// and no score needs a sum over lanes; values as [kKvBlock][value_stride].
//
// Determinism: blocks are cut at absolute positions, each gives a maximum, a
// sum and a weighted sum of values over its own positions, and they are merged
// from left to right. Which pages hold them and what lies behind the column's
// position does not enter.
//
// Thread safety: pure functions over disjoint outputs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aio::kernels {

inline constexpr int kKvBlock = 32;

struct AttentionShape {
  int head_dim = 0;
  int heads = 0;     // query heads that share the KV head
  bool f16 = false;  // KV type, else F32
  float scale = 1;   // of the scores

  // Value rows are padded to whole vectors.
  int64_t value_stride() const { return (head_dim + 15) / 16 * 16; }
  int64_t number_bytes() const { return f16 ? 2 : 4; }
  int64_t key_bytes() const {  // of one block
    return int64_t{head_dim} * kKvBlock * number_bytes();
  }
  int64_t value_bytes() const {
    return kKvBlock * value_stride() * number_bytes();
  }
};

// Where a sequence's blocks are: block b at base + pages[b] * page_bytes.
struct KvPages {
  const std::byte* keys = nullptr;    // of page 0; aligned to 64
  const std::byte* values = nullptr;  // of page 0; aligned to 64
  int64_t page_bytes = 0;
  const int32_t* pages = nullptr;
};

// out[h] = sum over t <= position of softmax(scale * q[h] . k[t]) * v[t], for
// `heads` heads of [head_dim]. `scratch` has room for AttentionScratch floats.
void Attend(const AttentionShape& shape, const KvPages& kv, int position,
            const float* q, float* out, float* scratch);
inline int64_t AttentionScratch(const AttentionShape& shape) {
  return shape.heads * shape.value_stride();
}

// Rounds k and v of one position, [head_dim], to the KV type and writes them at
// `slot` (position % kKvBlock) of their blocks.
void WriteKv(const AttentionShape& shape, const float* k, const float* v,
             int slot, std::byte* keys, std::byte* values);

}  // namespace aio::kernels
