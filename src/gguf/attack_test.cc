// SPDX-License-Identifier: Apache-2.0
//
// Truncated, flipped and lying files: each is an error, none is a crash. Run
// under -fsanitize=address,undefined these tests also prove that nothing
// outside the bytes is read.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "base/random.h"
#include "gguf/gguf.h"
#include "gguf/parse.h"
#include "gguf/writer.h"

namespace aio::gguf {
namespace {

// Writes what a Writer would refuse to.
class Raw {
 public:
  Raw(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    bytes_ = "GGUF";
    Put(version).Put(tensors).Put(keys);
  }
  template <typename T>
  Raw& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Raw& Text(std::string_view text) {
    Put(uint64_t{text.size()});
    bytes_.append(text);
    return *this;
  }
  Raw& Key(std::string_view key, ValueType type) { return Text(key).Put(type); }
  Raw& TensorRow(std::string_view name, std::vector<uint64_t> shape, DType type,
                 uint64_t offset) {
    Text(name).Put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t size : shape) Put(size);
    return Put(type).Put(offset);
  }
  Raw& Align(size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(0);
    return *this;
  }
  Raw& Zeros(size_t count) {
    bytes_.append(count, 0);
    return *this;
  }
  Result<File> Parse() const {
    return File::Parse(std::as_bytes(std::span(bytes_)));
  }

 private:
  std::string bytes_;
};

void ExpectError(const Raw& raw, ErrorCode code, const char* words) {
  const auto file = raw.Parse();
  ASSERT_FALSE(file) << words;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_NE(file.error().message.find(words), std::string::npos)
      << file.error().message;
}
void ExpectCorrupt(const Raw& raw, const char* words) {
  ExpectError(raw, ErrorCode::kCorrupt, words);
}

// A file with some of everything, which ends exactly where its last tensor
// does.
std::vector<std::byte> SmallFile() {
  Writer writer;
  writer.Add("general.architecture", "llama");
  writer.Add("n", uint32_t{5});
  writer.Add("f", 0.5f);
  writer.Add("b", true);
  writer.Add("strings", std::vector<std::string>{"a", "bc", ""});
  writer.Add("floats", std::vector<float>{1, 2, 3});
  writer.Add("bools", std::vector<bool>{true, false});
  const std::vector<float> values(64, 1.5f);
  writer.AddFloats("q", DType::kQ8_0, {32, 2}, values);
  writer.AddFloats("t", DType::kF32, {8, 2}, std::span(values).first(16));
  return writer.Serialize().value();
}

// A heap copy of exactly this size, so that a sanitizer sees any step over
// the end.
Result<File> ParseCopy(std::span<const std::byte> bytes,
                       std::unique_ptr<std::byte[]>* memory) {
  *memory = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), memory->get());
  return File::Parse({memory->get(), bytes.size()});
}

// Reads all that a File offers.
uint64_t Touch(const File& file) {
  uint64_t sum = 0;
  for (const Entry& entry : file.metadata()) {
    sum += entry.key.size();
    if (const auto* text = std::get_if<std::string_view>(&entry.value)) {
      for (const char c : *text) sum += static_cast<uint8_t>(c);
    }
    if (const auto* array = std::get_if<Array>(&entry.value)) {
      const auto* strings =
          std::get_if<std::vector<std::string_view>>(&array->items);
      if (strings == nullptr) continue;
      for (const auto text : *strings) {
        for (const char c : text) sum += static_cast<uint8_t>(c);
      }
    }
  }
  for (const Tensor& tensor : file.tensors()) {
    EXPECT_EQ(file.FindTensor(tensor.name), &tensor);
    for (const std::byte b : tensor.data) sum += static_cast<uint64_t>(b);
  }
  return sum;
}

