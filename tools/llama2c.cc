// SPDX-License-Identifier: Apache-2.0
#include "tools/llama2c.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/block_formats.h"

namespace aio::tools {
namespace {

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}

// The header of a version 0 checkpoint, as it lies in the file.
struct Header {
  int32_t dim;
  int32_t hidden_dim;
  int32_t layers;
  int32_t heads;
  int32_t kv_heads;
  int32_t vocabulary;  // negative: the output has weights of its own
  int32_t context;
};

// The same, checked. All sizes are small enough that products of three of them
// fit in 64 bits.
struct Config {
  int64_t dim, hidden_dim, layers, heads, kv_heads, vocabulary, context;
  bool tied;  // the output uses the token embedding

  int64_t head_dim() const { return dim / heads; }
  int64_t kv_dim() const { return kv_heads * head_dim(); }
};

Result<Config> ReadConfig(std::span<const std::byte> checkpoint) {
  Header h;
  if (checkpoint.size() < sizeof(h)) return Corrupt("the checkpoint is empty");
  std::memcpy(&h, checkpoint.data(), sizeof(h));
  constexpr int64_t kLargest = 1 << 20;
  const Config config{h.dim,      h.hidden_dim,
                      h.layers,   h.heads,
                      h.kv_heads, std::abs(int64_t{h.vocabulary}),
                      h.context,  h.vocabulary > 0};
  for (const int64_t size :
       {config.dim, config.hidden_dim, config.layers, config.heads,
        config.kv_heads, config.vocabulary, config.context}) {
    if (size < 1 || size > kLargest) {
      return Corrupt("not a llama2.c checkpoint of version 0");
    }
  }
  if (config.dim % config.heads != 0 || config.heads % config.kv_heads != 0 ||
      config.head_dim() % 2 != 0) {
    return Corrupt("the checkpoint's head counts do not divide its width");
  }
  return config;
}

// Hands out the checkpoint's floats in the file's order.
class Weights {
 public:
  explicit Weights(std::span<const std::byte> checkpoint)
      : floats_(
            reinterpret_cast<const float*>(checkpoint.data() + sizeof(Header)),
            (checkpoint.size() - sizeof(Header)) / sizeof(float)) {}

  // The next `count`; empty, and complete() false, if there are no more.
  std::span<const float> Take(int64_t count) {
    if (static_cast<uint64_t>(count) > floats_.size()) {
      complete_ = false;
      floats_ = {};
      return {};
    }
    const auto taken = floats_.first(static_cast<size_t>(count));
    floats_ = floats_.subspan(taken.size());
    return taken;
  }
  bool complete() const { return complete_; }
  size_t left() const { return floats_.size(); }

 private:
  std::span<const float> floats_;
  bool complete_ = true;
};

class Converter {
 public:
  Converter(const Config& config, const Llama2cOptions& options,
            gguf::Writer* writer)
      : config_(config), options_(options), writer_(writer) {}

  void AddHyperparameters() {
    const auto count = [](int64_t n) { return static_cast<uint32_t>(n); };
    writer_->Add("general.architecture", "llama");
    writer_->Add("general.name", options_.name);
    writer_->Add("general.license", options_.license);
    // ggml's numbers for "all F32", "mostly F16", "mostly Q8_0".
    writer_->Add("general.file_type",
                 uint32_t{options_.type == DType::kF32   ? 0u
                          : options_.type == DType::kF16 ? 1u
                                                         : 7u});
    if (options_.type == DType::kQ8_0) {
      writer_->Add("general.quantization_version", uint32_t{2});
    }
    writer_->Add("llama.block_count", count(config_.layers));
    writer_->Add("llama.context_length", count(config_.context));
    writer_->Add("llama.embedding_length", count(config_.dim));
    writer_->Add("llama.feed_forward_length", count(config_.hidden_dim));
    writer_->Add("llama.attention.head_count", count(config_.heads));
    writer_->Add("llama.attention.head_count_kv", count(config_.kv_heads));
    // Constants of llama2.c's run.c.
    writer_->Add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    writer_->Add("llama.rope.freq_base", 10000.0f);
    writer_->Add("llama.rope.dimension_count", count(config_.head_dim()));
    writer_->Add("llama.vocab_size", count(config_.vocabulary));
  }

  // The checkpoint has each kind of weight for all layers in a row.
  void AddWeights(Weights* weights) {
    const int64_t dim = config_.dim, hidden = config_.hidden_dim,
                  kv = config_.kv_dim();
    AddMatrix("token_embd", dim, config_.vocabulary, weights);
    AddVectors("attn_norm", weights);
    AddMatrices("attn_q", dim, dim, weights);
    AddMatrices("attn_k", dim, kv, weights);
    AddMatrices("attn_v", dim, kv, weights);
    AddMatrices("attn_output", dim, dim, weights);
    AddVectors("ffn_norm", weights);
    AddMatrices("ffn_gate", dim, hidden, weights);
    AddMatrices("ffn_down", hidden, dim, weights);
    AddMatrices("ffn_up", dim, hidden, weights);
    Add("output_norm", DType::kF32, {dim}, weights->Take(dim));
    // Tables of sines and cosines that readers no longer use.
    weights->Take(config_.context * config_.head_dim());
    if (!config_.tied) AddMatrix("output", dim, config_.vocabulary, weights);
  }

