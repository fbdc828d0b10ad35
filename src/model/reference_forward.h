// SPDX-License-Identifier: Apache-2.0
//
// The whole model in double precision, one position at a time, without pages,
// batches or vectors: what CpuForward computes, written a second time for
// tests. Inputs of int8 products are rounded to codes and KV to its type, since
// those are part of the arithmetic; nothing else rounds.
//
// Thread safety: none. Cost: seconds for a small model.
#pragma once

#include <span>
#include <vector>

#include "kernels/attention.h"
#include "kernels/reference.h"
#include "model/config.h"
#include "model/weights.h"

namespace aio::model {

class ReferenceForward {
 public:
  // Both must outlive this object.
  ReferenceForward(const ModelConfig& config, const Weights& weights,
                   kernels::KvType kv);

  // The next token of the one sequence; returns its logits.
  kernels::reference::Vector Step(int32_t token);

 private:
  using Vector = kernels::reference::Vector;
  struct HeadCache {
    std::vector<Vector> keys, values;
  };

  Vector Product(const Linear& linear, const Vector& x) const;
  Vector Attention(const LayerWeights& w, size_t layer, const Vector& x);
  Vector FeedForward(const LayerWeights& w, const Vector& x) const;
  Vector Norm(const Vector& x, const std::vector<float>& weight) const;
  // Normalises (if there is a norm) and turns every head of x.
  void Turn(const std::vector<float>& norm, Vector* x) const;
  Vector Stored(const Vector& x, size_t head) const;

  const ModelConfig& config_;
  const Weights& weights_;
  const kernels::KvType kv_;
  kernels::RopeTable rope_;
  std::vector<std::vector<HeadCache>> cache_;  // [layers][kv_heads]
  int position_ = 0;
};

}  // namespace aio::model
