// SPDX-License-Identifier: Apache-2.0
//
// What is written is what is read: File and Writer against each other, real
// files, and split ones.
#include "gguf/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "gguf/split.h"
#include "gguf/writer.h"
#include "tensor/block_formats.h"

namespace aio::gguf {
namespace {

namespace fs = std::filesystem;

std::vector<float> Ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) - 20;
  return values;
}

template <typename T>
const std::vector<T>& Items(const File& file, std::string_view key) {
  static const std::vector<T> none;
  const Value* value = file.Find(key);
  const auto* array = value ? std::get_if<Array>(value) : nullptr;
  const auto* items =
      array ? std::get_if<std::vector<T>>(&array->items) : nullptr;
  EXPECT_NE(items, nullptr) << key;
  return items ? *items : none;
}

template <typename T>
T Single(const File& file, std::string_view key) {
  const Value* value = file.Find(key);
  const T* item = value ? std::get_if<T>(value) : nullptr;
  EXPECT_NE(item, nullptr) << key;
  return item ? *item : T{};
}

TEST(GgufTest, EveryMetadataTypeSurvivesARoundTrip) {
  Writer writer;
  writer.Add("u8", uint8_t{255});
  writer.Add("i8", int8_t{-128});
  writer.Add("u16", uint16_t{65535});
  writer.Add("i16", int16_t{-32768});
  writer.Add("u32", uint32_t{4294967295});
  writer.Add("i32", int32_t{-2147483647});
  writer.Add("u64", std::numeric_limits<uint64_t>::max());
  writer.Add("i64", std::numeric_limits<int64_t>::min());
  writer.Add("f32", 0.1f);
  writer.Add("f64", 0.1);
  writer.Add("yes", true);
  writer.Add("no", false);
  writer.Add("text", "a\0b\xFFz");  // up to the zero
  writer.Add("empty", std::string());
  writer.Add("bytes", std::string("a\0\xFFz", 4));
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->metadata().size(), 15u);
  EXPECT_EQ(file->metadata()[0].key, "u8");  // the file's order
  EXPECT_EQ(Single<uint64_t>(*file, "u8"), 255u);
  EXPECT_EQ(Single<int64_t>(*file, "i8"), -128);
  EXPECT_EQ(Single<uint64_t>(*file, "u16"), 65535u);
  EXPECT_EQ(Single<int64_t>(*file, "i16"), -32768);
  EXPECT_EQ(Single<uint64_t>(*file, "u32"), 4294967295u);
  EXPECT_EQ(Single<int64_t>(*file, "i32"), -2147483647);
  EXPECT_EQ(Single<uint64_t>(*file, "u64"), UINT64_MAX);
  EXPECT_EQ(Single<int64_t>(*file, "i64"), INT64_MIN);
  EXPECT_EQ(Single<double>(*file, "f32"), double{0.1f});
  EXPECT_EQ(Single<double>(*file, "f64"), 0.1);
  EXPECT_TRUE(Single<bool>(*file, "yes"));
  EXPECT_FALSE(Single<bool>(*file, "no"));
  EXPECT_EQ(Single<std::string_view>(*file, "text"), "a");
  EXPECT_EQ(Single<std::string_view>(*file, "empty"), "");
  EXPECT_EQ(Single<std::string_view>(*file, "bytes"),
            std::string_view("a\0\xFFz", 4));
}

