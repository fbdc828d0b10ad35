// SPDX-License-Identifier: Apache-2.0
#include "model/reference_forward.h"

#include <cmath>

#include "kernels/matmul.h"

namespace aio::model {

namespace reference = kernels::reference;

ReferenceForward::ReferenceForward(const ModelConfig& config,
                                   const Weights& weights, kernels::KvType kv)
    : config_(config), weights_(weights), kv_(kv) {
  kernels::RopeParameters parameters = config.rope;
  parameters.frequency_divisors = weights.rope_divisors;
  rope_ = kernels::MakeRopeTable(parameters);
  cache_.resize(static_cast<size_t>(config.layers));
  for (auto& layer : cache_) {
    layer.resize(static_cast<size_t>(config.kv_heads));
  }
}

reference::Vector ReferenceForward::Product(const Linear& linear,
                                            const Vector& x) const {
  const bool codes = kernels::TakesCodes(linear.matrix.type);
  Vector y =
      reference::MatVec(linear.matrix, codes ? reference::RoundToCodes(x) : x);
  for (size_t i = 0; i < linear.bias.size(); ++i) y[i] += linear.bias[i];
  return y;
}

reference::Vector ReferenceForward::Norm(
    const Vector& x, const std::vector<float>& weight) const {
  return reference::RmsNorm(x, Vector(weight.begin(), weight.end()),
                            double{config_.norm_epsilon});
}

void ReferenceForward::Turn(const std::vector<float>& norm, Vector* x) const {
  const auto dim = static_cast<size_t>(config_.head_dim);
  for (size_t at = 0; at < x->size(); at += dim) {
    if (!norm.empty()) {
      const auto begin = x->begin() + static_cast<long>(at);
      const Vector y = Norm(Vector(begin, begin + config_.head_dim), norm);
      std::copy(y.begin(), y.end(), begin);
    }
    reference::Rope(rope_, position_, x->data() + at);
  }
}

reference::Vector ReferenceForward::Stored(const Vector& x, size_t head) const {
  const auto begin = x.begin() + static_cast<long>(head) * config_.head_dim;
  return reference::RoundToKv(kv_, Vector(begin, begin + config_.head_dim));
}

reference::Vector ReferenceForward::Attention(const LayerWeights& w,
                                              size_t layer, const Vector& x) {
  Vector q = Product(w.q, x), k = Product(w.k, x);
  const Vector v = Product(w.v, x);
  Turn(w.q_norm, &q);
  Turn(w.k_norm, &k);
  const auto dim = static_cast<size_t>(config_.head_dim);
  const auto group = static_cast<size_t>(config_.heads / config_.kv_heads);
  Vector out(q.size());
  for (size_t h = 0; h < static_cast<size_t>(config_.kv_heads); ++h) {
    HeadCache& cache = cache_[layer][h];
    cache.keys.push_back(Stored(k, h));
    cache.values.push_back(Stored(v, h));
    for (size_t i = h * group; i < (h + 1) * group; ++i) {
      const auto begin = q.begin() + static_cast<long>(i * dim);
      const Vector y = reference::Attend(
          kv_, Vector(begin, begin + config_.head_dim), cache.keys,
          cache.values, 1 / std::sqrt(static_cast<double>(dim)));
      std::copy(y.begin(), y.end(), out.begin() + static_cast<long>(i * dim));
    }
  }
  return Product(w.o, out);
}

reference::Vector ReferenceForward::FeedForward(const LayerWeights& w,
                                                const Vector& x) const {
  Vector gate = Product(w.gate, x);
  const Vector up = Product(w.up, x);
  for (size_t i = 0; i < gate.size(); ++i) {
    gate[i] = reference::SiluGate(gate[i], up[i]);
  }
  return Product(w.down, gate);
}

reference::Vector ReferenceForward::Step(int32_t token) {
  Vector x = reference::Row(weights_.embedding, token);
  const auto add = [&x](const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  };
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    const LayerWeights& w = weights_.layers[l];
    add(Attention(w, l, Norm(x, w.attention_norm)));
    add(FeedForward(w, Norm(x, w.ffn_norm)));
  }
  ++position_;
  return Product(weights_.output, Norm(x, weights_.output_norm));
}

}  // namespace aio::model
