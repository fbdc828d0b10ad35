// SPDX-License-Identifier: Apache-2.0
#include "tools/checkpoint.h"

#include <boost/json/array.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "openai/json.h"
#include "tensor/block_formats.h"
#include "tools/checkpoint_tokenizer.h"
#include "tools/safetensors.h"

namespace aio::tools {
namespace {

namespace json = boost::json;

constexpr char kConfigName[] = "config.json";
constexpr char kWeightsName[] = "model.safetensors";
constexpr int64_t kSizeMax = 1 << 24;

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}
Error Unsupported(const std::string& what) {
  return {ErrorCode::kUnsupported, what, ""};
}

struct Config {
  int64_t hidden, feed_forward, layers, heads, kv_heads, context, vocabulary;
  double rope_base, norm_epsilon;
  bool tied;  // the output uses the token embedding

  int64_t head_dim() const { return hidden / heads; }
};

class ConfigReader {
 public:
  explicit ConfigReader(const json::object& object) : object_(object) {}

  Result<int64_t> Size(std::string_view key) const {
    const json::value* value = openai::Find(object_, key);
    const auto n = value ? openai::AsInteger(*value) : std::nullopt;
    if (!n || *n < 1 || *n > kSizeMax) return Wrong(key, "a positive number");
    return *n;
  }
  Result<double> Positive(std::string_view key) const {
    const json::value* value = openai::Find(object_, key);
    const auto n = value ? openai::AsNumber(*value) : std::nullopt;
    if (!n || !(*n > 0)) return Wrong(key, "a positive number");
    return *n;
  }
  Result<bool> Flag(std::string_view key, bool fallback) const {
    const json::value* value = openai::Find(object_, key);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) return Wrong(key, "true or false");
    return value->get_bool();
  }

  // What would change the arithmetic and is not carried over.
  Result<void> RefuseOthers() const {
    const json::value* names = openai::Find(object_, "architectures");
    const json::array* array = names ? names->if_array() : nullptr;
    if (array == nullptr || array->size() != 1 ||
        openai::AsString((*array)[0]) != "Qwen2ForCausalLM") {
      return Unsupported(std::string(kConfigName) +
                         ": architectures is not [\"Qwen2ForCausalLM\"]");
    }
    ASSIGN_OR_RETURN(const bool window, Flag("use_sliding_window", false));
    if (window) return NotCarried("use_sliding_window");
    if (openai::Find(object_, "rope_scaling")) {
      return NotCarried("rope_scaling");
    }
    const json::value* activation = openai::Find(object_, "hidden_act");
    if (activation && openai::AsString(*activation) != "silu") {
      return NotCarried("hidden_act other than silu");
    }
    return {};
  }

 private:
  static Error Wrong(std::string_view key, const char* wanted) {
    return Corrupt(std::string(kConfigName) + ": " + std::string(key) +
                   " must be " + wanted);
  }
  static Error NotCarried(const std::string& what) {
    return Unsupported(std::string(kConfigName) + ": " + what +
                       " cannot be converted");
  }

  const json::object& object_;
};

Result<Config> ReadConfig(std::string_view text) {
  const auto parsed = openai::ParseJson(text);
  if (!parsed) {
    return Corrupt(std::string(kConfigName) + ": " + parsed.error().message);
  }
  const json::object* object = parsed->if_object();
  if (object == nullptr) {
    return Corrupt(std::string(kConfigName) + " is no JSON object");
  }
  const ConfigReader reader(*object);
  RETURN_IF_ERROR(reader.RefuseOthers());
  Config c;
  ASSIGN_OR_RETURN(c.hidden, reader.Size("hidden_size"));
  ASSIGN_OR_RETURN(c.feed_forward, reader.Size("intermediate_size"));
  ASSIGN_OR_RETURN(c.layers, reader.Size("num_hidden_layers"));
  ASSIGN_OR_RETURN(c.heads, reader.Size("num_attention_heads"));
  ASSIGN_OR_RETURN(c.kv_heads, reader.Size("num_key_value_heads"));
  ASSIGN_OR_RETURN(c.context, reader.Size("max_position_embeddings"));
  ASSIGN_OR_RETURN(c.vocabulary, reader.Size("vocab_size"));
  ASSIGN_OR_RETURN(c.rope_base, reader.Positive("rope_theta"));
  ASSIGN_OR_RETURN(c.norm_epsilon, reader.Positive("rms_norm_eps"));
  ASSIGN_OR_RETURN(c.tied, reader.Flag("tie_word_embeddings", false));
  if (c.hidden % c.heads != 0 || c.heads % c.kv_heads != 0 ||
      c.head_dim() % 2 != 0) {
    return Corrupt(std::string(kConfigName) +
                   ": the numbers of heads do not divide hidden_size");
  }
  return c;
}