TEST(GgufTest, EveryArrayTypeSurvivesARoundTrip) {
  Writer writer;
  writer.Add("u8", std::vector<uint8_t>{1, 255});
  writer.Add("i8", std::vector<int8_t>{-1, 127});
  writer.Add("u16", std::vector<uint16_t>{1, 65535});
  writer.Add("i16", std::vector<int16_t>{-1, 32767});
  writer.Add("u32", std::vector<uint32_t>{1, 4294967295});
  writer.Add("i32", std::vector<int32_t>{-1, 2147483647});
  writer.Add("u64", std::vector<uint64_t>{1, UINT64_MAX});
  writer.Add("i64", std::vector<int64_t>{-1, INT64_MAX});
  writer.Add("f32", std::vector<float>{0.5f, -INFINITY});
  writer.Add("f64", std::vector<double>{0.1, 1e300});
  writer.Add("bool", std::vector<bool>{true, false, true});
  writer.Add("text", std::vector<std::string>{"▁a", "", "\xFF"});
  writer.Add("none", std::vector<std::string>{});
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes);
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(Items<uint64_t>(*file, "u8"), (std::vector<uint64_t>{1, 255}));
  EXPECT_EQ(Items<int64_t>(*file, "i8"), (std::vector<int64_t>{-1, 127}));
  EXPECT_EQ(Items<uint64_t>(*file, "u16")[1], 65535u);
  EXPECT_EQ(Items<int64_t>(*file, "i16")[1], 32767);
  EXPECT_EQ(Items<uint64_t>(*file, "u32")[1], 4294967295u);
  EXPECT_EQ(Items<int64_t>(*file, "i32")[0], -1);
  EXPECT_EQ(Items<uint64_t>(*file, "u64")[1], UINT64_MAX);
  EXPECT_EQ(Items<int64_t>(*file, "i64")[1], INT64_MAX);
  EXPECT_EQ(Items<double>(*file, "f32"), (std::vector<double>{0.5, -INFINITY}));
  EXPECT_EQ(Items<double>(*file, "f64")[1], 1e300);
  EXPECT_EQ(Items<bool>(*file, "bool"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(Items<std::string_view>(*file, "text"),
            (std::vector<std::string_view>{"▁a", "", "\xFF"}));
  EXPECT_EQ(std::get<Array>(*file->Find("none")).size(), 0u);
}

TEST(GgufTest, TensorsSurviveARoundTripInEachComputableType) {
  const auto values = Ramp(64);
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    Writer writer;
    writer.AddFloats("a", DType::kF32, {3}, std::span(values).first(3));
    writer.AddFloats("b", type, {32, 2}, values);
    const auto bytes = writer.Serialize();
    ASSERT_TRUE(bytes);
    const auto file = File::Parse(*bytes);
    ASSERT_TRUE(file) << file.error().message;
    const Tensor* tensor = file->FindTensor("b");
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->type, type);
    EXPECT_EQ(tensor->shape, (std::vector<int64_t>{32, 2}));
    EXPECT_EQ(tensor->elements(), 64);
    EXPECT_EQ((tensor->data.data() - bytes->data()) % 32, 0);
    std::vector<std::byte> expected(BytesFor(type, 64));
    EncodeRow(type, values, expected);
    ASSERT_EQ(tensor->data.size(), expected.size());
    EXPECT_EQ(
        std::memcmp(tensor->data.data(), expected.data(), expected.size()), 0);
  }
}

TEST(GgufTest, TypesWeCannotComputeOpenAndShowTheirBytes) {
  const std::vector<std::byte> data(2 * 144, std::byte{7});
  Writer writer;
  writer.AddTensor("k", DType::kQ4_K, {256, 2}, data);
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->tensors()[0].data.size(), data.size());
}

TEST(GgufTest, Version2AndOtherAlignmentsAreRead) {
  const auto values = Ramp(5);
  Writer writer(Writer::Options{.version = 2, .alignment = 256});
  writer.AddFloats("a", DType::kF32, {5}, values);
  writer.AddFloats("b", DType::kF32, {5}, values);
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes);
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 2u);
  EXPECT_EQ(file->Int("general.alignment").value(), 256);
  for (const Tensor& tensor : file->tensors()) {
    EXPECT_EQ((tensor.data.data() - bytes->data()) % 256, 0);
    EXPECT_EQ(std::memcmp(tensor.data.data(), values.data(), 20), 0);
  }
}

TEST(GgufTest, TypedAccessNamesTheKeyThatIsAbsentOrOfAnotherType) {
  Writer writer;
  writer.Add("int", uint32_t{5});
  writer.Add("huge", UINT64_MAX);
  writer.Add("float", 0.5f);
  writer.Add("nan", NAN);
  writer.Add("bool", true);
  writer.Add("text", "x");
  const auto bytes = writer.Serialize();
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->Int("int").value(), 5);
  EXPECT_EQ(file->Int("none", 7).value(), 7);
  EXPECT_EQ(file->Float("float").value(), 0.5);
  EXPECT_EQ(file->Float("none", 2.5).value(), 2.5);
  EXPECT_TRUE(file->Bool("bool", false).value());
  EXPECT_EQ(file->String("text").value(), "x");
  EXPECT_EQ(file->String("none", "y").value(), "y");
  const Error errors[] = {
      file->Int("none").error(),    file->Int("huge").error(),
      file->Int("float").error(),   file->Int("text", 1).error(),
      file->Float("int").error(),   file->Float("nan").error(),
      file->Float("none").error(),  file->Bool("int", true).error(),
      file->String("bool").error(), file->String("int", "z").error()};
  const char* keys[] = {"none", "huge", "float", "text", "int",
                        "nan",  "none", "int",   "bool", "int"};
  for (size_t i = 0; i < std::size(errors); ++i) {
    EXPECT_EQ(errors[i].code, ErrorCode::kCorrupt);
    EXPECT_NE(errors[i].message.find(keys[i]), std::string::npos)
        << errors[i].message;
  }
}

