// SPDX-License-Identifier: Apache-2.0
#include "tools/checkpoint.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/weights.h"
#include "openai/json.h"
#include "tensor/block_formats.h"
#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tools/safetensors.h"

namespace aio::tools {
namespace {

constexpr int kHidden = 32, kFeedForward = 64, kLayers = 2, kKv = 16,
              kBytes = 256, kVocabulary = 262;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// `text` with its first `from` replaced.
std::string With(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return at == text.npos ? text : text.replace(at, from.size(), to);
}

// A model in which every tensor holds another number, everywhere, so that one
// that went astray is seen.
struct Checkpoint {
  struct Tensor {
    std::string dtype = "F32";
    std::vector<int64_t> shape;
    float value;
  };
  std::map<std::string, Tensor> tensors;
  std::string config =
      R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
          "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 2, "num_key_value_heads": 1,
          "rope_theta": 1000000.0, "rms_norm_eps": 1e-06, "hidden_act": "silu",
          "max_position_embeddings": 512, "tie_word_embeddings": true,
          "vocab_size": 262, "use_sliding_window": false})";
  std::string tokenizer, settings;

  Checkpoint() {
    Add("model.embed_tokens.weight", {kVocabulary, kHidden});
    for (int i = 0; i < kLayers; ++i) AddLayer(i);
    Add("model.norm.weight", {kHidden});
    tokenizer = R"({"model": {"type": "BPE", "vocab": {)";
    for (int i = 0; i < kBytes; ++i) {
      tokenizer += openai::JsonString(tokenizer::ByteCharacter(i)) + ": " +
                   std::to_string(i) + ", ";
    }
    // Id 260 is left out.
    tokenizer += R"("ll": 256, "he": 257},
        "merges": ["l l", ["h", "e"]]},
        "added_tokens": [
          {"id": 258, "content": "<|endoftext|>", "special": true},
          {"id": 259, "content": "<|im_end|>", "special": true},
          {"id": 261, "content": "<tool>", "special": false}]})";
    settings =
        R"({"chat_template": "{{ messages[0].content }}", "bos_token": null,
            "eos_token": {"content": "<|im_end|>"},
            "pad_token": "<|endoftext|>", "add_bos_token": false})";
  }

  void Add(const std::string& name, std::vector<int64_t> shape) {
    tensors[name] = {"F32", std::move(shape),
                     static_cast<float>(tensors.size() + 1)};
  }
  void AddLayer(int layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    Add(at + "input_layernorm.weight", {kHidden});
    Add(at + "post_attention_layernorm.weight", {kHidden});
    for (const auto& [name, rows] :
         {std::pair{"q", kHidden}, {"k", kKv}, {"v", kKv}}) {
      Add(at + "self_attn." + name + "_proj.weight", {rows, kHidden});
      Add(at + "self_attn." + name + "_proj.bias", {rows});
    }
    Add(at + "self_attn.o_proj.weight", {kHidden, kHidden});
    Add(at + "mlp.gate_proj.weight", {kFeedForward, kHidden});
    Add(at + "mlp.up_proj.weight", {kFeedForward, kHidden});
    Add(at + "mlp.down_proj.weight", {kHidden, kFeedForward});
  }

  std::string Weights() const {
    std::string header = R"({"__metadata__": {"format": "pt"})", data;
    for (const auto& [name, tensor] : tensors) {
      const size_t begin = data.size();
      int64_t elements = 1;
      std::string shape;
      for (const int64_t size : tensor.shape) {
        elements *= size;
        shape += (shape.empty() ? "" : ", ") + std::to_string(size);
      }
      const uint16_t half = tensor.dtype == "F16" ? F32ToF16(tensor.value)
                                                  : F32ToBf16(tensor.value);
      for (int64_t i = 0; i < elements; ++i) {
        tensor.dtype == "F32" ? Put(tensor.value, &data) : Put(half, &data);
      }
      header += ", \"" + name + R"(": {"dtype": ")" + tensor.dtype +
                R"(", "shape": [)" + shape + R"(], "data_offsets": [)" +
                std::to_string(begin) + ", " + std::to_string(data.size()) +
                "]}";
    }
    return File(header + "}", data);
  }

  static std::string File(const std::string& header, const std::string& data) {
    std::string out;
    Put(uint64_t{header.size()}, &out);
    return out + header + data;
  }
  template <typename T>
  static void Put(T value, std::string* out) {
    out->append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
};

// Why the checkpoint is refused; empty if it is not.
std::string Refusal(const Checkpoint& c, const CheckpointOptions& options) {
  const std::string weights = c.Weights();
  const auto writer = FromCheckpoint(
      {c.config, Bytes(weights), c.tokenizer, c.settings}, options);
  return writer ? "" : writer.error().message;
}
std::string Refusal(const Checkpoint& c) { return Refusal(c, {}); }

class CheckpointTest : public testing::Test {
 protected:
  // The file as it would be read back.
  gguf::File Convert(const Checkpoint& c, const CheckpointOptions& options) {
    const std::string weights = c.Weights();
    const auto writer = FromCheckpoint(
        {c.config, Bytes(weights), c.tokenizer, c.settings}, options);
    EXPECT_TRUE(writer) << writer.error().message;
    bytes_ = writer->Serialize().value();
    return gguf::File::Parse(bytes_).value();
  }
  gguf::File Convert(const Checkpoint& c) { return Convert(c, {}); }

  // The first and the last number of a tensor, which must be equal.
  static float Value(const gguf::File& file, const std::string& name) {
    const gguf::Tensor* tensor = file.FindTensor(name);
    if (tensor == nullptr) return NAN;
    std::vector<float> values(static_cast<size_t>(tensor->elements()));
    DecodeRow(tensor->type, tensor->data, values);
    return values.front() == values.back() ? values.front() : NAN;
  }

  std::vector<std::byte> bytes_;
};

TEST_F(CheckpointTest, EveryTensorIsWhereItsFamilyHasIt) {
  Checkpoint c;
  const gguf::File file = Convert(c);
  const auto expect = [&](const std::string& to, const std::string& from) {
    EXPECT_EQ(Value(file, to), c.tensors.at(from).value) << to;
  };
  expect("token_embd.weight", "model.embed_tokens.weight");
  expect("output_norm.weight", "model.norm.weight");
  for (int i = 0; i < kLayers; ++i) {
    const std::string to = "blk." + std::to_string(i) + ".";
    const std::string from = "model.layers." + std::to_string(i) + ".";
    expect(to + "attn_norm.weight", from + "input_layernorm.weight");
    expect(to + "ffn_norm.weight", from + "post_attention_layernorm.weight");
    for (const std::string letter : {"q", "k", "v"}) {
      for (const std::string kind : {".weight", ".bias"}) {
        expect(to + "attn_" + letter + kind,
               from + "self_attn." + letter + "_proj" + kind);
      }
    }
    expect(to + "attn_output.weight", from + "self_attn.o_proj.weight");
    expect(to + "ffn_gate.weight", from + "mlp.gate_proj.weight");
    expect(to + "ffn_up.weight", from + "mlp.up_proj.weight");
    expect(to + "ffn_down.weight", from + "mlp.down_proj.weight");
  }
  EXPECT_EQ(file.tensors().size(), c.tensors.size());
}

TEST_F(CheckpointTest, TheLoaderReadsWhatTheConfigSaid) {
  const gguf::File file = Convert(Checkpoint(), {.name = "nano"});
  const auto config = model::ReadConfig(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->family, model::Family::kQwen2);
  EXPECT_EQ(config->name, "nano");
  EXPECT_EQ(config->vocabulary, kVocabulary);
  EXPECT_EQ(config->context_length, 512);
  EXPECT_EQ(config->kv_heads, 1);
  EXPECT_EQ(config->head_dim, kKv);
  EXPECT_EQ(config->feed_forward, kFeedForward);
  EXPECT_FLOAT_EQ(config->norm_epsilon, 1e-6f);
  EXPECT_EQ(config->rope.base, 1e6);
  const auto weights = model::LoadWeights(file, *config);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->layers[1].k.bias.size(), size_t{kKv});
}

