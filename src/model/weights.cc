// SPDX-License-Identifier: Apache-2.0
#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/block_formats.h"
#include "tensor/dtype.h"
#include "tensor/nest.h"

namespace aio::model {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t n : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  }
  return text + "]";
}

enum class Presence : uint8_t { kRequired, kOptional, kAbsent };

// Which biases a family has (llama.cpp: src/models/{llama,qwen2,qwen3,
// pangu-embed}.cpp).
struct Biases {
  Presence qkv;
  Presence attention_output;
  Presence feed_forward;
  Presence output;
};

Biases BiasesOf(Family family) {
  using enum Presence;
  switch (family) {
    case Family::kLlama:
      return {kOptional, kOptional, kOptional, kAbsent};
    case Family::kQwen2:
      return {kRequired, kAbsent, kAbsent, kOptional};
    case Family::kQwen3:
      return {kOptional, kAbsent, kAbsent, kAbsent};
    case Family::kPanguEmbedded:
      return {kRequired, kRequired, kAbsent, kAbsent};
  }
  return {kAbsent, kAbsent, kAbsent, kAbsent};
}

// Takes tensors by name and remembers which have been taken.
class Taker {
 public:
  Taker(const gguf::File& file, bool nest)
      : file_(file),
        nested_file_(file.Find(kNestKey) != nullptr),
        nest_(nest) {}

  bool Has(std::string_view name) const {
    return file_.FindTensor(name) != nullptr;
  }

