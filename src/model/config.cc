// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace aio::model {
namespace {

using gguf::File;
using gguf::Value;

// Far above any real model; they keep every product of two below 2^63.
constexpr int64_t kHiddenMax = 1 << 17;
constexpr int64_t kFeedForwardMax = 1 << 20;
constexpr int64_t kLayersMax = 1 << 12;
constexpr int64_t kHeadsMax = 1 << 12;
constexpr int64_t kHeadDimMax = 1 << 10;
constexpr int64_t kContextMax = 1 << 26;
constexpr int64_t kVocabularyMax = 1 << 24;

struct FamilyName {
  std::string_view architecture;
  Family family;
  kernels::RopeStyle rope;
};
constexpr FamilyName kFamilies[] = {
    {"llama", Family::kLlama, kernels::RopeStyle::kNorm},
    {"qwen2", Family::kQwen2, kernels::RopeStyle::kNeox},
    {"qwen3", Family::kQwen3, kernels::RopeStyle::kNeox},
    {"pangu-embedded", Family::kPanguEmbedded, kernels::RopeStyle::kNeox},
};

// Keys, after "<architecture>.", whose meaning is implemented.
constexpr std::string_view kUnderstood[] = {
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "vocab_size",
};

// Keys that say nothing about the logits: how the file was made, how tensors
// were permuted for this very layout, what an embedding endpoint would pool.
constexpr std::string_view kHarmless[] = {
    "pooling_type",
    "rope.scaling.finetuned",
    "tensor_data_layout",
};

// Keys that are not implemented, with the value that means nothing is to be
// done. Any other value is refused.
constexpr std::pair<std::string_view, double> kNeutral[] = {
    {"attention.causal", 1},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.scale", 0},
    {"attn_logit_softcapping", 0},
    {"embedding_scale", 1},
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"final_logit_softcapping", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"rope.scaling.yarn_attn_factor", 1},
    {"rope.scaling.yarn_ext_factor", 1},
    {"rope.scaling.yarn_log_multiplier", 0},
    {"use_parallel_residual", 0},
};

Error Unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message), ""};
}
Error Corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message), ""};
}

std::optional<double> AsNumber(const Value& value) {
  if (const auto* v = std::get_if<uint64_t>(&value)) {
    return static_cast<double>(*v);
  }
  if (const auto* v = std::get_if<int64_t>(&value)) {
    return static_cast<double>(*v);
  }
  if (const auto* v = std::get_if<double>(&value)) return *v;
  if (const auto* v = std::get_if<bool>(&value)) return *v ? 1 : 0;
  return std::nullopt;
}

