// SPDX-License-Identifier: Apache-2.0
//
// What the forward pass computes: against a second implementation in double
// precision, and against the published text of a trained model.
#include "model/cpu_forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "model/reference_forward.h"
#include "model/test_model.h"

namespace aio::model {
namespace {

using kernels::KvType;

// Feeds tokens one step at a time; the logits of each.
std::vector<std::vector<float>> Decode(Forward& forward,
                                       const std::vector<int32_t>& tokens) {
  std::vector<int32_t> pages(static_cast<size_t>(forward.pages()));
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<std::vector<float>> logits;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Column column = {tokens[i], static_cast<int32_t>(i), pages, true};
    forward.Step({&column, 1});
    const auto row = forward.Logits(0);
    logits.emplace_back(row.begin(), row.end());
  }
  return logits;
}

// Root mean square difference over the standard deviation of `want`.
double Difference(const std::vector<float>& got,
                  const std::vector<double>& want) {
  double mean = 0, difference = 0, variance = 0;
  for (const double v : want) mean += v / static_cast<double>(want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    variance += (want[i] - mean) * (want[i] - mean);
  }
  return std::sqrt(difference / variance);
}

struct Case {
  std::string architecture;
  DType type;
  KvType kv;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "pangu-embedded"}) {
    for (const DType type :
         {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
      for (const auto kv : {KvType::kF32, KvType::kF16, KvType::kQ8}) {
        cases.push_back({architecture, type, kv});
      }
    }
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.architecture + "_" + NameOf(info.param.type) +
                     "_kv_" + kernels::NameOf(info.param.kv);
  std::ranges::replace(name, '-', '_');
  return name;
}

// Root mean square difference over 40 positions, which fill one page and begin
// another.
double MeanDifference(const RandomModel& description, KvType kv) {
  const TestModel model(description);
  const gguf::File file = model.file();
  ThreadPool pool(2);
  CpuOptions options;
  options.pool = &pool;
  options.kv = kv;
  options.pages = 2;
  options.columns_max = 1;
  auto forward = LoadCpuForward(file, options);
  CHECK(forward);
  const auto config = ReadConfig(file);
  CHECK(config);
  const auto weights = LoadWeights(file, *config);
  CHECK(weights);
  ReferenceForward reference(*config, *weights, kv);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 40; ++i) {
    tokens.push_back(i * 37 % (*forward)->vocabulary());
  }
  const auto logits = Decode(**forward, tokens);
  double squares = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    squares += std::pow(Difference(logits[i], reference.Step(tokens[i])), 2);
  }
  return std::sqrt(squares / static_cast<double>(tokens.size()));
}

RandomModel Small() {
  RandomModel m;
  m.vocabulary = 100;
  m.hidden = 96;
  m.layers = 2;
  m.heads = 6;
  m.kv_heads = 2;
  m.head_dim = 32;
  m.feed_forward = 160;
  m.context = 256;
  return m;
}

// A float rounds by 2^-24 and sums are short. Where values are rounded to F16
// or codes on both sides, one near a tie may fall to different sides, a step of
// 2^-11 or 1/127 of one number among hundreds, and then others after it.
double Tolerance(const Case& c) {
  if (c.type == DType::kQ8_0 || c.type == DType::kQ4_0) return 1e-2;
  if (c.kv == KvType::kQ8) return 1e-2;
  return c.kv == KvType::kF16 ? 5e-4 : 1e-5;
}

class EveryModel : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(CpuForwardTest, EveryModel,
                         testing::ValuesIn(AllCases()), CaseName);

TEST_P(EveryModel, AgreesWithDoublePrecision) {
  RandomModel description = Small();
  description.architecture = GetParam().architecture;
  description.type = GetParam().type;
  const double difference = MeanDifference(description, GetParam().kv);
  RecordProperty("difference", std::to_string(difference));
  EXPECT_LT(difference, Tolerance(GetParam()));
}

TEST(CpuForwardTest, TiedEmbeddingsServeAsOutput) {
  RandomModel m = Small();
  m.tied = true;
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
}

TEST(CpuForwardTest, HeadsNeedNotFillTheHiddenSize) {
  RandomModel m = Small();
  m.architecture = "qwen3";
  m.head_dim = 20;
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
}

TEST(CpuForwardTest, OddSizesWork) {
  RandomModel m = Small();
  m.hidden = 44;
  m.heads = m.kv_heads = 1;
  m.head_dim = 6;
  m.feed_forward = 33;
  m.vocabulary = 7;
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
  m.type = DType::kQ8_0;  // rows of 44 are no blocks and stay F32
  EXPECT_LT(MeanDifference(m, KvType::kF16), 2e-4);
}

TEST(CpuForwardTest, RopeIsScaledAsTheFileSays) {
  RandomModel m = Small();
  m.rope_divisors = true;
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
  m.rope_divisors = false;
  m.keys = {{"rope.scaling.type", std::string("linear")},
            {"rope.scaling.factor", 4.0f}};
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
  m.keys = {{"rope.scaling.type", std::string("yarn")},
            {"rope.scaling.factor", 4.0f},
            {"rope.scaling.original_context_length", uint32_t{64}}};
  EXPECT_LT(MeanDifference(m, KvType::kF32), 1e-5);
}

