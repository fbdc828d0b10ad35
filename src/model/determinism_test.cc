// SPDX-License-Identifier: Apache-2.0
//
// The determinism contract (docs: the same tokens give the same logits, bit for
// bit, however steps are cut): with other sequences in the step or without, at
// any prefill chunk, number of threads and choice of pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <ostream>
#include <string>

#include "base/random.h"
#include "model/cpu_forward.h"
#include "model/test_model.h"

namespace aio::model {
namespace {

using kernels::KvType;

struct Case {
  std::string architecture;
  DType type;
  KvType kv;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.architecture << " " << NameOf(c.type);
  }
};

constexpr int kVocabulary = 61;
// Of three sequences; with two pages and a part of a third, one just past a
// page, and one within a page.
constexpr int kLengths[] = {75, 33, 20};
constexpr int kPages = 24;

RandomModel Description(const Case& c) {
  RandomModel m;
  m.architecture = c.architecture;
  m.type = c.type;
  m.seed = 5;
  m.vocabulary = kVocabulary;
  m.hidden = 64;
  m.layers = 2;
  m.heads = 6;
  m.kv_heads = 2;
  m.head_dim = 16;
  m.feed_forward = 96;
  m.context = 128;
  return m;
}

// A sequence on its way, and the logits of each position.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<int32_t> pages;
  int done = 0;
  std::vector<std::vector<float>> logits = {};
};

// Three sequences whose pages are dealt out in a random order.
std::vector<Sequence> Sequences(uint64_t seed) {
  std::vector<int32_t> order(kPages);
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); seed != 0 && i > 1; --i) {
    std::swap(order[i - 1], order[RandomBits(seed, 0, i) % i]);
  }
  std::vector<Sequence> sequences;
  for (uint64_t s = 0; s < 3; ++s) {
    Sequence sequence;
    for (int i = 0; i < kLengths[s]; ++i) {
      sequence.tokens.push_back(static_cast<int32_t>(
          RandomBits(9, s, static_cast<uint64_t>(i)) % kVocabulary));
    }
    const auto first = order.begin() + static_cast<long>(s) * 4;
    sequence.pages.assign(first, first + 4);
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

// Adds the next `count` columns of a sequence to a step.
void Take(const Sequence& s, int count, std::vector<Column>* columns) {
  for (int i = s.done; i < s.done + count; ++i) {
    columns->push_back({s.tokens[static_cast<size_t>(i)], i, s.pages, true});
  }
}

int Left(const Sequence& s) {
  return static_cast<int>(s.tokens.size()) - s.done;
}

// Columns of each sequence in the next step.
using Plan = std::vector<int>;

void Step(Forward& forward, std::vector<Sequence>& sequences,
          const Plan& plan) {
  std::vector<Column> columns;
  for (size_t s = 0; s < sequences.size(); ++s) {
    Take(sequences[s], plan[s], &columns);
  }
  forward.Step(columns);
  int row = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (int i = 0; i < plan[s]; ++i) {
      const auto logits = forward.Logits(row++);
      sequences[s].logits.emplace_back(logits.begin(), logits.end());
    }
    sequences[s].done += plan[s];
  }
}

// All sequences, each alone, in chunks.
std::vector<Sequence> RunAlone(Forward& forward, int chunk, uint64_t seed) {
  std::vector<Sequence> sequences = Sequences(seed);
  for (size_t s = 0; s < sequences.size(); ++s) {
    while (Left(sequences[s]) > 0) {
      Plan plan(sequences.size());
      plan[s] = std::min(chunk, Left(sequences[s]));
      Step(forward, sequences, plan);
    }
  }
  return sequences;
}

// All sequences together, `width` columns a step, dealt out at random.
std::vector<Sequence> RunMixed(Forward& forward, int width, uint64_t seed) {
  std::vector<Sequence> sequences = Sequences(seed);
  for (uint64_t step = 0;; ++step) {
    Plan plan(sequences.size());
    int total = 0;
    for (const Sequence& s : sequences) total += Left(s);
    if (total == 0) return sequences;
    for (int i = 0; i < std::min(width, total);) {
      const size_t s =
          RandomBits(seed, step, static_cast<uint64_t>(i)) % sequences.size();
      // The first from s on that has a token left.
      for (size_t j = s; j < s + sequences.size(); ++j) {
        const size_t k = j % sequences.size();
        if (plan[k] < Left(sequences[k])) {
          ++plan[k], ++i;
          break;
        }
      }
    }
    Step(forward, sequences, plan);
  }
}

