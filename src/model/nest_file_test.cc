// SPDX-License-Identifier: Apache-2.0
#include "model/nest_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "model/cpu_forward.h"
#include "model/test_model.h"
#include "model/weights.h"
#include "tensor/block_formats.h"

namespace aio::model {
namespace {

RandomModel Description(DType type) {
  RandomModel m;
  m.type = type;
  m.vocabulary = 61;
  m.hidden = 256;
  m.layers = 1;
  m.heads = 8;
  m.kv_heads = 2;
  m.head_dim = 32;
  m.feed_forward = 544;  // rows of ffn_down are no multiple of 256
  m.context = 64;
  return m;
}

const auto kQuiet = [](int64_t, int64_t) {};

std::vector<std::byte> NestedBytes(const gguf::File& file, ThreadPool* pool) {
  auto made = NestedFile::Make(file, pool, kQuiet);
  CHECK(made);
  auto bytes = made->writer().Serialize();
  CHECK(bytes);
  return *std::move(bytes);
}

std::vector<float> LogitsOf(const gguf::File& file, bool nest, uint8_t bits) {
  ThreadPool pool(2);
  CpuOptions options;
  options.pool = &pool;
  options.nest = nest;
  auto forward = LoadCpuForward(file, options);
  CHECK(forward);
  const std::vector<int32_t> pages = {0};
  const std::vector<Column> columns = {{7, 0, pages, false, bits},
                                       {9, 1, pages, true, bits}};
  (*forward)->Step(columns);
  const auto logits = (*forward)->Logits(0);
  return {logits.begin(), logits.end()};
}

// The embedding apart: a file has it in Q8_0, a load leaves it as it is.
gguf::Writer WithRoundedEmbedding(const gguf::File& file) {
  gguf::Writer writer;
  for (const gguf::Entry& entry : file.metadata()) {
    writer.Add(std::string(entry.key), gguf::ItemOf(entry.value));
  }
  for (const gguf::Tensor& t : file.tensors()) {
    std::vector<float> values(static_cast<size_t>(t.elements()));
    DecodeRow(t.type, t.data, values);
    const bool embedding = t.name == "token_embd.weight";
    writer.AddFloats(std::string(t.name), embedding ? DType::kQ8_0 : t.type,
                     t.shape, values);
  }
  return writer;
}

TEST(NestFileTest, AFileComputesWhatNestingAtLoadDoes) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TestModel source(Description(type));
    const TestModel model(WithRoundedEmbedding(source.file()));
    ThreadPool pool(3);
    const auto bytes = NestedBytes(model.file(), &pool);
    const auto file = gguf::File::Parse(bytes);
    ASSERT_TRUE(file);
    for (const uint8_t bits : {uint8_t{4}, uint8_t{8}}) {
      EXPECT_EQ(LogitsOf(*file, false, bits),
                LogitsOf(model.file(), true, bits));
    }
  }
}

// A file's output apart from its embedding is the same as the embedding nested
// at load, of which rows are read as they are.
TEST(NestFileTest, ATiedOutputBecomesATensorOfItsOwn) {
  RandomModel description = Description(DType::kF32);
  description.tied = true;
  const TestModel model(description);
  ThreadPool pool(2);
  const auto bytes = NestedBytes(model.file(), &pool);
  const auto file = gguf::File::Parse(bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->FindTensor("token_embd.weight")->type, DType::kQ8_0);
  EXPECT_EQ(file->FindTensor("output.weight")->type, DType::kQ4_K);
  EXPECT_EQ(file->FindTensor("output.weight.nest")->type, DType::kI8);
  const auto made = LogitsOf(*file, false, 8);
  const auto want = LogitsOf(model.file(), false, 8);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(made[i], want[i], 0.2);
}

TEST(NestFileTest, Q8_0StaysAsItIs) {
  for (const bool tied : {false, true}) {
    RandomModel description = Description(DType::kQ8_0);
    description.tied = tied;
    const TestModel model(description);
    const gguf::File source = model.file();
    ThreadPool pool(1);
    const auto bytes = NestedBytes(source, &pool);
    const auto file = gguf::File::Parse(bytes);
    ASSERT_TRUE(file);
    ASSERT_EQ(file->tensors().size(), source.tensors().size());
    for (const gguf::Tensor& t : source.tensors()) {
      const gguf::Tensor* copy = file->FindTensor(t.name);
      ASSERT_NE(copy, nullptr);
      EXPECT_TRUE(std::ranges::equal(copy->data, t.data)) << t.name;
    }
    EXPECT_EQ(LogitsOf(*file, false, 8), LogitsOf(source, false, 8));
  }
}