  // A matrix of `rows` rows of `depth`.
  Result<WeightMatrix> Matrix(const std::string& name, int64_t rows,
                              int64_t depth) {
    ASSIGN_OR_RETURN(const gguf::Tensor* tensor, Take(name, {depth, rows}));
    const auto traits = TraitsOf(tensor->type);
    if (!traits || depth % traits->block_elements != 0) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + name + ": a row is no whole number of blocks",
                   ""};
    }
    const int64_t row_bytes =
        depth / traits->block_elements * traits->block_bytes;
    if (static_cast<uint64_t>(row_bytes * rows) != tensor->data.size()) {
      return Error{ErrorCode::kCorrupt, "tensor " + name + " has a wrong size",
                   ""};
    }
    return WeightMatrix{tensor->type, tensor->data.data(), rows, depth,
                        row_bytes};
  }

  // Whether some matrix was or shall be nested.
  bool any_nested() const { return any_nested_; }

  // `matrix`, nested if it is or shall be.
  Result<WeightMatrix> Nested(const std::string& name, WeightMatrix matrix) {
    ASSIGN_OR_RETURN(const WeightMatrix made, NestedAs(name, matrix));
    any_nested_ = any_nested_ || made.nest != Nest::kNone;
    return made;
  }

  // `n` numbers as floats; none if it is absent and may be.
  Result<std::vector<float>> Vector(const std::string& name, int64_t n,
                                    Presence presence = Presence::kRequired) {
    if (presence == Presence::kAbsent) return std::vector<float>();
    if (presence == Presence::kOptional && !Has(name)) {
      return std::vector<float>();
    }
    ASSIGN_OR_RETURN(const gguf::Tensor* tensor, Take(name, {n}));
    const auto traits = TraitsOf(tensor->type);
    if (!traits || n % traits->block_elements != 0 ||
        BytesFor(tensor->type, n) != tensor->data.size()) {
      return Error{ErrorCode::kCorrupt, "tensor " + name + " has a wrong size",
                   ""};
    }
    std::vector<float> values(static_cast<size_t>(n));
    DecodeRow(tensor->type, tensor->data, values);
    if (!std::ranges::all_of(values,
                             [](float v) { return std::isfinite(v); })) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + name +
                       " has a number that is not finite (NaN or infinity): "
                       "the file is damaged",
                   ""};
    }
    return values;
  }

  // `name`.weight and `name`.bias.
  Result<Linear> Product(const std::string& name, int64_t rows, int64_t depth,
                         Presence bias) {
    Linear linear;
    linear.name = name + ".weight";
    ASSIGN_OR_RETURN(const WeightMatrix matrix,
                     Matrix(linear.name, rows, depth));
    ASSIGN_OR_RETURN(linear.matrix, Nested(linear.name, matrix));
    ASSIGN_OR_RETURN(linear.bias, Vector(name + ".bias", rows, bias));
    return linear;
  }

  Result<void> RefuseRest() const {
    for (const gguf::Tensor& tensor : file_.tensors()) {
      if (taken_.contains(tensor.name)) continue;
      return Error{ErrorCode::kUnsupported,
                   "tensor " + std::string(tensor.name) +
                       " has no place in this family: not implemented",
                   ""};
    }
    return {};
  }

 private:
  Result<const gguf::Tensor*> Take(const std::string& name,
                                   const std::vector<int64_t>& shape) {
    const gguf::Tensor* tensor = file_.FindTensor(name);
    if (tensor == nullptr) {
      return Error{ErrorCode::kCorrupt, "tensor " + name + " is missing", ""};
    }
    if (tensor->shape != shape) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + name + " is " + ShapeText(tensor->shape) +
                       "; by the metadata it must be " + ShapeText(shape),
                   ""};
    }
    const bool residuals = nested_file_ && name.ends_with(kNestSuffix);
    if (!IsComputable(tensor->type) && !residuals) {
      return Error{ErrorCode::kUnsupported,
                   "tensor " + name + " has type " + NameOf(tensor->type) +
                       ": not implemented",
                   ""};
    }
    taken_.insert(tensor->name);
    return tensor;
  }

  Result<WeightMatrix> NestedAs(const std::string& name, WeightMatrix matrix) {
    if (!nested_file_) {
      if (nest_) matrix.nest = NestFor(matrix.type, matrix.depth);
      return matrix;
    }
    const std::string residuals = name + kNestSuffix;
    if (!Has(residuals)) {
      if (matrix.type == DType::kQ8_0) matrix.nest = Nest::k8;
      return matrix;
    }
    if (matrix.type != DType::kQ4_K) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + name + " has residuals but is " +
                       NameOf(matrix.type) + ", not Q4_K",
                   ""};
    }
    ASSIGN_OR_RETURN(const gguf::Tensor* tensor,
                     Take(residuals, {matrix.depth / 2, matrix.rows}));
    if (tensor->type != DType::kI8 ||
        tensor->data.size() !=
            static_cast<uint64_t>(matrix.depth / 2 * matrix.rows)) {
      return Error{ErrorCode::kCorrupt,
                   "tensor " + residuals + " is " + NameOf(tensor->type) +
                       ", not I8 with half a byte a weight",
                   ""};
    }
    matrix.nest = Nest::kK;
    matrix.fine = tensor->data.data();
    return matrix;
  }

  const gguf::File& file_;
  const bool nested_file_;
  const bool nest_;
  bool any_nested_ = false;
  std::set<std::string_view> taken_;
};

Result<void> CheckNestVersion(const gguf::File& file) {
  if (file.Find(kNestKey) == nullptr) return {};
  ASSIGN_OR_RETURN(const int64_t version, file.Int(kNestKey));
  if (version == kNestVersion) return {};
  return Error{ErrorCode::kUnsupported,
               std::string(kNestKey) + " is " + std::to_string(version) +
                   "; this build reads " + std::to_string(kNestVersion),
               ""};
}