TEST(GgufAttackTest, EveryTruncationIsAnError) {
  const auto bytes = SmallFile();
  std::unique_ptr<std::byte[]> memory;
  ASSERT_TRUE(ParseCopy(bytes, &memory));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto file = ParseCopy(std::span(bytes).first(size), &memory);
    ASSERT_FALSE(file) << size;
    ASSERT_EQ(file.error().code, ErrorCode::kCorrupt) << size;
  }
}

TEST(GgufAttackTest, FlippedBitsNeverCrashAndNeverLeaveTheBytes) {
  const auto bytes = SmallFile();
  std::unique_ptr<std::byte[]> memory;
  uint64_t sum = 0;
  int opened = 0;
  constexpr int kRounds = 20000;
  for (uint64_t round = 0; round < kRounds; ++round) {
    auto flipped = bytes;
    const uint64_t flips = 1 + RandomBits(1, round, 0) % 4;
    for (uint64_t i = 1; i <= flips; ++i) {
      const uint64_t bit = RandomBits(1, round, i) % (flipped.size() * 8);
      flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    const auto file = ParseCopy(flipped, &memory);
    if (!file) continue;
    ++opened;
    sum += Touch(*file);
  }
  // Some flips are only in values and do no harm; some must be noticed.
  EXPECT_GT(opened, kRounds / 100);
  EXPECT_LT(opened, kRounds);
  EXPECT_NE(sum, 0u);
}

TEST(GgufAttackTest, EveryFieldSetToExtremesNeverCrashes) {
  const auto bytes = SmallFile();
  std::unique_ptr<std::byte[]> memory;
  const uint64_t extremes[] = {0,          1,          UINT64_MAX,
                               INT64_MAX,  1ull << 63, 1ull << 32,
                               UINT32_MAX, 1ull << 61, UINT64_MAX - 31};
  for (size_t at = 0; at + 8 <= bytes.size(); ++at) {
    for (const uint64_t value : extremes) {
      auto changed = bytes;
      std::memcpy(&changed[at], &value, sizeof(value));
      const auto file = ParseCopy(changed, &memory);
      if (file) Touch(*file);
    }
  }
}

TEST(GgufAttackTest, WrongMagicAndOtherVersionsSaySo) {
  std::string other = "ggml0000000000000000000000";
  const auto file = File::Parse(std::as_bytes(std::span(other)));
  EXPECT_NE(file.error().message.find("not a GGUF file"), std::string::npos);
  ExpectError(Raw(0, 0, 1), ErrorCode::kUnsupported, "GGUF version 1");
  ExpectError(Raw(0, 0, 4), ErrorCode::kUnsupported, "GGUF version 4");
  ExpectError(Raw(0, 0, 0x03000000), ErrorCode::kUnsupported, "big-endian");
  EXPECT_TRUE(Raw(0, 0).Parse());
}

TEST(GgufAttackTest, CountsThatCannotFitAreRefusedBeforeAllocating) {
  for (const uint64_t count : {uint64_t{2}, uint64_t{1} << 40, UINT64_MAX}) {
    ExpectCorrupt(Raw(0, count), "metadata count");
    ExpectCorrupt(Raw(count, 0), "tensor count");
    ExpectCorrupt(
        Raw(0, 1).Key("k", ValueType::kArray).Put(ValueType::kU8).Put(count),
        "does not fit");
  }
  // Fits by bytes, but not by 8 of them for each string's length.
  ExpectCorrupt(Raw(0, 1)
                    .Key("k", ValueType::kArray)
                    .Put(ValueType::kString)
                    .Put(uint64_t{100})
                    .Zeros(799),
                "does not fit");
  ExpectCorrupt(Raw(0, 1)
                    .Key("k", ValueType::kArray)
                    .Put(ValueType::kF64)
                    .Put(uint64_t{100})
                    .Zeros(799),
                "ends inside");
}

TEST(GgufAttackTest, ArraysBeyondTheLimitAreRefusedHoweverManyTheyAre) {
  Raw raw(0, 2);
  for (const char* key : {"a", "b"}) {
    raw.Key(key, ValueType::kArray)
        .Put(ValueType::kU8)
        .Put(uint64_t{kMaxArrayItems / 2 + 1})
        .Zeros(kMaxArrayItems / 2 + 1);
  }
  ExpectError(raw, ErrorCode::kUnsupported, "array items");
}

TEST(GgufAttackTest, StringLengthsBeyondTheFileAreRefused) {
  for (const uint64_t length :
       {uint64_t{15}, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 31}) {
    ExpectCorrupt(Raw(0, 1).Put(length).Zeros(14), "ends inside");
    ExpectCorrupt(Raw(0, 1).Key("k", ValueType::kString).Put(length).Zeros(8),
                  "ends inside");
  }
}

TEST(GgufAttackTest, NestedArraysAndUnknownTypesAreRefused) {
  ExpectError(Raw(0, 1)
                  .Key("k", ValueType::kArray)
                  .Put(ValueType::kArray)
                  .Put(uint64_t{1})
                  .Put(ValueType::kU8)
                  .Put(uint64_t{0}),
              ErrorCode::kUnsupported, "array of arrays");
  ExpectCorrupt(Raw(0, 1).Key("k", ValueType{13}).Zeros(8), "value type 13");
  ExpectCorrupt(Raw(0, 1)
                    .Key("k", ValueType::kArray)
                    .Put(ValueType{99})
                    .Put(uint64_t{1})
                    .Zeros(8),
                "value type 99");
}

TEST(GgufAttackTest, BooleansAreZeroOrOne) {
  ExpectCorrupt(Raw(0, 1).Key("k", ValueType::kBool).Put(uint8_t{2}),
                "neither 0 nor 1");
  ExpectCorrupt(Raw(0, 1)
                    .Key("k", ValueType::kArray)
                    .Put(ValueType::kBool)
                    .Put(uint64_t{2})
                    .Put(uint16_t{0x0201}),
                "neither 0 nor 1");
}

TEST(GgufAttackTest, NamesAreBoundedAndPrintable) {
  const auto key = [](std::string_view name) {
    return Raw(0, 1).Key(name, ValueType::kU32).Put(uint32_t{1});
  };
  ExpectCorrupt(key(""), "empty");
  ExpectCorrupt(key("a\x1B[2J"), "not text");
  ExpectCorrupt(key("\xC2\x9B"
                    "2J"),
                "not text");  // the same in one character
  ExpectCorrupt(key("\xFF\xFE"), "not text");
  ExpectCorrupt(key(std::string(kMaxKeyBytes + 1, 'a')), "longer than");
  EXPECT_TRUE(key(std::string(kMaxKeyBytes, 'a')).Parse());
  const auto tensor = [](std::string_view name) {
    return Raw(1, 0).TensorRow(name, {8}, DType::kF32, 0).Align().Zeros(32);
  };
  ExpectCorrupt(tensor(""), "empty");
  ExpectCorrupt(tensor(std::string(kMaxTensorNameBytes + 1, 'a')),
                "longer than");
  EXPECT_TRUE(tensor(std::string(kMaxTensorNameBytes, 'a')).Parse());
}

TEST(GgufAttackTest, NamesThatOccurTwiceAreRefused) {
  ExpectCorrupt(Raw(0, 3)
                    .Key("k", ValueType::kU8)
                    .Put(uint8_t{1})
                    .Key("l", ValueType::kU8)
                    .Put(uint8_t{1})
                    .Key("k", ValueType::kU8)
                    .Put(uint8_t{2}),
                "'k' occurs twice");
  ExpectCorrupt(Raw(2, 0)
                    .TensorRow("t", {8}, DType::kF32, 0)
                    .TensorRow("t", {8}, DType::kF32, 32)
                    .Align()
                    .Zeros(64),
                "'t' occurs twice");
}

TEST(GgufAttackTest, ImpossibleShapesAreRefused) {
  const auto shaped = [](std::vector<uint64_t> shape,
                         DType type = DType::kF32) {
    return Raw(1, 0).TensorRow("t", shape, type, 0).Align().Zeros(4096);
  };
  ExpectCorrupt(shaped({}), "0 dimensions");
  ExpectCorrupt(shaped({1, 1, 1, 1, 1}), "5 dimensions");
  ExpectCorrupt(shaped({0}), "dimension below 1");
  ExpectCorrupt(shaped({8, UINT64_MAX}), "dimension below 1");
  ExpectCorrupt(shaped({1ull << 32, 1ull << 32}), "too many elements");
  ExpectCorrupt(shaped({1ull << 62, 1, 1, 3}), "too many elements");
  // 2^62 elements of 4 bytes are 2^64 bytes.
  ExpectCorrupt(shaped({1ull << 62}), "too many elements");
  ExpectCorrupt(shaped({1ull << 61}), "ends outside the file");
  ExpectCorrupt(shaped({33}, DType::kQ8_0), "Q8_0 block");
  ExpectCorrupt(shaped({1025}), "ends outside the file");
  EXPECT_TRUE(shaped({1024}).Parse());
}

TEST(GgufAttackTest, UnknownTensorTypesAreNamed) {
  ExpectError(Raw(1, 0).TensorRow("t", {8}, DType{77}, 0).Align().Zeros(32),
              ErrorCode::kUnsupported, "'t' has unknown type 77");
}

TEST(GgufAttackTest, OffsetsOutsideUnalignedOrOverlappingAreRefused) {
  const auto pair = [](uint64_t first, uint64_t second) {
    return Raw(2, 0)
        .TensorRow("a", {16}, DType::kF32, first)
        .TensorRow("b", {16}, DType::kF32, second)
        .Align()
        .Zeros(128);
  };
  EXPECT_TRUE(pair(0, 64).Parse());
  EXPECT_TRUE(pair(64, 0).Parse());
  ExpectCorrupt(pair(0, 32), "overlaps");
  ExpectCorrupt(pair(32, 0), "overlaps");
  ExpectCorrupt(pair(0, 0), "overlaps");
  ExpectCorrupt(pair(0, 63), "not aligned");
  ExpectCorrupt(pair(0, 96), "ends outside the file");
  for (const uint64_t offset :
       {uint64_t{128}, uint64_t{1} << 63, UINT64_MAX - 31, UINT64_MAX - 63}) {
    ExpectCorrupt(pair(0, offset), "ends outside the file");
  }
}

TEST(GgufAttackTest, AlignmentIsAPowerOfTwoWithinLimits) {
  const auto aligned = [](auto value, ValueType type) {
    return Raw(1, 1)
        .Key("general.alignment", type)
        .Put(value)
        .TensorRow("t", {8}, DType::kF32, 0)
        .Zeros(1 << 17);
  };
  EXPECT_TRUE(aligned(uint32_t{64}, ValueType::kU32).Parse());
  for (const uint32_t bad : {0u, 1u, 4u, 48u, 1u << 17, 1u << 31}) {
    ExpectCorrupt(aligned(bad, ValueType::kU32), "general.alignment");
  }
  ExpectCorrupt(aligned(UINT64_MAX, ValueType::kU64), "general.alignment");
  ExpectCorrupt(aligned(int32_t{32}, ValueType::kI32), "general.alignment");
  ExpectCorrupt(aligned(32.0f, ValueType::kF32), "general.alignment");
}

TEST(GgufAttackTest, MessagesShowHostileNamesHarmlessly) {
  EXPECT_EQ(Quote("a\n\x1B\x7F\xC2\x9B\xFF▁"), "'a????\xEF\xBF\xBD▁'");
  EXPECT_LT(Quote(std::string(100000, 'x')).size(), 100u);
}

}  // namespace
}  // namespace aio::gguf