// ggml's numbers for "all F32", "mostly F16", "mostly Q8_0", "mostly BF16".
uint32_t FileType(DType type) {
  switch (type) {
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      return 0;
  }
}

void AddHyperparameters(const Config& c, const CheckpointOptions& options,
                        gguf::Writer* writer) {
  const auto count = [](int64_t n) { return static_cast<uint32_t>(n); };
  writer->Add("general.architecture", "qwen2");
  writer->Add("general.type", "model");
  writer->Add("general.name", options.name);
  writer->Add("general.license", options.license);
  writer->Add("general.file_type", FileType(options.type));
  writer->Add("general.quantization_version", uint32_t{2});
  writer->Add("qwen2.block_count", count(c.layers));
  writer->Add("qwen2.context_length", count(c.context));
  writer->Add("qwen2.embedding_length", count(c.hidden));
  writer->Add("qwen2.feed_forward_length", count(c.feed_forward));
  writer->Add("qwen2.attention.head_count", count(c.heads));
  writer->Add("qwen2.attention.head_count_kv", count(c.kv_heads));
  writer->Add("qwen2.attention.layer_norm_rms_epsilon",
              static_cast<float>(c.norm_epsilon));
  writer->Add("qwen2.rope.freq_base", static_cast<float>(c.rope_base));
}

// Moves the checkpoint's tensors to their places, each once.
class TensorConverter {
 public:
  TensorConverter(const Config& config, DType type, SafeTensors tensors,
                  gguf::Writer* writer)
      : config_(config),
        type_(type),
        tensors_(std::move(tensors)),
        writer_(writer) {}

  Result<void> Convert() {
    const Config& c = config_;
    RETURN_IF_ERROR(Matrix("model.embed_tokens.weight", "token_embd.weight",
                           c.vocabulary, c.hidden));
    for (int64_t i = 0; i < c.layers; ++i) RETURN_IF_ERROR(Layer(i));
    RETURN_IF_ERROR(
        Vector("model.norm.weight", "output_norm.weight", c.hidden));
    if (!c.tied) {
      RETURN_IF_ERROR(
          Matrix("lm_head.weight", "output.weight", c.vocabulary, c.hidden));
    }
    if (tensors_.empty()) return {};
    return Unsupported(About(tensors_.begin()->first) +
                       " has no place in this model" +
                       (c.tied ? " (tie_word_embeddings is true)" : ""));
  }