TEST(NestFileTest, TheBytesAreTheSameWithAnyNumberOfThreads) {
  const TestModel model(Description(DType::kF16));
  const gguf::File source = model.file();
  ThreadPool one(1), three(3);
  const auto made = NestedFile::Make(source, &three, kQuiet);
  ASSERT_TRUE(made);
  const std::string path = testing::TempDir() + "nested.gguf";
  ASSERT_TRUE(made->writer().Write(path, {.pool = &three}));
  const auto file = gguf::File::Open(path);
  ASSERT_TRUE(file);
  const auto bytes = NestedBytes(source, &one);
  const auto want = gguf::File::Parse(bytes);
  ASSERT_EQ(file->tensors().size(), want->tensors().size());
  for (const gguf::Tensor& t : want->tensors()) {
    EXPECT_TRUE(std::ranges::equal(t.data, file->FindTensor(t.name)->data))
        << t.name;
  }
  std::remove(path.c_str());
}

TEST(NestFileTest, SaysWhatBecameOfEachMatrix) {
  const TestModel model(Description(DType::kF32));
  const gguf::File source = model.file();
  // A block of attn_q whose scale is lost beside others.
  std::vector<float> values(256 * 256);
  gguf::Writer writer;
  for (const gguf::Entry& entry : source.metadata()) {
    writer.Add(std::string(entry.key), gguf::ItemOf(entry.value));
  }
  for (const gguf::Tensor& t : source.tensors()) {
    if (t.name != "blk.0.attn_q.weight") {
      writer.AddTensor(std::string(t.name), t.type, t.shape, t.data);
      continue;
    }
    std::memcpy(values.data(), t.data.data(), t.data.size());
    for (size_t i = 32; i < 64; ++i) values[i] *= 1e-3f;
    writer.AddFloats(std::string(t.name), t.type, t.shape, values);
  }
  const TestModel changed(writer);
  ThreadPool pool(2);
  const auto made = NestedFile::Make(changed.file(), &pool, kQuiet);
  ASSERT_TRUE(made);
  ASSERT_EQ(made->tensors().size(), 8u);
  for (const NestedTensor& t : made->tensors()) {
    const bool lost = t.name == "blk.0.attn_q.weight";
    const bool short_rows = t.name == "blk.0.ffn_down.weight";
    EXPECT_EQ(t.nest, lost || short_rows ? Nest::k8 : Nest::kK) << t.name;
    EXPECT_EQ(t.tried, !short_rows) << t.name;
    EXPECT_EQ(t.loss.lost, lost ? 1 : 0) << t.name;
  }
}

TEST(NestFileTest, WhatCannotBeNestedIsRefused) {
  ThreadPool pool(1);
  const TestModel four(Description(DType::kQ4_0));
  auto made = NestedFile::Make(four.file(), &pool, kQuiet);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(made.error().message.find("can be nested"), std::string::npos);
  RandomModel description = Description(DType::kF32);
  description.nest = true;
  const TestModel nested(description);
  made = NestedFile::Make(nested.file(), &pool, kQuiet);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("is nested already"), std::string::npos);
}

TEST(NestFileTest, ANumberThatIsNotFiniteIsRefusedByName) {
  const TestModel model(Description(DType::kF32));
  const gguf::File source = model.file();
  for (const char* name :
       {"token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"}) {
    gguf::Writer writer;
    for (const gguf::Entry& entry : source.metadata()) {
      writer.Add(std::string(entry.key), gguf::ItemOf(entry.value));
    }
    std::vector<std::byte> bad;
    for (const gguf::Tensor& t : source.tensors()) {
      std::span<const std::byte> data = t.data;
      if (t.name == name) {
        bad.assign(data.begin(), data.end());
        bad[4003] = std::byte{0x7F};
        bad[4002] = std::byte{0xC0};
        data = bad;
      }
      writer.AddTensor(std::string(t.name), t.type, t.shape, data);
    }
    const TestModel changed(writer);
    ThreadPool pool(2);
    const auto made = NestedFile::Make(changed.file(), &pool, kQuiet);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(made.error().message.find(name), std::string::npos);
  }
}

}  // namespace
}  // namespace aio::model
