// SPDX-License-Identifier: Apache-2.0
#include "model/cpu_scratch.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "model/step_columns.h"

namespace aio::model {
namespace {

using kernels::ActivationBuffer;

AlignedBuffer<float> Floats(int64_t n) {
  return AlignedBuffer<float>(static_cast<size_t>(n));
}

}  // namespace

kernels::AttentionShape AttentionShapeOf(const ModelConfig& config,
                                         kernels::KvType kv) {
  return {config.head_dim, config.heads / config.kv_heads, kv,
          1.0f / std::sqrt(static_cast<float>(config.head_dim))};
}

int64_t KvMemory::PageBytes(const ModelConfig& config, kernels::KvType kv) {
  const kernels::AttentionShape shape = AttentionShapeOf(config, kv);
  return int64_t{config.layers} * config.kv_heads *
         (shape.key_bytes() + shape.value_bytes());
}

KvMemory::KvMemory(const ModelConfig& config, const CpuOptions& options)
    : shape_(AttentionShapeOf(config, options.kv)),
      kv_heads_(config.kv_heads),
      pages_(options.pages),
      page_bytes_(PageBytes(config, options.kv)),
      bytes_(static_cast<size_t>(page_bytes_ * options.pages),
             AlignedBuffer<std::byte>::kNothing) {}

void KvMemory::CopyPage(int32_t from, int32_t to) {
  CHECK(from >= 0 && from < pages_ && to >= 0 && to < pages_);
  const int64_t pieces = page_bytes_ / piece_bytes();
  std::byte* head = bytes_.data();
  for (int64_t i = 0; i < pieces; ++i, head += pages_ * piece_bytes()) {
    std::memcpy(head + to * piece_bytes(), head + from * piece_bytes(),
                static_cast<size_t>(piece_bytes()));
  }
}

int64_t KvMemory::Offset(int layer, int kv_head) const {
  return (int64_t{layer} * kv_heads_ + kv_head) * pages_ * piece_bytes();
}

kernels::KvPages KvMemory::Of(int layer, int kv_head,
                              const int32_t* pages) const {
  const std::byte* keys = bytes_.data() + Offset(layer, kv_head);
  return {keys, keys + shape_.key_bytes(), piece_bytes(), pages};
}

void KvMemory::Write(int layer, int kv_head, int32_t page, int slot,
                     const float* k, const float* v) {
  CHECK(page >= 0 && page < pages_);
  std::byte* keys =
      bytes_.data() + Offset(layer, kv_head) + page * piece_bytes();
  kernels::WriteKv(shape_, k, v, slot, keys, keys + shape_.key_bytes());
}

ScratchSizes::ScratchSizes(const ModelConfig& c, const CpuOptions& options)
    : columns(options.columns_max),
      hidden(c.hidden),
      heads(int64_t{c.heads} * c.head_dim),
      kv(int64_t{c.kv_heads} * c.head_dim),
      feed_forward(c.feed_forward),
      angles(c.head_dim / 2),
      attention(kernels::Padded(
          kernels::AttentionScratch(AttentionShapeOf(c, options.kv)))),
      threads(options.pool == nullptr ? 1 : options.pool->threads()),
      spans(StepColumns::SplitTasks(threads) *
            kernels::SpansOf(options.context_max - 1) *
            kernels::SpanFloats(AttentionShapeOf(c, options.kv))),
      logits(int64_t{options.logits_max} * c.vocabulary),
      squares((hidden + kernels::kBlock - 1) / kernels::kBlock *
              kernels::Padded(columns)) {}

int64_t ScratchSizes::bytes() const {
  const int64_t floats =
      columns * (2 * hidden + heads + 2 * kv + feed_forward + 2 * angles) +
      attention * threads + spans + logits + squares +
      kernels::Padded(columns) * threads;
  return floats * static_cast<int64_t>(sizeof(float)) +
         ActivationBuffer::Bytes(columns, hidden) +
         ActivationBuffer::Bytes(columns, heads) +
         ActivationBuffer::Bytes(columns, feed_forward);
}

Scratch::Scratch(const ScratchSizes& s)
    : residual(Floats(s.columns * s.hidden)),
      out(Floats(s.columns * s.hidden)),
      q(Floats(s.columns * s.heads)),
      k(Floats(s.columns * s.kv)),
      v(Floats(s.columns * s.kv)),
      up(Floats(s.columns * s.feed_forward)),
      cos(Floats(s.columns * s.angles)),
      sin(Floats(s.columns * s.angles)),
      attention(Floats(s.attention * s.threads)),
      spans(Floats(s.spans)),
      logits(Floats(s.logits)),
      normed(s.columns, s.hidden),
      squares(Floats(s.squares)),
      factors(Floats(kernels::Padded(s.columns) * s.threads)),
      heads(s.columns, s.heads),
      act(s.columns, s.feed_forward) {}

}  // namespace aio::model
