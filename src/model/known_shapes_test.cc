// SPDX-License-Identifier: Apache-2.0
#include "model/known_shapes.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "model/config.h"
#include "model/test_model.h"

namespace aio::model {
namespace {

// The parameters that the makers state, in billions: a wrong size in the table
// would miss them.
TEST(KnownShapesTest, HaveAsManyParametersAsTheirMakersSay) {
  const std::map<std::string, double> billions = {
      {"Qwen2.5-0.5B", 0.494}, {"Qwen2.5-1.5B", 1.544}, {"Qwen2.5-7B", 7.616},
      {"Qwen3-0.6B", 0.596},   {"Llama-3.2-1B", 1.236}, {"Llama-3.1-8B", 8.030},
  };
  int known = 0;
  for (RandomModel shape : KnownShapes()) {
    const auto stated = billions.find(shape.name);
    if (stated == billions.end()) continue;
    ++known;
    shape.type = DType::kF16;  // two bytes a parameter, vectors aside
    const auto bytes = MakeRandomModel(shape).Bytes();
    ASSERT_TRUE(bytes);
    EXPECT_NEAR(static_cast<double>(*bytes) / 2e9, stated->second,
                0.001 * stated->second)
        << shape.name;
  }
  EXPECT_EQ(known, 6);
}

TEST(KnownShapesTest, EachIsAModelThatWeRead) {
  for (RandomModel shape : KnownShapes()) {
    shape.layers = 1;
    shape.vocabulary = kVocabularyMin;
    shape.type = DType::kQ4_0;
    gguf::Writer writer = MakeRandomModel(shape);
    AddSyntheticTokenizer(shape.vocabulary, &writer);
    const TestModel model(writer);
    const auto config = ReadConfig(model.file());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->vocabulary, shape.vocabulary);
    EXPECT_EQ(config->hidden, shape.hidden);
  }
}

// llama.cpp's Q4_K_M of 26 layers: Q6_K for the output, and for attn_v and
// ffn_down in layers 0-2 and 22-25 and every third from 5 on.
TEST(RandomModelTest, TheMixGivesMoreBitsWhereLlamaCppDoes) {
  RandomModel description;
  description.type = DType::kQ4_K;
  description.more_bits = true;
  description.layers = 26;
  const TestModel model(description);
  const gguf::File file = model.file();
  const auto type = [&](const std::string& name) {
    const gguf::Tensor* tensor = file.FindTensor(name + ".weight");
    return tensor == nullptr ? "none" : NameOf(tensor->type);
  };
  EXPECT_EQ(type("output"), "Q6_K");
  EXPECT_EQ(type("token_embd"), "Q4_K");
  std::string more;
  for (int i = 0; i < 26; ++i) {
    const std::string at = "blk." + std::to_string(i) + ".";
    EXPECT_EQ(type(at + "attn_q"), "Q4_K");
    EXPECT_EQ(type(at + "attn_v"), type(at + "ffn_down"));
    if (type(at + "attn_v") == "Q6_K") more += std::to_string(i) + " ";
  }
  EXPECT_EQ(more, "0 1 2 5 8 11 14 17 20 22 23 24 25 ");
}

TEST(RandomModelTest, RowsTooShortForAKTypeTakeTheTypeOf32) {
  RandomModel description;
  description.hidden = 224;  // 7 blocks of 32
  description.type = DType::kQ6_K;
  const TestModel model(description);
  EXPECT_EQ(model.file().FindTensor("output.weight")->type, DType::kQ8_0);
  EXPECT_EQ(model.file().FindTensor("blk.0.ffn_down.weight")->type,
            DType::kQ6_K);
}

}  // namespace
}  // namespace aio::model
