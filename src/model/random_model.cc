// SPDX-License-Identifier: Apache-2.0
#include "model/random_model.h"

#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <string_view>
#include <variant>

#include "base/random.h"

namespace aio::model {
namespace {

// Uniform with mean `center` and standard deviation `spread`; each tensor has a
// stream of its own, so that a model's tensors do not depend on each other.
std::vector<float> Numbers(uint64_t seed, std::string_view name, int64_t count,
                           double center, double spread) {
  uint64_t stream = 0;
  for (const char c : name) {
    stream = Mix(stream ^ static_cast<unsigned char>(c));
  }
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const double unit = 2 * RandomUnit(seed, stream, i) - 1;
    values[i] = static_cast<float>(center + spread * std::sqrt(3.0) * unit);
  }
  return values;
}

class Builder {
 public:
  explicit Builder(const RandomModel& model) : model_(model) {}

  gguf::Writer Build() {
    Metadata();
    const int64_t hidden = model_.hidden;
    // Numbers of about one, unless they serve as output too.
    Matrix("token_embd.weight", model_.vocabulary, hidden,
           model_.tied ? 1 : std::sqrt(static_cast<double>(hidden)));
    for (int i = 0; i < model_.layers; ++i) Layer(i);
    Vector("output_norm.weight", hidden, 1, 0.2);
    if (!model_.tied) Matrix("output.weight", model_.vocabulary, hidden, 1);
    if (model_.rope_divisors) {
      Vector("rope_freqs.weight", model_.head_dim / 2, 4, 1.5);
    }
    return std::move(writer_);
  }

 private:
  void Metadata() {
    writer_.Add("general.architecture", model_.architecture);
    writer_.Add("general.name", "random " + model_.architecture + " " +
                                    NameOf(model_.type) + " seed " +
                                    std::to_string(model_.seed));
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
                1e-5f);
    writer_.Add(model_.architecture + ".rope.freq_base", 10000.0f);
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
    Vector(at + "attn_norm.weight", hidden, 1, 0.2);
    Product(at + "attn_q", all_heads, hidden, biased);
    Product(at + "attn_k", kv_heads, hidden, biased);
    Product(at + "attn_v", kv_heads, hidden, biased);
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
    Product(at + "ffn_down", hidden, model_.feed_forward, false, gain);
  }

  void Product(const std::string& name, int64_t rows, int64_t depth,
               bool biased, double gain = 1) {
    Matrix(name + ".weight", rows, depth, gain);
    if (biased) Vector(name + ".bias", rows, 0, 0.2);
  }

  // A product with it keeps the spread of its input, times `gain`.
  void Matrix(const std::string& name, int64_t rows, int64_t depth,
              double gain) {
    const auto traits = TraitsOf(model_.type);
    const bool whole = traits && depth % traits->block_elements == 0;
    writer_.AddFloats(name, whole ? model_.type : DType::kF32, {depth, rows},
                      Numbers(model_.seed, name, rows * depth, 0,
                              gain / std::sqrt(static_cast<double>(depth))));
  }

  void Vector(const std::string& name, int64_t count, double center,
              double spread) {
    writer_.AddFloats(name, DType::kF32, {count},
                      Numbers(model_.seed, name, count, center, spread));
  }

  const RandomModel& model_;
  gguf::Writer writer_;
};

// In the widths that other readers expect of tokenizer keys.
template <typename To, typename From>
std::vector<To> Converted(const std::vector<From>& from) {
  std::vector<To> to;
  to.reserve(from.size());
  for (const auto& item : from) to.push_back(static_cast<To>(item));
  return to;
}

struct ToItem {
  gguf::Item operator()(uint64_t v) const { return static_cast<uint32_t>(v); }
  gguf::Item operator()(int64_t v) const { return static_cast<int32_t>(v); }
  gguf::Item operator()(double v) const { return static_cast<float>(v); }
  gguf::Item operator()(bool v) const { return v; }
  gguf::Item operator()(std::string_view v) const { return std::string(v); }
  gguf::Item operator()(const gguf::Array& v) const {
    return std::visit(*this, v.items);
  }
  gguf::Item operator()(const std::vector<uint64_t>& v) const {
    return Converted<uint32_t>(v);
  }
  gguf::Item operator()(const std::vector<int64_t>& v) const {
    return Converted<int32_t>(v);
  }
  gguf::Item operator()(const std::vector<double>& v) const {
    return Converted<float>(v);
  }
  gguf::Item operator()(const std::vector<bool>& v) const { return v; }
  gguf::Item operator()(const std::vector<std::string_view>& v) const {
    return Converted<std::string>(v);
  }
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
      writer.Add(std::string(entry.key), std::visit(ToItem(), entry.value));
    }
  }
  return writer;
}

}  // namespace aio::model
