// SPDX-License-Identifier: Apache-2.0
//
// What a model file says is checked, and what is not implemented is refused by
// name.
#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "model/cpu_forward.h"
#include "model/test_model.h"
#include "model/weights.h"
#include "tensor/block_formats.h"

namespace aio::model {
namespace {

using gguf::Item;

RandomModel Small(const std::string& architecture = "llama") {
  RandomModel m;
  m.architecture = architecture;
  m.vocabulary = 10;
  m.hidden = 32;
  m.layers = 1;
  m.heads = 2;
  m.kv_heads = 1;
  m.head_dim = 16;
  m.feed_forward = 32;
  m.context = 64;
  return m;
}

// The error of loading a model, or "loaded".
std::string Outcome(const gguf::Writer& writer, ErrorCode* code) {
  const TestModel model(writer);
  const gguf::File file = model.file();
  const auto config = ReadConfig(file);
  const auto error = [&](const Error& e) {
    *code = e.code;
    return e.message;
  };
  if (!config) return error(config.error());
  const auto weights = LoadWeights(file, *config);
  if (!weights) return error(weights.error());
  return "loaded";
}

void ExpectRefused(const gguf::Writer& writer, ErrorCode code,
                   const std::string& part) {
  ErrorCode got = ErrorCode::kInternal;
  const std::string message = Outcome(writer, &got);
  EXPECT_EQ(CodeName(got), CodeName(code)) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

void ExpectLoads(const gguf::Writer& writer) {
  ErrorCode code = ErrorCode::kInternal;
  EXPECT_EQ(Outcome(writer, &code), "loaded");
}

gguf::Writer With(const std::string& key, Item value,
                  const std::string& architecture = "llama") {
  RandomModel m = Small(architecture);
  m.keys = {{key, std::move(value)}};
  return MakeRandomModel(m);
}

// The keys and tensors of a small model, one of them changed or left out.
gguf::Writer Edited(const std::string& name, const std::vector<int64_t>& shape,
                    DType type = DType::kF32) {
  const TestModel model(MakeRandomModel(Small()));
  const gguf::File file = model.file();
  gguf::Writer writer;
  const auto add = [&](const std::string& at, const std::vector<int64_t>& s,
                       DType t) {
    int64_t elements = 1;
    for (const int64_t n : s) elements *= n;
    writer.AddFloats(at, t, s,
                     std::vector<float>(static_cast<size_t>(elements), 0.5f));
  };
  bool found = false;
  writer.Add("general.architecture", "llama");
  for (const char* key : {"context_length", "embedding_length", "block_count",
                          "feed_forward_length", "attention.head_count",
                          "attention.head_count_kv", "attention.key_length"}) {
    const std::string full = std::string("llama.") + key;
    writer.Add(full, static_cast<uint32_t>(*file.Int(full)));
  }
  writer.Add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  for (const gguf::Tensor& tensor : file.tensors()) {
    const bool it = tensor.name == name;
    found = found || it;
    if (it && shape.empty()) continue;
    add(std::string(tensor.name), it ? shape : tensor.shape,
        it ? type : tensor.type);
  }
  if (!found && !shape.empty()) add(name, shape, type);
  return writer;
}

TEST(ConfigTest, ReadsWhatTheFileSays) {
  RandomModel m = Small("qwen2");
  const TestModel model(m);
  const auto config = ReadConfig(model.file());
  ASSERT_TRUE(config);
  EXPECT_EQ(config->family, Family::kQwen2);
  EXPECT_EQ(config->vocabulary, 10);
  EXPECT_EQ(config->hidden, 32);
  EXPECT_EQ(config->layers, 1);
  EXPECT_EQ(config->heads, 2);
  EXPECT_EQ(config->kv_heads, 1);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->feed_forward, 32);
  EXPECT_EQ(config->context_length, 64);
  EXPECT_FLOAT_EQ(config->norm_epsilon, 1e-5f);
  EXPECT_EQ(config->rope.style, kernels::RopeStyle::kNeox);
  EXPECT_EQ(config->rope.scaling, kernels::RopeScaling::kLinear);
  EXPECT_EQ(config->rope.factor, 1);
}

TEST(ConfigTest, ReadsYarn) {
  RandomModel m = Small();
  m.keys = {{"rope.scaling.type", Item(std::string("yarn"))},
            {"rope.scaling.factor", Item(4.0f)},
            {"rope.scaling.original_context_length", Item(uint32_t{16})},
            {"rope.scaling.yarn_beta_fast", Item(16.0f)},
            {"rope.scaling.attn_factor", Item(0.5f)},
            {"rope.scaling.finetuned", Item(true)}};
  const TestModel model(m);
  const auto config = ReadConfig(model.file());
  ASSERT_TRUE(config);
  EXPECT_EQ(config->rope.scaling, kernels::RopeScaling::kYarn);
  EXPECT_EQ(config->rope.factor, 4);
  EXPECT_EQ(config->rope.context_original, 16);
  EXPECT_EQ(config->rope.beta_fast, 16);
  EXPECT_EQ(config->rope.attention_factor, 0.5);
}

TEST(ConfigTest, OtherFamiliesAreRefusedByName) {
  ExpectRefused(MakeRandomModel(Small("gemma2")), ErrorCode::kUnsupported,
                "gemma2");
}

TEST(ConfigTest, KeysThatChangeTheArithmeticAreRefusedByName) {
  const auto refused = [](const std::string& key, Item value) {
    ExpectRefused(With(key, std::move(value)), ErrorCode::kUnsupported,
                  "llama." + key);
  };
  refused("attention.sliding_window", uint32_t{16});
  refused("attn_logit_softcapping", 50.0f);
  refused("final_logit_softcapping", 30.0f);
  refused("expert_count", uint32_t{8});
  refused("expert_used_count", uint32_t{2});
  refused("attention.max_alibi_bias", 8.0f);
  refused("attention.clamp_kqv", 8.0f);
  refused("attention.scale", 0.1f);
  refused("attention.causal", false);
  refused("embedding_scale", 12.0f);
  refused("residual_scale", 0.2f);
  refused("logit_scale", 0.5f);
  refused("use_parallel_residual", true);
  refused("rope.scaling.type", std::string("longrope"));
  refused("rope.scaling.yarn_log_multiplier", 0.1f);
  refused("some.future.key", uint32_t{1});
  refused("some.future.text", std::string("x"));
}

TEST(ConfigTest, KeysThatChangeNothingAreTaken) {
  ExpectLoads(With("attention.sliding_window", uint32_t{64}));  // the context
  ExpectLoads(With("attention.sliding_window", uint32_t{0}));
  ExpectLoads(With("expert_count", uint32_t{0}));
  ExpectLoads(With("attention.causal", true));
  ExpectLoads(With("logit_scale", 1.0f));
  ExpectLoads(With("vocab_size", uint32_t{10}));
  ExpectLoads(With("rope.scaling.type", std::string("none")));
  ExpectLoads(With("tensor_data_layout", std::string("Meta AI original pth")));
}

TEST(ConfigTest, NumbersThatMakeNoSenseAreCorrupt) {
  const auto corrupt = [](auto change, const std::string& part) {
    RandomModel m = Small();
    change(m);
    // The tensors are of the sizes given before: only keys are wrong.
    ExpectRefused(MakeRandomModel(m), ErrorCode::kCorrupt, part);
  };
  corrupt([](RandomModel& m) { m.kv_heads = 3; }, "cannot share");
  corrupt([](RandomModel& m) { m.head_dim = 15; }, "no pairs");
  corrupt(
      [](RandomModel& m) {
        m.keys = {{"vocab_size", Item(uint32_t{11})}};
      },
      "vocab_size");
  for (const float value :
       {0.0f, -1.0f, 1e9f, NAN, std::numeric_limits<float>::infinity()}) {
    corrupt(
        [&](RandomModel& m) {
          m.keys = {{"rope.scaling.attn_factor", Item(value)}};
        },
        "rope.scaling.attn_factor");
  }
}

TEST(ConfigTest, SizesThatMakeNoSenseAreCorrupt) {
  for (const char* key : {"context_length", "embedding_length", "block_count",
                          "feed_forward_length", "attention.head_count",
                          "attention.head_count_kv", "attention.key_length"}) {
    for (const uint32_t value : {0u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
      gguf::Writer writer;
      writer.Add("general.architecture", "llama");
      for (const char* other :
           {"context_length", "embedding_length", "block_count",
            "feed_forward_length", "attention.head_count",
            "attention.head_count_kv", "attention.key_length"}) {
        const bool it = std::string(other) == key;
        writer.Add(std::string("llama.") + other, it ? value : uint32_t{2});
      }
      writer.Add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
      writer.AddFloats("token_embd.weight", DType::kF32, {2, 2},
                       std::vector<float>(4));
      ExpectRefused(writer, ErrorCode::kCorrupt, key);
    }
  }
}

TEST(ConfigTest, MissingOrMistypedKeysAreCorrupt) {
  gguf::Writer writer;
  ExpectRefused(writer, ErrorCode::kCorrupt, "general.architecture");
  writer.Add("general.architecture", "llama");
  ExpectRefused(writer, ErrorCode::kCorrupt, "llama.context_length");
  ExpectRefused(With("rope.scaling.type", uint32_t{1}), ErrorCode::kCorrupt,
                "rope.scaling.type");
  ExpectRefused(With("rope.scaling.factor", std::string("4")),
                ErrorCode::kCorrupt, "rope.scaling.factor");
}

TEST(ConfigTest, SizesThatDifferByLayerAreRefused) {
  gguf::Writer writer;
  writer.Add("general.architecture", "llama");
  writer.Add("llama.context_length", uint32_t{8});
  writer.Add("llama.embedding_length", uint32_t{8});
  writer.Add("llama.block_count", uint32_t{2});
  writer.Add("llama.feed_forward_length", std::vector<uint32_t>{8, 16});
  ExpectRefused(writer, ErrorCode::kUnsupported, "feed_forward_length");
}

TEST(ConfigTest, TheVocabularyMustMatchTheTokenizers) {
  gguf::Writer writer = MakeRandomModel(Small());
  writer.Add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  ExpectRefused(writer, ErrorCode::kCorrupt, "tokenizer.ggml.tokens");
}

TEST(WeightsTest, TheEditedModelLoadsUnchanged) {
  ExpectLoads(Edited("none", {}));
}

TEST(WeightsTest, AMissingTensorIsNamed) {
  for (const char* name :
       {"blk.0.attn_q.weight", "blk.0.ffn_norm.weight", "output_norm.weight"}) {
    ExpectRefused(Edited(name, {}), ErrorCode::kCorrupt, name);
  }
  ExpectRefused(Edited("token_embd.weight", {}), ErrorCode::kCorrupt,
                "token_embd.weight");
}

TEST(WeightsTest, ATensorOfAnotherShapeIsNamed) {
  ExpectRefused(Edited("blk.0.attn_q.weight", {32, 33}), ErrorCode::kCorrupt,
                "blk.0.attn_q.weight is [32, 33]");
  ExpectRefused(Edited("blk.0.ffn_down.weight", {32 * 32}), ErrorCode::kCorrupt,
                "blk.0.ffn_down.weight");
  ExpectRefused(Edited("blk.0.attn_norm.weight", {31}), ErrorCode::kCorrupt,
                "blk.0.attn_norm.weight");
  ExpectRefused(Edited("output.weight", {32, 9}), ErrorCode::kCorrupt,
                "output.weight");
}

TEST(WeightsTest, ATensorWithoutAPlaceIsRefusedByName) {
  for (const char* name : {"blk.0.attn_qkv.weight", "blk.1.attn_q.weight",
                           "blk.0.ffn_gate_exps.weight", "output.bias",
                           "blk.0.attn_q_norm.weight"}) {
    ExpectRefused(Edited(name, {4}), ErrorCode::kUnsupported, name);
  }
}

TEST(WeightsTest, OptionalBiasesAreTaken) {
  ExpectLoads(Edited("blk.0.attn_q.bias", {32}));
  ExpectLoads(Edited("blk.0.ffn_down.bias", {32}));
  ExpectLoads(Edited("rope_freqs.weight", {8}));
}

TEST(WeightsTest, NormsOfOtherFloatTypesAreTaken) {
  ExpectLoads(Edited("blk.0.attn_norm.weight", {32}, DType::kF16));
}

TEST(WeightsTest, RopeDivisorsOutsideLlamaAreRefused) {
  RandomModel m = Small("qwen2");
  m.rope_divisors = true;
  ExpectRefused(MakeRandomModel(m), ErrorCode::kUnsupported,
                "rope_freqs.weight");
}

TEST(WeightsTest, BiasesThatAFamilyAlwaysHasAreRequired) {
  RandomModel m = Small("pangu-embedded");
  ExpectLoads(MakeRandomModel(m));
  gguf::Writer writer = MakeRandomModel(Small("llama"));
  const TestModel llama(writer);  // no biases; read as pangu-embedded
  const gguf::File file = llama.file();
  auto config = ReadConfig(file);
  ASSERT_TRUE(config);
  config->family = Family::kPanguEmbedded;
  const auto weights = LoadWeights(file, *config);
  ASSERT_FALSE(weights);
  EXPECT_NE(weights.error().message.find("attn_q.bias"), std::string::npos);
}

TEST(WeightsTest, TypesThatTheKernelsCannotReadAreRefusedByName) {
  gguf::Writer writer;
  writer.Add("general.architecture", "llama");
  writer.Add("llama.context_length", uint32_t{8});
  writer.Add("llama.embedding_length", uint32_t{256});
  writer.Add("llama.block_count", uint32_t{1});
  writer.Add("llama.feed_forward_length", uint32_t{8});
  writer.Add("llama.attention.head_count", uint32_t{4});
  writer.Add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const std::vector<std::byte> blocks(10 * 110);  // of 256 weights
  writer.AddTensor("token_embd.weight", DType::kQ3_K, {256, 10}, blocks);
  ExpectRefused(writer, ErrorCode::kUnsupported,
                "token_embd.weight has type Q3_K");
}

}  // namespace
}  // namespace aio::model