// Large enough that one thread makes it in several parts.
TEST(WriterTest, GeneratedTensorsAreTheSameWithAnyNumberOfThreads) {
  constexpr int64_t kRows = 40000;
  Writer writer;
  writer.AddFloats("before", DType::kF32, {64}, Ramp(64));
  writer.AddGenerated(
      "t", DType::kQ8_0, {64, kRows},
      [](int64_t first, std::span<std::byte> blocks) {
        for (size_t i = 0; i < blocks.size(); ++i) {
          const auto block = static_cast<uint64_t>(first) + i / 34;
          blocks[i] = static_cast<std::byte>(block * 7 + i % 34);
        }
      });
  writer.AddFloats("after", DType::kF32, {3}, Ramp(3));
  const auto bytes = writer.Serialize();
  ASSERT_TRUE(bytes);
  const auto size = writer.Bytes();
  ASSERT_TRUE(size);
  EXPECT_EQ(*size, static_cast<int64_t>(bytes->size()));
  const auto file = File::Parse(*bytes);
  ASSERT_TRUE(file) << file.error().message;
  const std::span<const std::byte> data = file->FindTensor("t")->data;
  for (size_t i = 0; i < data.size(); ++i) {
    ASSERT_EQ(data[i], static_cast<std::byte>(i / 34 * 7 + i % 34)) << i;
  }
  const std::string path = testing::TempDir() + "generated.gguf";
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    size_t wrote = 0;
    ASSERT_TRUE(writer.Write(
        path, {.pool = &pool, .wrote = [&](size_t n) { wrote += n; }}));
    EXPECT_EQ(wrote, bytes->size());
    const auto again = MappedFile::Open(path);
    ASSERT_TRUE(again);
    EXPECT_TRUE(std::ranges::equal(again->bytes(), *bytes));
  }
  std::remove(path.c_str());
}