TEST_F(CheckpointTest, AnOutputOfItsOwnIsCarriedOver) {
  Checkpoint c;
  c.config = With(c.config, R"("tie_word_embeddings": true)",
                  R"("tie_word_embeddings": false)");
  EXPECT_EQ(Refusal(c), "model.safetensors: tensor lm_head.weight is missing");
  c.Add("lm_head.weight", {kVocabulary, kHidden});
  EXPECT_EQ(Value(Convert(c), "output.weight"),
            c.tensors.at("lm_head.weight").value);
}

TEST_F(CheckpointTest, TheTokenizerMergesAndKnowsItsSpecialTokens) {
  const gguf::File file = Convert(Checkpoint());
  const auto tokenizer = tokenizer::Tokenizer::Load(file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto& t = **tokenizer;
  EXPECT_EQ(t.Encode("hello"), (std::vector<int32_t>{257, 256, 'o'}));
  EXPECT_EQ(t.Encode({{"he<|im_end|>", true}}, true),
            (std::vector<int32_t>{257, 259}));
  // From a user it is text, and a token that is not special is found in it.
  EXPECT_EQ(t.Encode("<|im_end|>").size(), 10u);
  EXPECT_EQ(t.Encode("<tool>"), std::vector<int32_t>{261});
  EXPECT_EQ(t.eos(), 259);
  EXPECT_EQ(t.bos(), -1);
  EXPECT_TRUE(t.IsEnd(259));
  EXPECT_EQ(t.Piece(260), "[PAD260]");
}

TEST_F(CheckpointTest, TheKeysAreThoseOfLlamaCppsConverter) {
  const gguf::File file =
      Convert(Checkpoint(),
              {.name = "n", .license = "apache-2.0", .type = DType::kQ8_0});
  EXPECT_EQ(file.Int("general.file_type").value(), 7);
  EXPECT_EQ(file.Int("general.quantization_version").value(), 2);
  EXPECT_EQ(file.String("general.license").value(), "apache-2.0");
  EXPECT_EQ(file.String("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(file.String("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(file.Int("tokenizer.ggml.eos_token_id").value(), 259);
  EXPECT_EQ(file.Int("tokenizer.ggml.eot_token_id").value(), 259);
  EXPECT_EQ(file.Int("tokenizer.ggml.padding_token_id").value(), 258);
  EXPECT_EQ(file.Find("tokenizer.ggml.bos_token_id"), nullptr);
  EXPECT_FALSE(file.Bool("tokenizer.ggml.add_bos_token", true).value());
  EXPECT_EQ(file.String("tokenizer.chat_template").value(),
            "{{ messages[0].content }}");
}

TEST_F(CheckpointTest, MatricesTakeTheTypeAndVectorsStayF32) {
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (const char* dtype : {"F32", "F16", "BF16"}) {
      Checkpoint c;
      for (auto& [name, tensor] : c.tensors) tensor.dtype = dtype;
      const gguf::File file = Convert(c, {.type = type});
      for (const gguf::Tensor& tensor : file.tensors()) {
        EXPECT_EQ(tensor.type, tensor.shape.size() == 1 ? DType::kF32 : type)
            << tensor.name;
      }
      // Small whole numbers survive every type but for Q8_0's scale.
      EXPECT_NEAR(Value(file, "blk.1.ffn_up.weight"),
                  c.tensors.at("model.layers.1.mlp.up_proj.weight").value,
                  0.02);
    }
  }
}

TEST_F(CheckpointTest, AWrongTensorIsNamed) {
  Checkpoint missing;
  missing.tensors.erase("model.layers.1.self_attn.k_proj.bias");
  EXPECT_EQ(Refusal(missing),
            "model.safetensors: tensor model.layers.1.self_attn.k_proj.bias is "
            "missing");
  Checkpoint unknown;
  unknown.Add("model.layers.2.input_layernorm.weight", {kHidden});
  EXPECT_EQ(Refusal(unknown),
            "model.safetensors: tensor model.layers.2.input_layernorm.weight "
            "has no place in this model (tie_word_embeddings is true)");
  Checkpoint shape;
  shape.tensors["model.layers.0.mlp.down_proj.weight"].shape = {64, 32};
  EXPECT_EQ(Refusal(shape),
            "model.safetensors: tensor model.layers.0.mlp.down_proj.weight has "
            "the shape [64, 32]; by config.json it has [32, 64]");
  Checkpoint nan;
  nan.tensors["model.norm.weight"].value = NAN;
  EXPECT_EQ(Refusal(nan),
            "model.safetensors: tensor model.norm.weight holds a value that is "
            "no number");
  Checkpoint large;
  large.tensors["model.embed_tokens.weight"].value = 1e6;
  EXPECT_EQ(Refusal(large), "");
  EXPECT_NE(Refusal(large, {.type = DType::kF16}).find("choose BF16 or F32"),
            std::string::npos);
  Checkpoint type;
  type.tensors["model.norm.weight"].dtype = "F64";
  EXPECT_NE(Refusal(type).find("tensor model.norm.weight is of dtype 'F64'"),
            std::string::npos);
}

TEST_F(CheckpointTest, WhatWouldBeAnotherModelIsRefused) {
  const auto refusal = [](std::string_view from, std::string_view to) {
    Checkpoint c;
    c.config = With(c.config, from, to);
    return Refusal(c);
  };
  EXPECT_NE(refusal("Qwen2For", "LlamaFor").find("architectures"),
            std::string::npos);
  EXPECT_NE(
      refusal("\"use_sliding_window\": false", "\"use_sliding_window\": true")
          .find("use_sliding_window"),
      std::string::npos);
  EXPECT_NE(refusal("\"silu\"", "\"gelu\"").find("hidden_act"),
            std::string::npos);
  EXPECT_NE(refusal("\"model_type\"", "\"rope_scaling\": {}, \"model_type\"")
                .find("rope_scaling"),
            std::string::npos);
  EXPECT_EQ(refusal("\"hidden_size\": 32", "\"hidden_size\": -32"),
            "config.json: hidden_size must be a positive number");
  EXPECT_EQ(refusal("\"rope_theta\": 1000000.0,", ""),
            "config.json: rope_theta must be a positive number");
  EXPECT_NE(refusal("\"num_attention_heads\": 2", "\"num_attention_heads\": 3")
                .find("numbers of heads"),
            std::string::npos);
  EXPECT_NE(refusal("{", "[").find("config.json"), std::string::npos);
}

TEST_F(CheckpointTest, ATokenizerThatContradictsItselfIsRefused) {
  const auto refusal = [](std::string_view from, std::string_view to) {
    Checkpoint c;
    c.tokenizer = With(c.tokenizer, from, to);
    return Refusal(c);
  };
  EXPECT_EQ(refusal("\"l l\"", "\"l q q\""),
            "tokenizer.json: merge 0 is not of two tokens to a third");
  EXPECT_EQ(refusal("[\"h\", \"e\"]", "[\"h\"]"),
            "tokenizer.json: merge 1 is not of two tokens to a third");
  EXPECT_EQ(refusal("\"ll\": 256", "\"ll\": 262"),
            "tokenizer.json: the id of token 'll' is not below vocab_size, "
            "262");
  EXPECT_EQ(refusal("\"ll\": 256", "\"ll\": 257"),
            "tokenizer.json: tokens 'll' and 'he' have the same id");
  EXPECT_EQ(refusal("\"BPE\"", "\"Unigram\""),
            "tokenizer.json: model.type is not BPE");
  EXPECT_NE(refusal("{\"model\"", R"({"pre_tokenizer": {"type": "Split",
                    "pattern": {"Regex": "\\s+"}}, "model")")
                .find("neither by Qwen2's pattern nor by Llama 3's"),
            std::string::npos);
  Checkpoint end;
  end.settings = With(end.settings, "<|im_end|>", "<|im_ned|>");
  EXPECT_EQ(Refusal(end),
            "tokenizer_config.json: eos_token '<|im_ned|>' is no token of "
            "tokenizer.json");
}

// tokenizer.json with a pattern for `digits` as the published ones write it.
std::string WithDigits(const Checkpoint& c, const std::string& digits,
                       bool ignore_merges) {
  std::string text = With(c.tokenizer, "{\"model\"",
                          R"raw({"pre_tokenizer": {"type": "Sequence",
      "pretokenizers": [{"type": "Split", "pattern": {"Regex":
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|DIGITS| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
      "behavior": "Isolated"}, {"type": "ByteLevel"}]}, "model")raw");
  text = With(text, "DIGITS", digits);
  return ignore_merges
             ? With(text, "\"BPE\"", "\"BPE\", \"ignore_merges\": true")
             : text;
}

TEST_F(CheckpointTest, ThePatternDecidesTheNameOfThePreTokenizer) {
  const struct {
    const char* digits;
    bool ignore_merges;
    const char* pre;
  } cases[] = {{R"(\\p{N})", false, "qwen2"},
               {R"(\\p{N}{1,3})", true, "llama-bpe"},
               {R"(\\p{N}{1,3})", false, "smaug-bpe"}};
  for (const auto& one : cases) {
    Checkpoint c;
    c.tokenizer = WithDigits(c, one.digits, one.ignore_merges);
    EXPECT_EQ(Convert(c).String("tokenizer.ggml.pre").value(), one.pre);
  }
  Checkpoint c;
  c.tokenizer = WithDigits(c, R"(\\p{N})", true);
  EXPECT_EQ(Refusal(c),
            "tokenizer.json: ignore_merges with Qwen2's pattern has no name in "
            "GGUF");
}

TEST_F(CheckpointTest, EveryTruncatedFileIsRefused) {
  const Checkpoint c;
  const std::string weights = c.Weights();
  const auto refused = [&](std::string_view config, std::string_view tensors,
                           std::string_view tokenizer,
                           std::string_view settings) {
    return !FromCheckpoint({config, Bytes(tensors), tokenizer, settings}, {});
  };
  const std::string_view config = c.config, tokenizer = c.tokenizer,
                         settings = c.settings;
  EXPECT_FALSE(refused(config, weights, tokenizer, settings));
  for (size_t n = 0; n < weights.size(); n += n < 5000 ? 1 : 997) {
    EXPECT_TRUE(refused(config, std::string_view(weights).substr(0, n),
                        tokenizer, settings))
        << n;
  }
  EXPECT_TRUE(refused(config, weights + "x", tokenizer, settings));
  for (size_t n = 0; n < config.size(); n += 7) {
    EXPECT_TRUE(refused(config.substr(0, n), weights, tokenizer, settings));
  }
  for (size_t n = 0; n < tokenizer.size(); n += 97) {
    EXPECT_TRUE(refused(config, weights, tokenizer.substr(0, n), settings));
  }
  for (size_t n = 0; n < settings.size(); n += 7) {
    EXPECT_TRUE(refused(config, weights, tokenizer, settings.substr(0, n)));
  }
}

TEST(SafeTensorsTest, PlacesOutsideTheFileOrInEachOtherAreRefused) {
  const auto refusal = [](const std::string& header) {
    const std::string file = Checkpoint::File(header, std::string(8, '\0'));
    const auto read = ReadSafeTensors(Bytes(file));
    return read ? std::string() : read.error().message;
  };
  const auto tensor = [](const char* shape, const char* place) {
    return std::string(R"({"dtype": "F32", "shape": )") + shape +
           R"(, "data_offsets": )" + place + "}";
  };
  EXPECT_EQ(refusal("{\"a\": " + tensor("[2]", "[0, 8]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[2]", "[4, 12]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[2]", "[8, 0]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[2]", "[-8, 0]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[3]", "[0, 8]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[-1, -2]", "[0, 8]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " +
                    tensor("[4294967296, 4294967296, 2]", "[0, 8]") + "}"),
            "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[1]", "[0, 4]") + "}"), "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[2]", "[0, 8]") +
                    ", \"b\": " + tensor("[2]", "[0, 8]") + "}"),
            "");
  EXPECT_NE(refusal("{\"a\": " + tensor("[2]", "[0, 8]") +
                    ", \"b\": " + tensor("[1]", "[4, 8]") + "}"),
            "");
  EXPECT_NE(refusal("[]"), "");
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal("{\"a\": 1}"), "");
}

TEST(SafeTensorsTest, AHeaderLongerThanAnyFileIsRefused) {
  std::string file(8, '\xFF');
  EXPECT_FALSE(ReadSafeTensors(Bytes(file)));
  file += "{}";
  EXPECT_FALSE(ReadSafeTensors(Bytes(file)));
}

}  // namespace
}  // namespace aio::tools