Result<LayerWeights> LoadLayer(Taker& take, const ModelConfig& config,
                               int index) {
  const std::string at = "blk." + std::to_string(index) + ".";
  const Biases biases = BiasesOf(config.family);
  const int64_t hidden = config.hidden;
  const int64_t all_heads = int64_t{config.heads} * config.head_dim;
  const int64_t kv_heads = int64_t{config.kv_heads} * config.head_dim;
  const int64_t ffn = config.feed_forward;
  LayerWeights w;
  ASSIGN_OR_RETURN(w.attention_norm,
                   take.Vector(at + "attn_norm.weight", hidden));
  ASSIGN_OR_RETURN(w.q,
                   take.Product(at + "attn_q", all_heads, hidden, biases.qkv));
  ASSIGN_OR_RETURN(w.k,
                   take.Product(at + "attn_k", kv_heads, hidden, biases.qkv));
  ASSIGN_OR_RETURN(w.v,
                   take.Product(at + "attn_v", kv_heads, hidden, biases.qkv));
  if (config.family == Family::kQwen3) {
    ASSIGN_OR_RETURN(w.q_norm,
                     take.Vector(at + "attn_q_norm.weight", config.head_dim));
    ASSIGN_OR_RETURN(w.k_norm,
                     take.Vector(at + "attn_k_norm.weight", config.head_dim));
  }
  ASSIGN_OR_RETURN(w.o, take.Product(at + "attn_output", hidden, all_heads,
                                     biases.attention_output));
  ASSIGN_OR_RETURN(w.ffn_norm, take.Vector(at + "ffn_norm.weight", hidden));
  ASSIGN_OR_RETURN(
      w.gate, take.Product(at + "ffn_gate", ffn, hidden, biases.feed_forward));
  ASSIGN_OR_RETURN(
      w.up, take.Product(at + "ffn_up", ffn, hidden, biases.feed_forward));
  ASSIGN_OR_RETURN(
      w.down, take.Product(at + "ffn_down", hidden, ffn, biases.feed_forward));
  return w;
}

Result<std::vector<float>> LoadRopeDivisors(Taker& take,
                                            const ModelConfig& config) {
  // llama.cpp reads the tensor in llama files only; elsewhere it is refused.
  const Presence presence =
      config.family == Family::kLlama ? Presence::kOptional : Presence::kAbsent;
  ASSIGN_OR_RETURN(
      std::vector<float> divisors,
      take.Vector("rope_freqs.weight", config.head_dim / 2, presence));
  for (const float d : divisors) {
    if (!(d > 1e-6f && d < 1e9f)) {
      return Error{ErrorCode::kCorrupt,
                   "rope_freqs.weight divides by " + std::to_string(d), ""};
    }
  }
  return divisors;
}

}  // namespace

int64_t Weights::step_bytes(bool fine) const {
  const auto floats = [](const std::vector<float>& v) {
    return static_cast<int64_t>(v.size() * sizeof(float));
  };
  const auto product = [&](const Linear& l) {
    const TiledMatrix tiles = TiledShape(l.matrix);
    return (fine ? tiles.bytes() : tiles.high_bytes()) + floats(l.bias);
  };
  int64_t bytes = product(output) + floats(output_norm);
  for (const LayerWeights& w : layers) {
    for (const auto* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) {
      bytes += product(*l);
    }
    bytes += floats(w.attention_norm) + floats(w.ffn_norm) + floats(w.q_norm) +
             floats(w.k_norm);
  }
  return bytes;
}

Result<Weights> LoadWeights(const gguf::File& file, const ModelConfig& config,
                            bool nest) {
  RETURN_IF_ERROR(CheckNestVersion(file));
  Taker take(file, nest);
  Weights w{file, {}, {}, {}, {}, {}};
  const int64_t vocabulary = config.vocabulary;
  ASSIGN_OR_RETURN(w.embedding,
                   take.Matrix("token_embd.weight", vocabulary, config.hidden));
  for (int i = 0; i < config.layers; ++i) {
    ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(take, config, i));
    w.layers.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(w.output_norm,
                   take.Vector("output_norm.weight", config.hidden));
  w.output.name = "token_embd.weight";  // tied, unless there is one of its own
  w.output.matrix = w.embedding;
  if (take.Has("output.weight")) {
    w.output.name = "output.weight";
    ASSIGN_OR_RETURN(w.output.matrix,
                     take.Matrix("output.weight", vocabulary, config.hidden));
  }
  ASSIGN_OR_RETURN(w.output.matrix,
                   take.Nested(w.output.name, w.output.matrix));
  ASSIGN_OR_RETURN(w.output.bias, take.Vector("output.bias", vocabulary,
                                              BiasesOf(config.family).output));
  ASSIGN_OR_RETURN(w.rope_divisors, LoadRopeDivisors(take, config));
  RETURN_IF_ERROR(take.RefuseRest());
  w.nested = take.any_nested();
  return w;
}

}  // namespace aio::model
