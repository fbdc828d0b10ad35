// SPDX-License-Identifier: Apache-2.0
//
// The memory of a CPU forward pass besides its weights: KV pages, and what one
// step writes and reads. Allocated once, at load.
//
// Thread safety: plain data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/activations.h"
#include "kernels/attention.h"
#include "model/config.h"
#include "model/cpu_forward.h"
#include "tensor/aligned_buffer.h"

namespace aio::model {

kernels::AttentionShape AttentionShapeOf(const ModelConfig& config,
                                         kernels::KvType kv);

// [layers][kv_heads][pages] of one block of keys and one of values: what a step
// reads of neighbouring pages is one stream of memory.
class KvMemory {
 public:
  KvMemory(const ModelConfig& config, const CpuOptions& options);

  static int64_t PageBytes(const ModelConfig& config, kernels::KvType kv);

  const kernels::AttentionShape& shape() const { return shape_; }
  int64_t page_bytes() const { return page_bytes_; }
  // REQUIRES: both are pages.
  void CopyPage(int32_t from, int32_t to);
  // Keys and values of one layer and head in a sequence's pages.
  kernels::KvPages Of(int layer, int kv_head, const int32_t* pages) const;
  // Writes one position, [head_dim] each.
  void Write(int layer, int kv_head, int32_t page, int slot, const float* k,
             const float* v);

 private:
  // Of a head's part of a page.
  int64_t piece_bytes() const {
    return shape_.key_bytes() + shape_.value_bytes();
  }
  int64_t Offset(int layer, int kv_head) const;

  kernels::AttentionShape shape_;
  int kv_heads_;
  int pages_;
  int64_t page_bytes_;
  AlignedBuffer<std::byte> bytes_;
};

// Numbers of floats and columns of everything one step needs.
struct ScratchSizes {
  ScratchSizes(const ModelConfig& config, const CpuOptions& options);
  int64_t bytes() const;

  int64_t columns, hidden, heads, kv, feed_forward, angles, attention, threads,
      spans, logits, squares;
};

// The memory of one step, [columns, ...] each.
struct Scratch {
  explicit Scratch(const ScratchSizes& s);

  AlignedBuffer<float> residual;  // the stream between layers
  AlignedBuffer<float> out;       // of a product that is added to it
  AlignedBuffer<float> q, k, v, up, cos, sin;
  AlignedBuffer<float> attention;  // [threads, ...]
  AlignedBuffer<float> spans;      // [tasks, spans, ...] of long contexts
  AlignedBuffer<float> logits;     // [logits_max, vocabulary]
  // Input of q, k, v, gate, up, output but for the norm's division: residual
  // times the norm's weights. The division is a factor of the products, which
  // each thread takes from the sums of squares for itself.
  kernels::ActivationBuffer normed;
  AlignedBuffer<float> squares;     // [blocks, columns]
  AlignedBuffer<float> factors;     // [threads, columns]
  kernels::ActivationBuffer heads;  // input of o
  kernels::ActivationBuffer act;    // input of down
};

}  // namespace aio::model