// Reads `<architecture>.<key>` within limits.
class Reader {
 public:
  Reader(const File& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  std::string Key(std::string_view key) const {
    return prefix_ + std::string(key);
  }
  bool Has(std::string_view key) const {
    return file_.Find(Key(key)) != nullptr;
  }

  // `fallback` < 0: the key must be there.
  Result<int> Int(std::string_view key, int64_t low, int64_t high,
                  int64_t fallback = -1) const {
    const std::string name = Key(key);
    const Value* value = file_.Find(name);
    if (value != nullptr && std::holds_alternative<gguf::Array>(*value)) {
      return Unsupported(name + " differs by layer: not implemented");
    }
    int64_t n = fallback;
    if (value != nullptr || fallback < 0) {
      ASSIGN_OR_RETURN(n, file_.Int(name));
    }
    if (n < low || n > high) {
      return Corrupt(name + " is " + std::to_string(n) + "; it must be " +
                     std::to_string(low) + " to " + std::to_string(high));
    }
    return static_cast<int>(n);
  }

  // `fallback` NaN: the key must be there.
  Result<double> Float(std::string_view key, double low, double high,
                       double fallback = NAN) const {
    const std::string name = Key(key);
    auto value =
        std::isnan(fallback) ? file_.Float(name) : file_.Float(name, fallback);
    if (!value) return std::move(value).error();
    if (!(*value >= low && *value <= high)) {  // also NaN
      return Corrupt(name + " is " + std::to_string(*value) + "; it must be " +
                     std::to_string(low) + " to " + std::to_string(high));
    }
    return *value;
  }

  Result<std::string> String(std::string_view key,
                             std::string_view fallback) const {
    return file_.String(Key(key), fallback);
  }

  // Refuses every key of the architecture that could change the arithmetic.
  Result<void> RefuseUnknown() const {
    for (const gguf::Entry& entry : file_.metadata()) {
      if (!entry.key.starts_with(prefix_)) continue;
      const std::string_view key = entry.key.substr(prefix_.size());
      if (std::ranges::find(kUnderstood, key) != std::end(kUnderstood) ||
          std::ranges::find(kHarmless, key) != std::end(kHarmless)) {
        continue;
      }
      const auto* neutral = std::ranges::find(
          kNeutral, key, &std::pair<std::string_view, double>::first);
      const std::optional<double> number = AsNumber(entry.value);
      if (neutral == std::end(kNeutral) || number != neutral->second) {
        const std::string value =
            number ? " = " + std::to_string(*number) : std::string();
        return Unsupported(std::string(entry.key) + value +
                           ": not implemented");
      }
    }
    return {};
  }

 private:
  const File& file_;
  std::string prefix_;
};

Result<void> ReadAttention(const Reader& reader, ModelConfig* config) {
  ASSIGN_OR_RETURN(config->heads,
                   reader.Int("attention.head_count", 1, kHeadsMax));
  ASSIGN_OR_RETURN(config->kv_heads, reader.Int("attention.head_count_kv", 1,
                                                kHeadsMax, config->heads));
  if (config->heads % config->kv_heads != 0) {
    return Corrupt(std::to_string(config->heads) +
                   " attention heads cannot share " +
                   std::to_string(config->kv_heads) + " KV heads");
  }
  if (!reader.Has("attention.key_length") &&
      config->hidden % config->heads != 0) {
    return Corrupt(reader.Key("embedding_length") +
                   " is no multiple of the heads");
  }
  ASSIGN_OR_RETURN(config->head_dim,
                   reader.Int("attention.key_length", 2, kHeadDimMax,
                              config->hidden / config->heads));
  ASSIGN_OR_RETURN(
      const int value_dim,
      reader.Int("attention.value_length", 2, kHeadDimMax, config->head_dim));
  if (config->head_dim % 2 != 0) {
    return Corrupt("a head of " + std::to_string(config->head_dim) +
                   " numbers has no pairs to rotate");
  }
  if (value_dim != config->head_dim) {
    return Unsupported(reader.Key("attention.value_length") +
                       " other than the key length: not implemented");
  }
  // A window at least as long as the context never hides anything.
  ASSIGN_OR_RETURN(const int window,
                   reader.Int("attention.sliding_window", 0, kContextMax, 0));
  if (window != 0 && window < config->context_length) {
    return Unsupported(reader.Key("attention.sliding_window") + " = " +
                       std::to_string(window) + ": not implemented");
  }
  ASSIGN_OR_RETURN(
      const double epsilon,
      reader.Float("attention.layer_norm_rms_epsilon", 1e-12, 0.1));
  config->norm_epsilon = static_cast<float>(epsilon);
  return {};
}

Result<void> ReadRope(const Reader& reader, ModelConfig* config) {
  kernels::RopeParameters& rope = config->rope;
  ASSIGN_OR_RETURN(rope.dim, reader.Int("rope.dimension_count", 1, kHeadDimMax,
                                        config->head_dim));
  if (rope.dim != config->head_dim) {
    return Unsupported(reader.Key("rope.dimension_count") + " = " +
                       std::to_string(rope.dim) + ", a part of a head of " +
                       std::to_string(config->head_dim) + ": not implemented");
  }
  ASSIGN_OR_RETURN(rope.base, reader.Float("rope.freq_base", 1.001, 1e12, 1e4));
  // 0 means none; rope.scale_linear is the older name of a linear factor.
  ASSIGN_OR_RETURN(const double older,
                   reader.Float("rope.scale_linear", 0, 1e6, 0));
  ASSIGN_OR_RETURN(const double factor,
                   reader.Float("rope.scaling.factor", 0, 1e6, older));
  ASSIGN_OR_RETURN(const std::string type,
                   reader.String("rope.scaling.type", "linear"));
  ASSIGN_OR_RETURN(rope.attention_factor,
                   reader.Float("rope.scaling.attn_factor", 1e-3, 1e3, 1));
  ASSIGN_OR_RETURN(rope.beta_fast,
                   reader.Float("rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32));
  ASSIGN_OR_RETURN(rope.beta_slow,
                   reader.Float("rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1));
  ASSIGN_OR_RETURN(rope.context_original,
                   reader.Int("rope.scaling.original_context_length", 1,
                              kContextMax, config->context_length));
  if (type == "none") return {};
  if (type != "linear" && type != "yarn") {
    return Unsupported(reader.Key("rope.scaling.type") + " = " + type +
                       ": not implemented");
  }
  rope.factor = factor == 0 ? 1 : factor;
  rope.scaling = type == "yarn" ? kernels::RopeScaling::kYarn
                                : kernels::RopeScaling::kLinear;
  return {};
}

// The number of tokens is that of the embedding's rows; whoever else states it
// must agree.
Result<void> ReadVocabulary(const File& file, const Reader& reader,
                            ModelConfig* config) {
  const gguf::Tensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr) {
    return Corrupt("no tensor token_embd.weight: not a whole model");
  }
  if (embedding->shape.size() != 2 || embedding->shape[1] < 1 ||
      embedding->shape[1] > kVocabularyMax) {
    return Corrupt("token_embd.weight has no sensible number of rows");
  }
  config->vocabulary = static_cast<int>(embedding->shape[1]);
  ASSIGN_OR_RETURN(const int stated, reader.Int("vocab_size", 1, kVocabularyMax,
                                                config->vocabulary));
  if (stated != config->vocabulary) {
    return Corrupt(reader.Key("vocab_size") + " is " + std::to_string(stated) +
                   ", but token_embd.weight has " +
                   std::to_string(config->vocabulary) + " rows");
  }
  const Value* tokens = file.Find("tokenizer.ggml.tokens");
  if (tokens == nullptr) return {};
  const auto* array = std::get_if<gguf::Array>(tokens);
  if (array == nullptr ||
      array->size() != static_cast<size_t>(config->vocabulary)) {
    return Corrupt("tokenizer.ggml.tokens has " +
                   std::to_string(array == nullptr ? 0 : array->size()) +
                   " tokens, but token_embd.weight has " +
                   std::to_string(config->vocabulary) + " rows");
  }
  return {};
}

}  // namespace

Result<ModelConfig> ReadConfig(const File& file) {
  ModelConfig config;
  ASSIGN_OR_RETURN(config.architecture, file.String("general.architecture"));
  const auto* family = std::ranges::find(kFamilies, config.architecture,
                                         &FamilyName::architecture);
  if (family == std::end(kFamilies)) {
    return Unsupported("general.architecture = " + config.architecture +
                       ": not one of llama, qwen2, qwen3, pangu-embedded");
  }
  config.family = family->family;
  config.rope.style = family->rope;
  ASSIGN_OR_RETURN(config.name, file.String("general.name", ""));
  const Reader reader(file, config.architecture);
  RETURN_IF_ERROR(reader.RefuseUnknown());
  ASSIGN_OR_RETURN(config.context_length,
                   reader.Int("context_length", 1, kContextMax));
  ASSIGN_OR_RETURN(config.hidden,
                   reader.Int("embedding_length", 1, kHiddenMax));
  ASSIGN_OR_RETURN(config.layers, reader.Int("block_count", 1, kLayersMax));
  ASSIGN_OR_RETURN(config.feed_forward,
                   reader.Int("feed_forward_length", 1, kFeedForwardMax));
  RETURN_IF_ERROR(ReadAttention(reader, &config));
  RETURN_IF_ERROR(ReadRope(reader, &config));
  RETURN_IF_ERROR(ReadVocabulary(file, reader, &config));
  return config;
}

}  // namespace aio::model