// --- The trained model that is bundled ------------------------------------

std::string PlainText(std::string piece) {
  const std::string space = "\u2581";  // SentencePiece's visible space
  for (size_t at = piece.find(space); at != std::string::npos;
       at = piece.find(space)) {
    piece.replace(at, space.size(), " ");
  }
  return piece == "<0x0A>" ? "\n" : piece;
}

// github.com/karpathy/llama2.c, test_all.py: 200 steps from the beginning.
constexpr char kPublished[] =
    "Once upon a time, there was a little girl named Lily. She loved to play "
    "outside in the park. One day, she saw a big, red ball. She wanted to play "
    "with it, but it was too high.\nLily's mom said, \"Lily, let's go to the "
    "park.\" Lily was sad and didn't know what to do. She said, \"I want to "
    "play with your ball, but I can't find it.\"\nLily was sad and didn't know "
    "what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"\n"
    "Lily didn't want to help her mom, so she";

TEST(CpuForwardTest, Stories260KTellsItsPublishedStory) {
  const auto file = gguf::File::Open("models/stories260K-F32.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const gguf::Value* value = file->Find("tokenizer.ggml.tokens");
  ASSERT_NE(value, nullptr);
  const auto& tokens = std::get<std::vector<std::string_view>>(
      std::get<gguf::Array>(*value).items);
  ThreadPool pool(1);
  CpuOptions options;
  options.pool = &pool;
  options.kv = KvType::kF32;
  options.pages = 16;
  options.columns_max = 1;
  const auto forward = LoadCpuForward(*file, options);
  ASSERT_TRUE(forward) << forward.error().message;
  std::vector<int32_t> pages(16);
  std::iota(pages.begin(), pages.end(), 0);
  std::string text;
  Column column = {1, 0, pages, true};  // 1 begins a text
  for (; column.position < 200; ++column.position) {
    (*forward)->Step({&column, 1});
    const auto logits = (*forward)->Logits(0);
    column.token =
        static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
    text += PlainText(std::string(tokens[static_cast<size_t>(column.token)]));
  }
  EXPECT_EQ(text, " " + std::string(kPublished));
}

// --- Options ---------------------------------------------------------------

TEST(CpuForwardTest, TheMemoryPlanIsWhatTheSizesSay) {
  const TestModel model(Small());
  CpuOptions options;
  options.kv = KvType::kF16;
  const auto plan = PlanMemory(model.file(), options);
  ASSERT_TRUE(plan);
  // 2 layers, 2 KV heads, 32 positions, keys and values of 32 halves.
  EXPECT_EQ(plan->page_bytes, 2 * 2 * 32 * 2 * 32 * 2);
  // q k v o gate up down, norms, output (100 rows in tiles of 16) and its norm,
  // all floats.
  const int64_t layer = 2 * 96 * 192 + 2 * 96 * 64 + 3 * 96 * 160 + 2 * 96;
  EXPECT_EQ(plan->weight_bytes, 4 * (2 * layer + 96 * 112 + 96));
  options.columns_max *= 2;
  const auto wider = PlanMemory(model.file(), options);
  ASSERT_TRUE(wider);
  EXPECT_GT(wider->scratch_bytes, plan->scratch_bytes * 3 / 2);
}

TEST(CpuForwardTest, SaysItsSizes) {
  const TestModel model(Small());
  ThreadPool pool(1);
  CpuOptions options;
  options.pool = &pool;
  options.pages = 3;
  options.columns_max = 5;
  options.context_max = 100000;  // more than the model's 256
  const auto forward = LoadCpuForward(model.file(), options);
  ASSERT_TRUE(forward);
  EXPECT_EQ((*forward)->vocabulary(), 100);
  EXPECT_EQ((*forward)->layers(), 2);
  EXPECT_EQ((*forward)->pages(), 3);
  EXPECT_EQ((*forward)->columns_max(), 5);
  EXPECT_EQ((*forward)->context_tokens_max(), 256);
  EXPECT_EQ((*forward)->kv_bytes_per_token(), 2 * 2 * 2 * 32 * 2);
}

TEST(CpuForwardTest, RefusesOptionsOutOfRange) {
  const TestModel model(Small());
  ThreadPool pool(1);
  const auto code = [&](auto change) {
    CpuOptions options;
    options.pool = &pool;
    change(options);
    const auto forward = LoadCpuForward(model.file(), options);
    return forward ? ErrorCode::kInternal : forward.error().code;
  };
  const auto kBad = ErrorCode::kInvalidArgument;
  EXPECT_EQ(code([](CpuOptions& o) { o.pool = nullptr; }), kBad);
  EXPECT_EQ(code([](CpuOptions& o) { o.pages = 0; }), kBad);
  EXPECT_EQ(code([](CpuOptions& o) { o.columns_max = 0; }), kBad);
  EXPECT_EQ(code([](CpuOptions& o) { o.columns_max = 1 << 20; }), kBad);
  EXPECT_EQ(code([](CpuOptions& o) { o.context_max = -1; }), kBad);
  EXPECT_EQ(code([](CpuOptions& o) { o.logits_max = -1; }), kBad);
}

}  // namespace
}  // namespace aio::model
