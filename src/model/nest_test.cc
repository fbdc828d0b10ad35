// SPDX-License-Identifier: Apache-2.0
//
// Models with nested weights: what each view computes, that a column depends on
// its own view only, and files that are not what they should be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "base/random.h"
#include "model/cpu_forward.h"
#include "model/test_model.h"
#include "tensor/block_formats.h"

namespace aio::model {
namespace {

constexpr int kVocabulary = 61;
constexpr int kPages = 12;

// Rows of whole super-blocks, or too short for that.
RandomModel Description(bool super_blocks) {
  RandomModel m;
  m.nest = true;
  m.seed = 5;
  m.vocabulary = kVocabulary;
  m.hidden = super_blocks ? 256 : 64;
  m.layers = 2;
  m.heads = super_blocks ? 8 : 4;
  m.kv_heads = 2;
  m.head_dim = super_blocks ? 32 : 16;
  m.feed_forward = super_blocks ? 512 : 96;
  m.context = 128;
  return m;
}

std::unique_ptr<Forward> Load(const gguf::File& file, ThreadPool* pool,
                              bool nest = false,
                              const TileOptions& tiles = {}) {
  CpuOptions options;
  options.pool = pool;
  options.pages = kPages;
  options.columns_max = 128;
  options.nest = nest;
  options.tiles = tiles;
  auto forward = LoadCpuForward(file, options);
  CHECK(forward);
  return *std::move(forward);
}

// A sequence of tokens of which the first `fine` take 8 bits and the rest 4.
struct Sequence {
  std::vector<int32_t> tokens, pages;
  int fine;
  int done = 0;
  std::vector<std::vector<float>> logits = {};

