// SPDX-License-Identifier: Apache-2.0
//
// A sequence that goes on in a copied page, from the middle of it, gives the
// same bits as one that computed every position itself.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "model/cpu_forward.h"
#include "model/test_model.h"

namespace aio::model {
namespace {

constexpr int kVocabulary = 61;

std::unique_ptr<Forward> Load(const TestModel& model, ThreadPool* pool,
                              bool kv_f16) {
  CpuOptions options;
  options.pool = pool;
  options.kv = kv_f16 ? kernels::KvType::kF16 : kernels::KvType::kF32;
  options.pages = 8;
  options.columns_max = 128;
  auto forward = LoadCpuForward(model.file(), options);
  CHECK(forward);
  return *std::move(forward);
}

// Steps positions [begin, end); the last one's logits.
std::vector<float> RunFrom(Forward& forward, const std::vector<int32_t>& tokens,
                           const std::vector<int32_t>& pages, int begin) {
  std::vector<Column> columns;
  for (int p = begin; p < static_cast<int>(tokens.size()); ++p) {
    columns.push_back({tokens[static_cast<size_t>(p)], p, pages,
                       p + 1 == static_cast<int>(tokens.size())});
  }
  forward.Step(columns);
  const auto logits = forward.Logits(0);
  return {logits.begin(), logits.end()};
}

TEST(CopyPageTest, GoingOnInACopyIsTheSameBitForBit) {
  RandomModel description;
  description.architecture = "llama";
  description.type = DType::kQ8_0;
  description.vocabulary = kVocabulary;
  description.hidden = 64;
  description.layers = 2;
  description.heads = 6;
  description.kv_heads = 2;
  description.head_dim = 16;
  description.feed_forward = 96;
  description.context = 128;
  const TestModel model(description);
  ThreadPool pool(2);
  std::vector<int32_t> first, second;
  for (uint64_t i = 0; i < 70; ++i) {
    first.push_back(static_cast<int32_t>(RandomBits(1, 0, i) % kVocabulary));
  }
  constexpr int kCommon = 45;  // a page and 13 positions of the next
  second.assign(first.begin(), first.begin() + kCommon);
  for (uint64_t i = 0; i < 30; ++i) {
    second.push_back(static_cast<int32_t>(RandomBits(2, 0, i) % kVocabulary));
  }
  for (const bool kv_f16 : {false, true}) {
    const auto alone = Load(model, &pool, kv_f16);
    const std::vector<float> want = RunFrom(*alone, second, {0, 1, 2}, 0);
    const auto shared = Load(model, &pool, kv_f16);
    RunFrom(*shared, first, {5, 3, 6}, 0);
    shared->CopyPage(3, 2);
    const std::vector<float> got = RunFrom(*shared, second, {5, 2, 7}, kCommon);
    ASSERT_EQ(got.size(), want.size());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)),
              0)
        << kv_f16;
  }
}

}  // namespace
}  // namespace aio::model