 private:
  Result<void> Layer(int64_t layer) {
    const Config& c = config_;
    const int64_t kv = c.kv_heads * c.head_dim();
    const std::string from = "model.layers." + std::to_string(layer) + ".";
    const std::string to = "blk." + std::to_string(layer) + ".";
    const struct {
      const char *from, *to;
      int64_t rows, columns;
      bool bias;
    } matrices[] = {
        {"self_attn.q_proj", "attn_q", c.hidden, c.hidden, true},
        {"self_attn.k_proj", "attn_k", kv, c.hidden, true},
        {"self_attn.v_proj", "attn_v", kv, c.hidden, true},
        {"self_attn.o_proj", "attn_output", c.hidden, c.hidden, false},
        {"mlp.gate_proj", "ffn_gate", c.feed_forward, c.hidden, false},
        {"mlp.up_proj", "ffn_up", c.feed_forward, c.hidden, false},
        {"mlp.down_proj", "ffn_down", c.hidden, c.feed_forward, false},
    };
    RETURN_IF_ERROR(Vector(from + "input_layernorm.weight",
                           to + "attn_norm.weight", c.hidden));
    RETURN_IF_ERROR(Vector(from + "post_attention_layernorm.weight",
                           to + "ffn_norm.weight", c.hidden));
    for (const auto& m : matrices) {
      RETURN_IF_ERROR(Matrix(from + m.from + ".weight", to + m.to + ".weight",
                             m.rows, m.columns));
      if (!m.bias) continue;
      RETURN_IF_ERROR(
          Vector(from + m.from + ".bias", to + m.to + ".bias", m.rows));
    }
    return {};
  }

  Result<void> Matrix(const std::string& from, const std::string& to,
                      int64_t rows, int64_t columns) {
    const bool whole_blocks = columns % kBlockElements == 0;
    const DType type =
        type_ == DType::kQ8_0 && !whole_blocks ? DType::kF16 : type_;
    return Move(from, to, {rows, columns}, type);
  }
  Result<void> Vector(const std::string& from, const std::string& to,
                      int64_t size) {
    return Move(from, to, {size}, DType::kF32);
  }

  Result<void> Move(const std::string& from, const std::string& to,
                    const std::vector<int64_t>& shape, DType type) {
    auto node = tensors_.extract(from);
    if (node.empty()) return Corrupt(About(from) + " is missing");
    const SafeTensor& tensor = node.mapped();
    if (tensor.shape != shape) {
      return Corrupt(About(from) + " has the shape " + Text(tensor.shape) +
                     "; by config.json it has " + Text(shape));
    }
    const std::vector<float> values = tensor.Floats();
    for (const float value : values) {
      // Training that went wrong leaves such; the file would answer nonsense.
      if (!std::isfinite(value)) {
        return Corrupt(About(from) + " holds a value that is no number");
      }
      if (type != DType::kF32 && type != DType::kBF16 &&
          std::isinf(F16ToF32(F32ToF16(value)))) {
        return Corrupt(About(from) + " holds " + std::to_string(value) +
                       ", which does not fit the type; choose BF16 or F32");
      }
    }
    // GGUF counts the contiguous dimension first.
    std::vector<int64_t> reversed(shape.rbegin(), shape.rend());
    if (type == tensor.type) {
      writer_->AddTensor(to, type, std::move(reversed), tensor.data);
    } else {
      writer_->AddFloats(to, type, std::move(reversed), values);
    }
    return {};
  }

  static std::string About(const std::string& name) {
    return std::string(kWeightsName) + ": tensor " + name;
  }
  static std::string Text(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (const int64_t size : shape) {
      if (text.size() > 1) text += ", ";
      text += std::to_string(size);
    }
    return text + "]";
  }

  const Config& config_;
  const DType type_;
  SafeTensors tensors_;  // those that are still to be moved
  gguf::Writer* writer_;
};

}  // namespace

Result<gguf::Writer> FromCheckpoint(const CheckpointFiles& files,
                                    const CheckpointOptions& options) {
  ASSIGN_OR_RETURN(const Config config, ReadConfig(files.config));
  auto tensors = ReadSafeTensors(files.weights);
  if (!tensors) {
    Error error = tensors.error();
    error.message = std::string(kWeightsName) + ": " + error.message;
    return error;
  }
  gguf::Writer writer;
  AddHyperparameters(config, options, &writer);
  // Before the tokenizer: the embedding's rows vouch for the vocabulary's size.
  TensorConverter converter(config, options.type, *std::move(tensors), &writer);
  RETURN_IF_ERROR(converter.Convert());
  RETURN_IF_ERROR(AddTokenizer(files.tokenizer, files.tokenizer_settings,
                               config.vocabulary, &writer));
  return writer;
}

}  // namespace aio::tools
