// SPDX-License-Identifier: Apache-2.0
//
// Attention of columns over the KV pages of their sequence, and writing them.
//
// A block holds the keys or values of one layer and one KV head for kKvBlock
// positions: keys with the positions side by side, so that one vector is many
// positions and no score needs a sum over lanes; values as
// [kKvBlock][value_stride]. In Q8 a position has one F16 scale for its keys and
// one for its values, behind the codes of the block; how codes are ordered and
// signed is the instruction set's business.
//
// Determinism: the arithmetic has two levels, cut at absolute positions. Within
// a span of kKvSpan positions blocks follow from left to right, each under the
// largest score so far; spans are merged from left to right. This holds whoever
// computes a span, and a column's numbers take the same path alone or beside
// others. Which pages hold them and what lies behind the column's position does
// not enter.
//
// Thread safety: pure functions over disjoint outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace aio::kernels {

inline constexpr int kKvBlock = 32;
inline constexpr int kKvSpan = 512;

// Of the cache: full floats; rounded to a relative 2^-11; or int8 codes, a
// 127th of the largest number of that head and position, at nearly half the
// bytes of F16. With Q8 the query is rounded too, per 32 numbers, which makes
// its products with the keys exact integers (as llama.cpp does with Q8_0);
// softmax and values stay floats.
enum class KvType : uint8_t { kF32, kF16, kQ8 };

const char* NameOf(KvType type);  // "f32", "f16", "q8"

struct AttentionShape {
  int head_dim = 0;
  int heads = 0;  // query heads that share the KV head
  KvType kv = KvType::kF32;
  float scale = 1;  // of the scores

  // Value rows are padded to whole vectors.
  int64_t value_stride() const { return (head_dim + 15) / 16 * 16; }
  int64_t number_bytes() const {
    return kv == KvType::kF32 ? 4 : kv == KvType::kF16 ? 2 : 1;
  }
  // Of the numbers of one block, without scales.
  int64_t key_number_bytes() const {
    const int64_t rows = kv == KvType::kQ8 ? (head_dim + 3) / 4 * 4 : head_dim;
    return rows * kKvBlock * number_bytes();
  }
  int64_t value_number_bytes() const {
    return kKvBlock * value_stride() * number_bytes();
  }
  int64_t scale_bytes() const { return kv == KvType::kQ8 ? 2 * kKvBlock : 0; }
  // Of one block; multiples of 64.
  int64_t key_bytes() const { return key_number_bytes() + scale_bytes(); }
  int64_t value_bytes() const { return value_number_bytes() + scale_bytes(); }
};

// Where a sequence's blocks are: block b at base + pages[b] * page_bytes.
struct KvPages {
  const std::byte* keys = nullptr;    // of page 0; aligned to 64
  const std::byte* values = nullptr;  // of page 0; aligned to 64
  int64_t page_bytes = 0;
  const int32_t* pages = nullptr;
};

// A token position that attends to itself and all before it.
struct AttentionColumn {
  const float* q = nullptr;  // [heads][head_dim]
  float* out = nullptr;      // [heads][head_dim]
  int32_t position = 0;
};

// out[h] = sum over t <= position of softmax(scale * q[h] . k[t]) * v[t]. The
// columns are of one sequence and ascend; neighbours share what is loaded. Up
// to 8 heads of a column read the KV once. `scratch`: AttentionScratch floats.
void Attend(const AttentionShape& shape, const KvPages& kv,
            std::span<const AttentionColumn> columns, float* scratch);
int64_t AttentionScratch(const AttentionShape& shape);

// The same in two steps, so that threads may share a long context: what each
// span of a column comes to, SpanFloats of it, then all spans in order.
inline int SpansOf(int position) { return position / kKvSpan + 1; }
int64_t SpanFloats(const AttentionShape& shape);
void AttendSpan(const AttentionShape& shape, const KvPages& kv,
                const AttentionColumn& column, int span, float* partial,
                float* scratch);
// `partials`: [SpansOf(column.position)][SpanFloats]; the first becomes their
// merge. Writes column.out.
void MergeSpans(const AttentionShape& shape, float* partials,
                const AttentionColumn& column);

// Rounds k and v of one position, [head_dim], to the KV type and writes them at
// `slot` (position % kKvBlock) of their blocks.
void WriteKv(const AttentionShape& shape, const float* k, const float* v,
             int slot, std::byte* keys, std::byte* values);

}  // namespace aio::kernels
