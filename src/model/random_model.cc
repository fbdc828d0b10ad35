// SPDX-License-Identifier: Apache-2.0
#include "model/random_model.h"

#include <cmath>
#include <numeric>
#include <optional>
#include <string_view>
#include <variant>

#include "base/random.h"
#include "model/weights.h"
#include "tensor/random_blocks.h"

namespace aio::model {
namespace {

// Each tensor has a stream of its own, so that a model's tensors do not depend
// on each other.
uint64_t StreamOf(std::string_view name) {
  uint64_t stream = 0;
  for (const char c : name) {
    stream = Mix(stream ^ static_cast<unsigned char>(c));
  }
  return stream;
}

// Uniform with mean `center` and standard deviation `spread`.
std::vector<float> Numbers(uint64_t seed, std::string_view name, int64_t count,
                           double center, double spread) {
  const uint64_t stream = StreamOf(name);
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const double unit = 2 * RandomUnit(seed, stream, i) - 1;
    values[i] = static_cast<float>(center + spread * std::sqrt(3.0) * unit);
  }
  return values;
}

bool HasWholeBlocks(DType type, int64_t depth) {
  const auto traits = TraitsOf(type);
  return traits && depth % traits->block_elements == 0;
}

// `type`, or what stands in for it where rows are too short for its blocks.
DType TypeForDepth(DType type, int64_t depth) {
  if (HasWholeBlocks(type, depth)) return type;
  if (type == DType::kQ4_K) return TypeForDepth(DType::kQ5_0, depth);
  if (type == DType::kQ5_K) return TypeForDepth(DType::kQ5_1, depth);
  if (type == DType::kQ6_K) return TypeForDepth(DType::kQ8_0, depth);
  return DType::kF32;
}

// llama.cpp's rule for the layers of a mix that get more bits: the first and
// the last eighth, and every third between (src/llama-quant.cpp,
// use_more_bits).
bool HasMoreBits(int layer, int layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 ||
         (layer - layers / 8) % 3 == 2;
}

// Bytes of any kind, for residuals.
void RandomBytes(uint64_t seed, uint64_t stream, int64_t first,
                 std::span<std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(
        RandomBits(seed, stream, static_cast<uint64_t>(first) + i));
  }
}

class Builder {
 public:
  explicit Builder(const RandomModel& model) : model_(model) {}

  gguf::Writer Build() {
    Metadata();
    const int64_t hidden = model_.hidden;
    // Numbers of about one, unless they serve as output too.
    Matrix("token_embd.weight", model_.vocabulary, hidden,
           model_.tied ? 1 : std::sqrt(static_cast<double>(hidden)),
           model_.nest ? DType::kQ8_0 : Wanted(model_.tied));
    for (int i = 0; i < model_.layers; ++i) Layer(i);
    Vector("output_norm.weight", hidden, 1, 0.2);
    if (!model_.tied)
      Matrix("output.weight", model_.vocabulary, hidden, 1, Wanted(true));
    if (model_.rope_divisors) {
      Vector("rope_freqs.weight", model_.head_dim / 2, 4, 1.5);
    }
    return std::move(writer_);
  }

 private:
  void Metadata() {
    writer_.Add("general.architecture", model_.architecture);
    const std::string type =
        model_.nest ? "nested"
                    : NameOf(model_.type) + (model_.more_bits ? "_M" : "");
    writer_.Add("general.name", model_.name + " " + model_.architecture + " " +
                                    type + " seed " +
                                    std::to_string(model_.seed));
    if (model_.nest) writer_.Add(kNestKey, kNestVersion);
    Key("context_length", model_.context);
    Key("embedding_length", model_.hidden);
    Key("block_count", model_.layers);
    Key("feed_forward_length", model_.feed_forward);
    Key("attention.head_count", model_.heads);
    Key("attention.head_count_kv", model_.kv_heads);
    Key("attention.key_length", model_.head_dim);
    Key("attention.value_length", model_.head_dim);
    Key("rope.dimension_count", model_.head_dim);
    writer_.Add(model_.architecture + ".attention.layer_norm_rms_epsilon",
                model_.norm_epsilon);
    writer_.Add(model_.architecture + ".rope.freq_base", model_.rope_base);
    for (const auto& [key, value] : model_.keys) {
      writer_.Add(model_.architecture + "." + key, value);
    }
  }

  void Key(std::string_view key, int value) {
    writer_.Add(model_.architecture + "." + std::string(key),
                static_cast<uint32_t>(value));
  }

