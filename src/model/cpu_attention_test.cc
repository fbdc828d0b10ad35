// SPDX-License-Identifier: Apache-2.0
//
// Heads that do not divide by the threads, heads smaller than a tile or a block
// of codes, contexts that are split into spans: the same logits by any number
// of threads, which meet four times a layer whatever the shape and the width.
#include "model/cpu_attention.h"

#include <gtest/gtest.h>

#include <numeric>
#include <ostream>

#include "model/test_model.h"

namespace aio::model {
namespace {

constexpr int kLayers = 2;
constexpr int kPages = 40;
constexpr int kVocabulary = 37;

struct Shape {
  int heads, kv_heads, head_dim, hidden;
  DType type = DType::kQ8_0;
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    return out << s.heads << " heads, " << s.kv_heads << " of KV, of "
               << s.head_dim << ", hidden " << s.hidden << " "
               << NameOf(s.type);
  }
};

const Shape kShapes[] = {
    {8, 4, 32, 96},   // a band is a head
    {8, 8, 8, 64},    // small heads: four make a band
    {10, 5, 8, 64},   // two, the last band has one
    {9, 3, 80, 96},   // a head's outputs are no whole blocks
    {5, 5, 20, 224},  // all heads are one band
    {6, 6, 16, 160},
    {4, 1, 16, 64},
    {4, 1, 16, 48, DType::kF32},  // tiles of half a block
    {6, 3, 6, 44, DType::kF16},   // and of less
};

// The logits of some positions of two sequences, by decode steps, wide ones and
// a lone column behind a long context. Checks the meetings.
std::vector<float> Logits(const TestModel& model, int threads) {
  ThreadPool pool(threads);
  CpuOptions options;
  options.pool = &pool;
  options.pages = kPages;
  auto forward = LoadCpuForward(model.file(), options);
  CHECK(forward);
  std::vector<int32_t> first(kPages - 2), second = {1, 0};
  std::iota(first.rbegin(), first.rend(), 2);
  int at = 0, other = 0;  // positions of each
  std::vector<float> all;
  for (const int width : {1, 1, 3, 17, 8, 40, 453, 1, 512, 2, 1}) {
    std::vector<Column> columns;
    for (int i = 0; i < width; ++i, ++at) {
      columns.push_back(
          {at * 7 % kVocabulary, at, first, i == 2 || i + 1 == width});
    }
    if (at < 64) columns.push_back({5, other++, second, true});
    const uint32_t before = pool.meetings();
    (*forward)->Step(columns);
    const uint32_t met = pool.meetings() - before;
    EXPECT_EQ(met, threads == 1 ? 0u : 4u * kLayers)
        << width << " columns, " << threads << " threads";
    int asked = 0;
    for (const Column& c : columns) asked += c.logits ? 1 : 0;
    for (int i = 0; i < asked; ++i) {
      const auto logits = (*forward)->Logits(i);
      all.insert(all.end(), logits.begin(), logits.end());
    }
  }
  return all;
}

TEST(CpuAttentionTest, AnyThreadsGiveTheSameLogitsInFourMeetingsALayer) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    RandomModel m;
    m.architecture = "qwen3";
    m.type = shape.type;
    m.vocabulary = kVocabulary;
    m.hidden = shape.hidden;
    m.layers = kLayers;
    m.heads = shape.heads;
    m.kv_heads = shape.kv_heads;
    m.head_dim = shape.head_dim;
    m.feed_forward = 96;
    const TestModel model(m);
    const std::vector<float> want = Logits(model, 1);
    for (const int threads : {2, 3, 5, 8}) {
      EXPECT_TRUE(Logits(model, threads) == want) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace aio::model