std::unique_ptr<Forward> Load(const TestModel& model, ThreadPool* pool,
                              KvType kv) {
  CpuOptions options;
  options.pool = pool;
  options.kv = kv;
  options.pages = kPages;
  options.columns_max = 128;
  auto forward = LoadCpuForward(model.file(), options);
  CHECK(forward);
  return *std::move(forward);
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "pangu-embedded"}) {
    for (const DType type :
         {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
      cases.push_back({architecture, type, KvType::kF16});
      cases.push_back({architecture, type, KvType::kQ8});
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

class DeterminismTest : public testing::TestWithParam<Case> {
 protected:
  // One sequence, one thread, one column a step, pages in order.
  void SetUp() override {
    ThreadPool pool(1);
    want_ = RunAlone(*Load(model_, &pool, GetParam().kv), 1, 0);
  }
  TestModel model_{Description(GetParam())};
  std::vector<Sequence> want_;
};
INSTANTIATE_TEST_SUITE_P(Models, DeterminismTest, testing::ValuesIn(AllCases()),
                         CaseName);

TEST_P(DeterminismTest, LogitsDoNotDependOnTheOtherColumns) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const auto forward = Load(model_, &pool, GetParam().kv);
    for (const int width : {1, 2, 3, 5, 8, 9, 17, 100}) {
      SCOPED_TRACE(std::to_string(width) + " columns, " +
                   std::to_string(threads) + " threads");
      const auto seed = static_cast<uint64_t>(width * 10 + threads);
      ExpectSame(RunMixed(*forward, width, seed), want_);
    }
  }
}

TEST_P(DeterminismTest, LogitsDoNotDependOnTheChunkOfThePrompt) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const auto forward = Load(model_, &pool, GetParam().kv);
    for (const int chunk : {1, 7, 32, 512}) {
      SCOPED_TRACE(std::to_string(chunk) + " a chunk, " +
                   std::to_string(threads) + " threads");
      ExpectSame(RunAlone(*forward, chunk, static_cast<uint64_t>(chunk)),
                 want_);
    }
  }
}

TEST_P(DeterminismTest, LogitsDoNotDependOnWhoElseAsksForTheirs) {
  ThreadPool pool(2);
  const auto forward = Load(model_, &pool, GetParam().kv);
  Sequence sequence = Sequences(3)[0];
  std::vector<Column> columns;
  Take(sequence, 70, &columns);
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i].logits = i % 5 == 2 || i == 69;
  }
  forward->Step(columns);
  int row = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].logits) continue;
    const auto got = forward->Logits(row++);
    ASSERT_TRUE(std::ranges::equal(got, want_[0].logits[i])) << i;
  }
  // A step that nobody asks of fills the pages all the same.
  columns.clear();
  sequence.done = 70;
  Take(sequence, 4, &columns);
  for (Column& c : columns) c.logits = false;
  forward->Step(columns);
  columns.clear();
  sequence.done = 74;
  Take(sequence, 1, &columns);
  forward->Step(columns);
  EXPECT_TRUE(std::ranges::equal(forward->Logits(0), want_[0].logits[74]));
}

// Past one span of attention, a lone column's context is shared by the threads.
TEST(DeterminismOfLongContextsTest, TheyMayBeSplitOverThreads) {
  for (const KvType kv : {KvType::kF16, KvType::kQ8}) {
    RandomModel description = Description({"llama", DType::kF32, kv});
    description.layers = 1;
    description.context = 1100;
    const TestModel model(description);
    std::vector<int32_t> pages(35);
    std::iota(pages.rbegin(), pages.rend(), 0);
    std::vector<std::vector<float>> want;
    for (const int threads : {1, 2, 3, 5}) {
      ThreadPool pool(threads);
      CpuOptions options;
      options.pool = &pool;
      options.kv = kv;
      options.pages = 35;
      auto forward = LoadCpuForward(model.file(), options);
      CHECK(forward);
      std::vector<std::vector<float>> got;
      for (int position = 0; position < 1030;) {
        // Single columns around the ends of the two spans.
        const bool alone = position % 512 > 505 || position >= 1020;
        const int end =
            alone
                ? position + 1
                : std::min({position + 101, 1020, position / 512 * 512 + 506});
        std::vector<Column> columns;
        for (; position < end; ++position) {
          columns.push_back({position * 7 % kVocabulary, position, pages,
                             position + 1 == end});
        }
        (*forward)->Step(columns);
        const auto logits = (*forward)->Logits(0);
        got.emplace_back(logits.begin(), logits.end());
      }
      if (threads == 1) want = got;
      EXPECT_TRUE(got == want) << threads << " threads";
    }
  }
}

// The engine interleaves two models at layer boundaries.
TEST_P(DeterminismTest, AStepMayBeInterruptedByAnotherModels) {
  ThreadPool pool(2);
  RandomModel other_description = Description(GetParam());
  other_description.seed = 6;
  other_description.layers = 3;
  const TestModel other_model(other_description);
  const auto forward = Load(model_, &pool, GetParam().kv);
  const auto other = Load(other_model, &pool, GetParam().kv);
  const auto other_want = RunAlone(*other, 64, 0);
  const std::vector<Sequence> sequences = Sequences(4);
  std::vector<Column> a, b;
  Take(sequences[0], 40, &a);
  Take(sequences[1], 33, &b);
  forward->Begin(a);
  other->Begin(b);
  EXPECT_FALSE(forward->Advance(0));
  bool a_done = false, b_done = false;
  while (!a_done || !b_done) {
    if (!a_done) a_done = forward->Advance(1);
    if (!b_done) b_done = other->Advance(1);
  }
  for (size_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(std::ranges::equal(forward->Logits(static_cast<int>(i)),
                                   want_[0].logits[i]));
  }
  for (size_t i = 0; i < 33; ++i) {
    ASSERT_TRUE(std::ranges::equal(other->Logits(static_cast<int>(i)),
                                   other_want[1].logits[i]));
  }
}

}  // namespace
}  // namespace aio::model