  void Layer(int index) {
    const std::string at = "blk." + std::to_string(index) + ".";
    const int64_t hidden = model_.hidden;
    const int64_t all_heads = int64_t{model_.heads} * model_.head_dim;
    const int64_t kv_heads = int64_t{model_.kv_heads} * model_.head_dim;
    const bool pangu = model_.architecture == "pangu-embedded";
    const bool biased = pangu || model_.architecture == "qwen2";
    const bool more = HasMoreBits(index, model_.layers);
    Vector(at + "attn_norm.weight", hidden, 1, 0.2);
    Product(at + "attn_q", all_heads, hidden, biased);
    Product(at + "attn_k", kv_heads, hidden, biased);
    Product(at + "attn_v", kv_heads, hidden, biased, 1, more);
    if (model_.architecture == "qwen3") {
      Vector(at + "attn_q_norm.weight", model_.head_dim, 1, 0.2);
      Vector(at + "attn_k_norm.weight", model_.head_dim, 1, 0.2);
    }
    // What is added to the stream is smaller than the stream, as in trained
    // models (GPT-2's initialization): otherwise every rounding to codes is
    // amplified by every layer, and two engines that round alike but for one
    // number differ in all.
    const double gain = 1 / std::sqrt(2.0 * model_.layers);
    Product(at + "attn_output", hidden, all_heads, pangu, gain);
    Vector(at + "ffn_norm.weight", hidden, 1, 0.2);
    Product(at + "ffn_gate", model_.feed_forward, hidden, false);
    Product(at + "ffn_up", model_.feed_forward, hidden, false);
    Product(at + "ffn_down", hidden, model_.feed_forward, false, gain, more);
  }

  void Product(const std::string& name, int64_t rows, int64_t depth,
               bool biased, double gain = 1, bool more = false) {
    Matrix(name + ".weight", rows, depth, gain, Wanted(more));
    if (biased) Vector(name + ".bias", rows, 0, 0.2);
  }

  // `more`: a mix gives it more bits.
  DType Wanted(bool more) const {
    if (model_.nest) return DType::kQ4_K;
    return more && model_.more_bits ? DType::kQ6_K : model_.type;
  }

  // A product with it keeps the spread of its input, times `gain`.
  void Matrix(const std::string& name, int64_t rows, int64_t depth, double gain,
              DType wanted) {
    const bool q8 = model_.nest && !HasWholeBlocks(wanted, depth);
    const DType type = TypeForDepth(q8 ? DType::kQ8_0 : wanted, depth);
    const double spread = gain / std::sqrt(static_cast<double>(depth));
    writer_.AddGenerated(
        name, type, {depth, rows},
        [type, spread, seed = model_.seed, stream = StreamOf(name)](
            int64_t first, std::span<std::byte> blocks) {
          RandomBlocks(type, spread, seed, stream, first, blocks);
        });
    if (!model_.nest || type != DType::kQ4_K) return;
    const std::string residuals = name + kNestSuffix;
    writer_.AddGenerated(residuals, DType::kI8, {depth / 2, rows},
                         [seed = model_.seed, stream = StreamOf(residuals)](
                             int64_t first, std::span<std::byte> bytes) {
                           RandomBytes(seed, stream, first, bytes);
                         });
  }

  void Vector(const std::string& name, int64_t count, double center,
              double spread) {
    writer_.AddFloats(name, DType::kF32, {count},
                      Numbers(model_.seed, name, count, center, spread));
  }

  const RandomModel& model_;
  gguf::Writer writer_;
};

}  // namespace

gguf::Writer MakeRandomModel(RandomModel description,
                             const gguf::File* tokenizer) {
  if (tokenizer != nullptr) {
    const gguf::Value* tokens = tokenizer->Find("tokenizer.ggml.tokens");
    const auto* array =
        tokens == nullptr ? nullptr : std::get_if<gguf::Array>(tokens);
    if (array != nullptr) {
      description.vocabulary = static_cast<int>(array->size());
    }
  }
  gguf::Writer writer = Builder(description).Build();
  if (tokenizer == nullptr) return writer;
  for (const gguf::Entry& entry : tokenizer->metadata()) {
    if (entry.key.starts_with("tokenizer.")) {
      writer.Add(std::string(entry.key), gguf::ItemOf(entry.value));
    }
  }
  return writer;
}

}  // namespace aio::model