TEST(WriterTest, RefusesWhatTheReaderWouldRefuse) {
  const auto values = Ramp(64);
  const auto fails = [](const Writer& writer, const char* words) {
    const auto bytes = writer.Serialize();
    ASSERT_FALSE(bytes) << words;
    EXPECT_EQ(bytes.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(bytes.error().message.find(words), std::string::npos)
        << bytes.error().message;
  };
  Writer twice;
  twice.Add("k", 1);
  twice.Add("k", 2);
  fails(twice, "'k' occurs twice");
  Writer twins;
  twins.AddFloats("t", DType::kF32, {64}, values);
  twins.AddFloats("t", DType::kF32, {64}, values);
  fails(twins, "'t' occurs twice");
  Writer size;
  size.AddFloats("t", DType::kF32, {63}, values);
  fails(size, "another size");
  Writer rows;
  rows.AddFloats("t", DType::kQ8_0, {16, 4}, values);
  fails(rows, "cannot have this shape");
  Writer shape;
  shape.AddFloats("t", DType::kF32, {64, INT64_MAX}, values);
  fails(shape, "cannot have this shape");
  Writer type;
  type.AddFloats("t", DType::kQ2_K, {256}, std::vector<float>(256));
  fails(type, "another size");
  Writer name;
  name.Add("a\nb", 1);
  fails(name, "not text");
  Writer alignment(Writer::Options{.alignment = 48});
  fails(alignment, "power of two");
  Writer key;
  key.Add("general.alignment", uint32_t{64});
  fails(key, "Options::alignment");
}

class GgufFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              ("aio-" + std::string(test->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  // A model in three parts with one tensor each; `change` may spoil a part.
  template <typename Change>
  void WriteSplit(Change change) {
    const auto values = Ramp(8);
    for (int part = 0; part < 3; ++part) {
      Writer writer;
      if (part == 0) writer.Add("general.architecture", "llama");
      SplitKeys keys{static_cast<uint16_t>(part), 3, 3, "t"};
      keys.tensor += std::to_string(part);
      change(part, &keys);
      writer.Add("split.no", keys.no);
      writer.Add("split.count", keys.count);
      writer.Add("split.tensors.count", keys.tensors);
      writer.AddFloats(keys.tensor, DType::kF32, {8}, values);
      const auto written = writer.Write(PartPath(part));
      ASSERT_TRUE(written) << written.error().message;
    }
  }
  struct SplitKeys {
    uint16_t no;
    uint16_t count;
    int32_t tensors;
    std::string tensor;
  };
  static void Unchanged(int, SplitKeys*) {}

  std::string PartPath(int part) const {
    return SplitName{Path("model"), 0, 3}.PathOf(part);
  }

  fs::path folder_;
};

TEST_F(GgufFileTest, WhatIsWrittenToDiskIsOpenedAndMapped) {
  Writer writer;
  writer.Add("general.architecture", "llama");
  writer.AddFloats("t", DType::kF32, {8}, Ramp(8));
  ASSERT_TRUE(writer.Write(Path("a.gguf")));
  const auto file = File::Open(Path("a.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  const File copy = *file;  // shares the mapping
  EXPECT_EQ(copy.path(), Path("a.gguf"));
  EXPECT_EQ(copy.file_bytes(),
            static_cast<int64_t>(fs::file_size(Path("a.gguf"))));
  EXPECT_EQ(copy.String("general.architecture").value(), "llama");
  EXPECT_EQ(copy.FindTensor("t")->data.size(), 32u);
  EXPECT_EQ(copy.FindTensor("u"), nullptr);
}

TEST_F(GgufFileTest, AFailedWriteLeavesNoFile) {
  Writer writer;
  writer.Add("k", 1);
  writer.Add("k", 2);
  EXPECT_FALSE(writer.Write(Path("a.gguf")));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(GgufFileTest, ErrorsNameTheFile) {
  std::ofstream(Path("a.gguf")) << "GGUF";
  const auto file = File::Open(Path("a.gguf"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(file.error().message.find("a.gguf"), std::string::npos);
  EXPECT_EQ(File::Open(Path("none")).error().code, ErrorCode::kNotFound);
}

TEST_F(GgufFileTest, SplitFilesOpenAsOneThroughAnyPart) {
  WriteSplit(Unchanged);
  for (int part = 0; part < 3; ++part) {
    const auto file = File::Open(PartPath(part));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->String("general.architecture").value(), "llama");
    EXPECT_EQ(file->tensors().size(), 3u);
    EXPECT_NE(file->FindTensor("t2"), nullptr);
    int64_t bytes = 0;
    for (int i = 0; i < 3; ++i) {
      bytes += static_cast<int64_t>(fs::file_size(PartPath(i)));
    }
    EXPECT_EQ(file->file_bytes(), bytes);
  }
}

TEST_F(GgufFileTest, AMissingPartIsNamed) {
  WriteSplit(Unchanged);
  fs::remove(PartPath(1));
  const auto file = File::Open(PartPath(0));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find("part 2 of 3"), std::string::npos);
  EXPECT_NE(file.error().message.find("00002-of-00003"), std::string::npos);
}

TEST_F(GgufFileTest, PartsThatDoNotBelongTogetherAreRefused) {
  const auto expect = [&](auto change, const char* words) {
    WriteSplit(change);
    const auto file = File::Open(PartPath(0));
    ASSERT_FALSE(file) << words;
    EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(file.error().message.find(words), std::string::npos)
        << file.error().message;
  };
  expect([](int part, SplitKeys* k) { k->no = part == 2 ? 1 : k->no; },
         "split.no");
  expect([](int part, SplitKeys* k) { k->count = part == 1 ? 4 : 3; },
         "split.count");
  expect([](int, SplitKeys* k) { k->tensors = 4; }, "split.tensors.count");
  expect([](int, SplitKeys* k) { k->tensor = "same"; }, "'same' occurs twice");
}

TEST_F(GgufFileTest, APartUnderAnotherNameIsRefusedAndSoIsOneAlone) {
  WriteSplit(Unchanged);
  fs::copy(PartPath(0), Path("renamed.gguf"));
  const auto file = File::Open(Path("renamed.gguf"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  Writer part;
  part.Add("split.count", uint16_t{2});
  const auto bytes = part.Serialize();
  EXPECT_EQ(File::Parse(*bytes).error().code, ErrorCode::kUnsupported);
}

TEST(SplitNameTest, OnlyTheExactShapeIsASplitName) {
  const auto name = ParseSplitName("a/b-00002-of-00010.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "a/b");
  EXPECT_EQ(name->index, 1);
  EXPECT_EQ(name->count, 10);
  EXPECT_EQ(name->PathOf(9), "a/b-00010-of-00010.gguf");
  for (const char* bad :
       {"b-00000-of-00010.gguf", "b-00011-of-00010.gguf", "b-1-of-2.gguf",
        "b-00001-of-00010.ggu", "b-0000x-of-00010.gguf", "b.gguf", "",
        "-00001-of-00002.gguf"}) {
    EXPECT_FALSE(ParseSplitName(bad)) << bad;
  }
}

TEST(RealFileTest, FilesMadeByOthersOpen) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  const auto file =
      File::Open(std::string(data) + "/tinymodel/llama-2-tiny-random.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 12u);
  EXPECT_EQ(file->String("general.architecture").value(), "llama");
  int vocabularies = 0;
  for (const auto& entry :
       fs::directory_iterator(std::string(data) + "/tokenizer")) {
    if (entry.path().extension() != ".gguf") continue;
    const auto vocabulary = File::Open(entry.path());
    ASSERT_TRUE(vocabulary) << vocabulary.error().message;
    EXPECT_GT(
        Items<std::string_view>(*vocabulary, "tokenizer.ggml.tokens").size(),
        30000u);
    ++vocabularies;
  }
  EXPECT_GT(vocabularies, 0);
}

}  // namespace
}  // namespace aio::gguf