 private:
  void Add(const std::string& name, DType type, std::vector<int64_t> shape,
           std::span<const float> values) {
    if (type == DType::kF32) {
      writer_->AddTensor(name + ".weight", type, std::move(shape),
                         std::as_bytes(values));
    } else {
      writer_->AddFloats(name + ".weight", type, std::move(shape), values);
    }
  }
  void AddMatrix(const std::string& name, int64_t columns, int64_t rows,
                 Weights* weights) {
    const bool whole_blocks = columns % kBlockElements == 0;
    const DType type = options_.type == DType::kQ8_0 && !whole_blocks
                           ? DType::kF16
                           : options_.type;
    Add(name, type, {columns, rows}, weights->Take(columns * rows));
  }
  void AddMatrices(const std::string& name, int64_t columns, int64_t rows,
                   Weights* weights) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      AddMatrix(Block(i) + name, columns, rows, weights);
    }
  }
  void AddVectors(const std::string& name, Weights* weights) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      Add(Block(i) + name, DType::kF32, {config_.dim},
          weights->Take(config_.dim));
    }
  }
  static std::string Block(int64_t layer) {
    return "blk." + std::to_string(layer) + ".";
  }

  const Config& config_;
  const Llama2cOptions& options_;
  gguf::Writer* writer_;
};

struct Piece {
  float score;
  std::string text;
};

// int32 longest piece; then for each piece float score, int32 length, text.
Result<std::vector<Piece>> ReadPieces(std::span<const std::byte> bytes,
                                      int64_t count) {
  size_t at = sizeof(int32_t);
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < count; ++i) {
    float score;
    int32_t length;
    constexpr size_t kFixed = sizeof(score) + sizeof(length);
    if (at > bytes.size() || bytes.size() - at < kFixed) {
      return Corrupt("the tokenizer has fewer pieces than the model");
    }
    std::memcpy(&score, &bytes[at], sizeof(score));
    std::memcpy(&length, &bytes[at + sizeof(score)], sizeof(length));
    at += kFixed;
    if (length < 0 || static_cast<size_t>(length) > bytes.size() - at) {
      return Corrupt("the tokenizer ends inside a piece");
    }
    pieces.push_back({score,
                      {reinterpret_cast<const char*>(bytes.data()) + at,
                       static_cast<size_t>(length)}});
    at += static_cast<size_t>(length);
  }
  if (at != bytes.size()) {
    return Corrupt("the tokenizer has more pieces than the model");
  }
  return pieces;
}

// GGUF's numbers of token types.
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };
// Where SentencePiece puts them in the vocabularies of this family.
constexpr uint32_t kUnknownId = 0, kBosId = 1, kEosId = 2;
constexpr size_t kFirstByteId = 3, kFirstNormalId = kFirstByteId + 256;

// llama2.c stores the pieces with plain spaces; SentencePiece and GGUF mark
// them.
std::string MarkSpaces(std::string_view text) {
  std::string marked;
  for (const char c : text) {
    if (c == ' ') {
      marked += "▁";
    } else {
      marked += c;
    }
  }
  return marked;
}

Result<void> AddTokenizer(std::vector<Piece> pieces, gguf::Writer* writer) {
  if (pieces.size() < kFirstNormalId) {
    return Corrupt("the tokenizer lacks the 256 byte pieces");
  }
  // llama2.c writes line feeds around the names of these, for its output.
  pieces[kUnknownId].text = "<unk>";
  pieces[kBosId].text = "<s>";
  pieces[kEosId].text = "</s>";
  std::vector<int32_t> types(pieces.size(), kNormal);
  types[kUnknownId] = kUnknown;
  types[kBosId] = types[kEosId] = kControl;
  for (size_t i = kFirstByteId; i < kFirstNormalId; ++i) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>",
                  static_cast<unsigned>(i - kFirstByteId));
    if (pieces[i].text != name) return Corrupt("byte pieces are out of place");
    types[i] = kByte;
  }
  std::vector<std::string> tokens;
  std::vector<float> scores;
  for (const Piece& piece : pieces) {
    tokens.push_back(MarkSpaces(piece.text));
    scores.push_back(piece.score);
  }
  writer->Add("tokenizer.ggml.model", "llama");
  writer->Add("tokenizer.ggml.tokens", std::move(tokens));
  writer->Add("tokenizer.ggml.scores", std::move(scores));
  writer->Add("tokenizer.ggml.token_type", std::move(types));
  writer->Add("tokenizer.ggml.bos_token_id", kBosId);
  writer->Add("tokenizer.ggml.eos_token_id", kEosId);
  // These models were trained on texts that each begin with <s>, end with
  // nothing and follow one another: one that has ended its text says <s>.
  writer->Add("tokenizer.ggml.eot_token_id", kBosId);
  writer->Add("tokenizer.ggml.unknown_token_id", kUnknownId);
  writer->Add("tokenizer.ggml.add_bos_token", true);
  writer->Add("tokenizer.ggml.add_eos_token", false);
  writer->Add("tokenizer.ggml.add_space_prefix", true);
  // They continue a text and know no roles: a chat is its messages in a row.
  writer->Add("tokenizer.chat_template",
              "{% for message in messages %}{{ message['content'] }}"
              "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}");
  return {};
}

}  // namespace

Result<gguf::Writer> FromLlama2c(std::span<const std::byte> checkpoint,
                                 std::span<const std::byte> tokenizer,
                                 const Llama2cOptions& options) {
  ASSIGN_OR_RETURN(const Config config, ReadConfig(checkpoint));
  ASSIGN_OR_RETURN(auto pieces, ReadPieces(tokenizer, config.vocabulary));
  gguf::Writer writer;
  Converter converter(config, options, &writer);
  converter.AddHyperparameters();
  RETURN_IF_ERROR(AddTokenizer(std::move(pieces), &writer));
  Weights weights(checkpoint);
  converter.AddWeights(&weights);
  if (!weights.complete()) return Corrupt("the checkpoint ends too early");
  if (weights.left() != 0) {
    return Corrupt("the checkpoint goes on after its last weight");
  }
  return writer;
}

}  // namespace aio::tools