  int left() const { return static_cast<int>(tokens.size()) - done; }
  bool next_is_fine() const { return done < fine; }
};

std::vector<Sequence> Sequences() {
  constexpr int kLengths[] = {41, 35, 50}, kFine[] = {41, 0, 21};
  std::vector<Sequence> sequences;
  for (int s = 0; s < 3; ++s) {
    Sequence sequence = {{}, {}, kFine[s]};
    for (int i = 0; i < kLengths[s]; ++i) {
      sequence.tokens.push_back((i * 17 + s * 5) % kVocabulary);
    }
    for (int p = 0; p < 4; ++p) sequence.pages.push_back(4 * s + p);
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

// A step of up to `width` columns of each view, those of 8 bits first, and
// whose they are. A sequence goes on with another view in the next step.
std::vector<Column> NextStep(std::vector<Sequence>& sequences, int width,
                             uint64_t seed, std::vector<size_t>* owners) {
  std::vector<bool> is_fine;
  for (const Sequence& q : sequences) is_fine.push_back(q.next_is_fine());
  std::vector<Column> columns;
  for (const bool fine : {true, false}) {
    int most = width;
    for (size_t s = 0; s < sequences.size(); ++s) {
      Sequence& q = sequences[s];
      if (is_fine[s] != fine) continue;
      const int left = fine ? q.fine - q.done : q.left();
      const auto wanted = static_cast<int>(RandomBits(seed, s, 0) % 7) + 1;
      const int count = std::min({left, most, wanted});
      most -= count;
      for (int i = 0; i < count; ++i, ++q.done) {
        columns.push_back({q.tokens[static_cast<size_t>(q.done)], q.done,
                           q.pages, true, static_cast<uint8_t>(fine ? 8 : 4)});
        owners->push_back(s);
      }
    }
  }
  return columns;
}

std::vector<Sequence> RunMixed(Forward& forward, int width, uint64_t seed) {
  std::vector<Sequence> sequences = Sequences();
  for (;; ++seed) {
    std::vector<size_t> owners;
    const auto columns = NextStep(sequences, width, seed, &owners);
    if (columns.empty()) return sequences;
    forward.Step(columns);
    for (size_t i = 0; i < owners.size(); ++i) {
      const auto logits = forward.Logits(static_cast<int>(i));
      sequences[owners[i]].logits.emplace_back(logits.begin(), logits.end());
    }
  }
}

// Each sequence alone, one column a step.
std::vector<Sequence> RunAlone(Forward& forward) {
  std::vector<Sequence> sequences = Sequences();
  for (Sequence& q : sequences) {
    for (; q.left() > 0; ++q.done) {
      const std::vector<Column> columns = {
          {q.tokens[static_cast<size_t>(q.done)], q.done, q.pages, true,
           static_cast<uint8_t>(q.next_is_fine() ? 8 : 4)}};
      forward.Step(columns);
      const auto logits = forward.Logits(0);
      q.logits.emplace_back(logits.begin(), logits.end());
    }
  }
  return sequences;
}

TEST(NestDeterminismTest, LogitsDependOnOnesOwnViewsOnly) {
  for (const bool super_blocks : {true, false}) {
    const TestModel model(Description(super_blocks));
    ThreadPool one(1);
    const auto want = RunAlone(*Load(model.file(), &one));
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      const auto forward = Load(model.file(), &pool);
      ASSERT_TRUE(forward->nested());
      for (const int width : {1, 2, 5, 8, 9, 30}) {
        SCOPED_TRACE(std::to_string(width) + " columns, " +
                     std::to_string(threads) + " threads");
        ExpectSame(RunMixed(*forward, width, static_cast<uint64_t>(width)),
                   want);
      }
    }
  }
}

// The logits of 20 tokens in steps of 5, all of one view.
std::vector<float> LogitsOf(Forward& forward, uint8_t bits) {
  const std::vector<int32_t> pages = {3};
  std::vector<float> all;
  for (int position = 0; position < 20;) {
    std::vector<Column> columns;
    for (int i = 0; i < 5; ++i, ++position) {
      columns.push_back(
          {position * 7 % kVocabulary, position, pages, true, bits});
    }
    forward.Step(columns);
    for (int i = 0; i < 5; ++i) {
      const auto logits = forward.Logits(i);
      all.insert(all.end(), logits.begin(), logits.end());
    }
  }
  return all;
}

double Difference(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squares += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  }
  return std::sqrt(squares / static_cast<double>(a.size()));
}

// The tensors of a file, as a test wants them.
using Change = std::function<void(std::string* name, DType* type,
                                  std::vector<int64_t>* shape)>;

// A copy of `file`; tensors whose name becomes empty are left out, and so is
// the key of nesting if `version` is 0.
gguf::Writer CopyOf(const gguf::File& file, uint32_t version,
                    const Change& change) {
  gguf::Writer writer;
  for (const gguf::Entry& entry : file.metadata()) {
    const std::string key(entry.key);
    if (key == kNestKey) continue;
    if (const auto* n = std::get_if<uint64_t>(&entry.value)) {
      writer.Add(key, static_cast<uint32_t>(*n));
    } else if (const auto* x = std::get_if<double>(&entry.value)) {
      writer.Add(key, static_cast<float>(*x));
    } else {
      writer.Add(key, std::string(std::get<std::string_view>(entry.value)));
    }
  }
  if (version != 0) writer.Add(kNestKey, version);
  for (const gguf::Tensor& tensor : file.tensors()) {
    std::string name(tensor.name);
    DType type = tensor.type;
    std::vector<int64_t> shape = tensor.shape;
    change(&name, &type, &shape);
    if (name.empty()) continue;
    int64_t elements = 1;
    for (const int64_t n : shape) elements *= n;
    writer.AddTensor(name, type, shape,
                     tensor.data.first(BytesFor(type, elements)));
  }
  return writer;
}

TEST(NestForwardTest, FourBitsAreTheQ4_KModelToTheBit) {
  const TestModel nested(Description(true));
  const gguf::File file = nested.file();
  const TestModel plain(CopyOf(file, 0, [](auto* name, auto*, auto*) {
    if (name->ends_with(kNestSuffix)) name->clear();
  }));
  ThreadPool pool(2);
  const auto forward = Load(plain.file(), &pool);
  EXPECT_FALSE(forward->nested());
  EXPECT_EQ(LogitsOf(*Load(file, &pool), 4), LogitsOf(*forward, 8));
  // Whatever the columns of other weights say.
  EXPECT_EQ(LogitsOf(*forward, 4), LogitsOf(*forward, 8));
}

TEST(NestForwardTest, EightBitsOfQ8_0AreTheQ8_0ModelToTheBit) {
  for (const bool super_blocks : {true, false}) {
    RandomModel description = Description(super_blocks);
    description.nest = false;
    description.type = DType::kQ8_0;
    for (const bool tied : {false, true}) {
      description.tied = tied;
      const TestModel model(description);
      ThreadPool pool(2);
      const auto plain = Load(model.file(), &pool);
      const auto nested = Load(model.file(), &pool, true);
      EXPECT_TRUE(nested->nested());
      EXPECT_EQ(LogitsOf(*nested, 8), LogitsOf(*plain, 8));
      EXPECT_NE(LogitsOf(*nested, 4), LogitsOf(*plain, 8));
    }
  }
}

TEST(NestForwardTest, NumbersAreNestedAtLoad) {
  RandomModel description = Description(true);
  description.nest = false;
  description.type = DType::kF32;
  const TestModel exact(description);
  ThreadPool pool(2);
  const auto want = LogitsOf(*Load(exact.file(), &pool), 8);
  const auto nested = Load(exact.file(), &pool, true);
  const double fine = Difference(LogitsOf(*nested, 8), want);
  const double coarse = Difference(LogitsOf(*nested, 4), want);
  EXPECT_LT(fine, 0.03);
  EXPECT_GT(fine, 0);
  EXPECT_LT(coarse, 0.4);
  EXPECT_GT(coarse, 5 * fine);
}

TEST(NestForwardTest, BytesAreThoseOfThePlanesThatAreRead) {
  const TestModel model(Description(true));
  ThreadPool pool(1);
  const auto forward = Load(model.file(), &pool);
  constexpr int64_t kHidden = 256, kKv = 64, kFeedForward = 512;
  constexpr int64_t kLayer =
      2 * kHidden * kHidden + 2 * kHidden * kKv + 3 * kHidden * kFeedForward;
  // The output's 61 rows are 4 tiles.
  constexpr int64_t kWeights = 2 * kLayer + 64 * kHidden;
  constexpr int64_t kVectors = 5 * kHidden * 4;
  EXPECT_EQ(forward->weight_bytes(), kWeights * 17 / 16 + kVectors);
  EXPECT_EQ(forward->coarse_weight_bytes(), kWeights * 9 / 16 + kVectors);
}

TEST(NestForwardDeathTest, EightBitsStandFirst) {
  const TestModel model(Description(false));
  ThreadPool pool(1);
  const auto forward = Load(model.file(), &pool);
  const std::vector<int32_t> a = {0}, b = {1};
  const std::vector<Column> wrong = {{1, 0, a, true, 4}, {1, 0, b, true, 8}};
  EXPECT_DEATH(forward->Begin(wrong), "");
}

// A block whose scale is lost sends its tensor to k8, which a cache of tiles
// remembers.
TEST(NestForwardTest, WhatKDoesNotServeBecomesHalvesOfQ8_0) {
  RandomModel description = Description(true);
  description.nest = false;
  description.type = DType::kF32;
  const TestModel sound(description);
  std::vector<float> values;
  gguf::Writer writer = CopyOf(sound.file(), 0, [](auto* name, auto*, auto*) {
    if (*name == "blk.1.ffn_up.weight") name->clear();
  });
  const gguf::File sound_file = sound.file();
  const gguf::Tensor* up = sound_file.FindTensor("blk.1.ffn_up.weight");
  values.resize(static_cast<size_t>(up->elements()));
  std::memcpy(values.data(), up->data.data(), up->data.size());
  for (size_t i = 64; i < 96; ++i) values[i] *= 1e-3f;
  writer.AddFloats("blk.1.ffn_up.weight", DType::kF32, up->shape, values);
  const std::string folder = testing::TempDir() + "nest_test_cache";
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/m.gguf";
  ASSERT_TRUE(writer.Write(path));
  auto file = gguf::File::Open(path);
  ASSERT_TRUE(file);
  ThreadPool pool(2);
  TileReport report;
  const TileOptions cache = {{}, path + ".tiles", &report};
  const auto packed = Load(*file, &pool, true, cache);
  ASSERT_TRUE(report.kept);
  const auto read = Load(*file, &pool, true, cache);
  ASSERT_TRUE(report.from_cache);
  for (const uint8_t bits : {uint8_t{4}, uint8_t{8}}) {
    EXPECT_EQ(LogitsOf(*read, bits), LogitsOf(*packed, bits));
  }
  const auto want = LogitsOf(*Load(*file, &pool), 8);
  EXPECT_LT(Difference(LogitsOf(*packed, 8), want), 0.03);
  // Another kind of the same file is another model.
  const auto plain = Load(*file, &pool, false, cache);
  EXPECT_FALSE(report.from_cache);
  EXPECT_EQ(LogitsOf(*plain, 8), want);
  std::filesystem::remove_all(folder);
}

TEST(NestForwardTest, AFileThatIsNotRightIsRefusedByName) {
  const TestModel model(Description(true));
  const auto error = [&](uint32_t version, const Change& change) {
    const TestModel changed(CopyOf(model.file(), version, change));
    ThreadPool pool(1);
    CpuOptions options;
    options.pool = &pool;
    const auto forward = LoadCpuForward(changed.file(), options);
    return forward ? "" : forward.error().message;
  };
  const auto none = [](auto*, auto*, auto*) {};
  EXPECT_EQ(error(1, none), "");
  EXPECT_EQ(error(2, none), "aio.nest.version is 2; this build reads 1");
  EXPECT_NE(error(0, none).find(".nest has no place"), std::string::npos);
  const std::string name = "blk.0.ffn_down.weight";
  const std::string fine = name + ".nest";
  EXPECT_EQ(error(1,
                  [&](auto* n, auto*, auto* shape) {
                    if (*n == fine) *shape = {255, 256};
                  }),
            "tensor " + fine +
                " is [255, 256]; by the metadata it must be [256, 256]");
  EXPECT_EQ(error(1,
                  [&](auto* n, auto* type, auto* shape) {
                    if (*n != fine) return;
                    *type = DType::kQ8_0;
                    *shape = {256, 256 / 2};
                  }),
            "tensor " + fine +
                " is [256, 128]; by the metadata it must be [256, 256]");
  EXPECT_EQ(error(1,
                  [&](auto* n, auto* type, auto*) {
                    if (*n == fine) *type = DType::kQ4_0;
                  }),
            "tensor " + fine + " is Q4_0, not I8 with half a byte a weight");
  EXPECT_EQ(error(1,
                  [&](auto* n, auto* type, auto*) {
                    if (*n == name) *type = DType::kIQ4_XS;
                  }),
            "tensor " + name + " has type IQ4_XS: not implemented");
  EXPECT_EQ(error(1,
                  [&](auto* n, auto* type, auto*) {
                    if (*n == name) *type = DType::kQ4_0;
                  }),
            "tensor " + name + " has residuals but is Q4_0, not Q4_K");
}

}  // namespace
}  // namespace aio::model
