// SPDX-License-Identifier: Apache-2.0
#include "probe/text_probe.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "base/random.h"
#include "probe/model_file.h"

namespace aio::probe {
namespace {

using core::Label;

// Tests run with the repository's root as their folder.
constexpr const char* kModel = "models/intent.ftz";

std::string ReadModel() {
  std::ifstream in(kModel, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const TextProbe& Bundled() {
  static const std::shared_ptr<const TextProbe> kProbe = [] {
    auto loaded = TextProbe::Load(kModel);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *loaded;
  }();
  return *kProbe;
}

// Prompts written for this test, unlike any that the model was trained on.
TEST(TextProbeTest, TellsPlainRequestsApart) {
  const std::pair<const char*, Label> kPrompts[] = {
      {"Implement a thread-safe LRU cache in Rust.", Label::kCode},
      {"Why does `npm install` fail with EACCES on my server?", Label::kCode},
      {"用Java写一个快速排序", Label::kCode},
      {"What is 35 percent of 480?", Label::kMath},
      {"Solve x^2 + 4x - 21 = 0 for x.", Label::kMath},
      {"小红买了3支铅笔，每支2元，一共花了多少元？", Label::kMath},
      {"Which planet has the most moons?", Label::kQa},
      {"What were the main causes of the Thirty Years' War?", Label::kQa},
      {"长城是什么时候修建的？", Label::kQa},
      {"I want you to act as a job interviewer. I will be the candidate.",
       Label::kChat},
      {"请你扮演一位导游", Label::kChat},
      {"Summarize this article in two sentences: The council met on Monday "
       "to discuss the new bridge. After a long debate it was approved.",
       Label::kSummarize},
      {"请总结下面的文章：今天市议会开会讨论了新桥的建设。", Label::kSummarize},
      {"Translate to French: The weather is lovely today.", Label::kTranslate},
      {"把这句话翻译成英文：今天天气很好。", Label::kTranslate},
      {"Extract all dates and names from the following text as JSON: On 3 "
       "May 1999 Anna Smith met Peter Jones in Rome.",
       Label::kExtract},
      {"Write a short poem about a lonely robot.", Label::kCreative},
      {"写一首关于大海的诗", Label::kCreative}};
  for (const auto& [text, label] : kPrompts) {
    const core::Intent intent = Bundled().ClassifyText(text);
    EXPECT_EQ(core::Name(intent.Best()), core::Name(label)) << text;
    EXPECT_EQ(intent.source, core::IntentSource::kText);
  }
}

TEST(TextProbeTest, ProbabilitiesAreADistribution) {
  std::string text;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    text += static_cast<char>(RandomBits(1, 2, seed));
    const core::Intent intent = Bundled().ClassifyText(text);
    double sum = 0;
    for (const double p : intent.probabilities) {
      EXPECT_GE(p, 0);
      sum += p;
    }
    EXPECT_NEAR(sum, 1, 1e-9);
  }
}

TEST(TextProbeTest, NothingToReadIsNobodyAsked) {
  const core::Intent intent = Bundled().Classify(core::Request{});
  EXPECT_EQ(intent.source, core::IntentSource::kNone);
  EXPECT_EQ(intent.probabilities, core::Intent::Uniform());
}

TEST(TextProbeTest, ReadsBothEndsOfALongPrompt) {
  std::string text = "Translate the following into German. ";
  while (text.size() < 20000) text += "It rained all day and nobody came. ";
  EXPECT_EQ(Bundled().ClassifyText(text).Best(), Label::kTranslate);
}

TEST(TextProbeTest, TheModelIsSmall) {
  EXPECT_GT(ReadModel().size(), 50u << 10);
  EXPECT_LT(ReadModel().size(), 1u << 20);
}

// ---- Hostile files ----------------------------------------------------------

TEST(ModelFileTest, AcceptsTheBundledModel) {
  const auto checked = CheckModelFile(ReadModel());
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST(ModelFileTest, AMissingFileIsNotFoundAndNamesTheKey) {
  const auto missing = TextProbe::Load("models/none.ftz");
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().param, "probe.text");
  EXPECT_FALSE(TextProbe::Load("models"));  // a folder
}

TEST(ModelFileTest, RefusesWhatIsNoModel) {
  for (const std::string& bytes :
       {std::string(), std::string("GGUF"), std::string(100, '\0'),
        std::string(100000, '\xff')}) {
    const auto parsed = TextProbe::Parse(bytes, "x.ftz");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(parsed.error().message.rfind("x.ftz: ", 0), 0u);
  }
}

TEST(ModelFileTest, RefusesEveryTruncation) {
  const std::string model = ReadModel();
  for (size_t size = 0; size < model.size(); size += 1 + size / 50) {
    ASSERT_FALSE(CheckModelFile(std::string_view(model).substr(0, size)))
        << size;
  }
  EXPECT_FALSE(CheckModelFile(model + '\0'));
}

// Puts extreme numbers at `at`: the file is refused, or loaded and harmless.
void Distort(const std::string& model, size_t at) {
  for (const int32_t value : {0, -1, 1, 0x7fffffff, -0x7fffffff, 1 << 20}) {
    std::string broken = model;
    std::memcpy(broken.data() + at, &value, sizeof value);
    const auto parsed = TextProbe::Parse(std::move(broken), "x");
    if (parsed) (*parsed)->ClassifyText("Write a poem");
  }
}

TEST(ModelFileTest, SurvivesExtremeNumbersInTheHeader) {
  const std::string model = ReadModel();
  for (size_t at = 0; at + 4 <= 120; at += 4) Distort(model, at);
}

TEST(ModelFileTest, SurvivesExtremeNumbersInTheShapesOfItsMatrices) {
  const std::string model = ReadModel();
  int32_t dimension = 0, words = 0;
  std::memcpy(&dimension, &model[8], sizeof dimension);
  std::memcpy(&words, &model[68], sizeof words);
  const int64_t shape[2] = {words, dimension};
  const size_t matrix = model.find(
      std::string(reinterpret_cast<const char*>(shape), sizeof shape));
  ASSERT_NE(matrix, std::string::npos);
  for (size_t at = matrix - 2; at < matrix + 20; ++at) Distort(model, at);
  int32_t codes = 0;
  std::memcpy(&codes, &model[matrix + sizeof shape], sizeof codes);
  const size_t quantizer = matrix + sizeof shape + 4 + codes;
  for (size_t i = 0; i < 16; ++i) Distort(model, quantizer + i);
  const size_t output = model.size() - core::kLabels * dimension * 4 - 17;
  for (size_t i = 0; i < 17; ++i) Distort(model, output + i);
}

TEST(ModelFileTest, SurvivesFlippedBits) {
  const std::string model = ReadModel();
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::string broken = model;
    for (uint64_t i = 0; i < 1 + seed % 8; ++i) {
      const uint64_t bit = RandomBits(seed, 3, i) % (8 * broken.size());
      broken[bit / 8] ^= static_cast<char>(1 << bit % 8);
    }
    const auto parsed = TextProbe::Parse(std::move(broken), "x");
    if (parsed) (*parsed)->ClassifyText("Write a poem");
  }
}

}  // namespace
}  // namespace aio::probe
