// SPDX-License-Identifier: Apache-2.0
#include "tools/llama2c.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "gguf/gguf.h"
#include "tensor/block_formats.h"

namespace aio::tools {
namespace {

constexpr int kDim = 8, kHidden = 6, kLayers = 2, kHeads = 2, kKvHeads = 1,
              kVocabulary = 261, kContext = 3, kKvDim = 4;

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Each weight's value is its index in the file; the tables of sines, which
// must be skipped, count too.
std::string Checkpoint(bool tied) {
  std::string out;
  for (const int32_t n : {kDim, kHidden, kLayers, kHeads, kKvHeads,
                          tied ? kVocabulary : -kVocabulary, kContext}) {
    Put(n, &out);
  }
  int count =
      kVocabulary * kDim * (tied ? 1 : 2) + kDim + kContext * (kDim / kHeads);
  count += kLayers * (2 * kDim + 2 * kDim * kDim + 2 * kKvDim * kDim +
                      3 * kHidden * kDim);
  for (int i = 0; i < count; ++i) Put(static_cast<float>(i), &out);
  return out;
}

std::string Pieces() {
  std::string out;
  Put(int32_t{9}, &out);
  for (int id = 0; id < kVocabulary; ++id) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", id - 3);
    const std::string text = id == 0     ? "<unk>"
                             : id == 1   ? "\n<s>\n"
                             : id == 2   ? "\n</s>\n"
                             : id < 259  ? name
                             : id == 259 ? " a b"
                                         : "c";
    Put(id == 259 ? -1.5f : 0.0f, &out);
    Put(static_cast<int32_t>(text.size()), &out);
    out += text;
  }
  return out;
}

class Llama2cTest : public testing::Test {
 protected:
  // The file as it would be read back.
  gguf::File Convert(const std::string& checkpoint,
                     const Llama2cOptions& options) {
    const auto pieces = Pieces();
    const auto writer = FromLlama2c(Bytes(checkpoint), Bytes(pieces), options);
    EXPECT_TRUE(writer) << writer.error().message;
    bytes_ = writer->Serialize().value();
    return gguf::File::Parse(bytes_).value();
  }

  static float First(const gguf::File& file, const std::string& name) {
    const gguf::Tensor* tensor = file.FindTensor(name);
    if (tensor == nullptr) return NAN;
    std::vector<float> values(static_cast<size_t>(tensor->elements()));
    DecodeRow(tensor->type, tensor->data, values);
    return values[0];
  }

  std::vector<std::byte> bytes_;
};

TEST_F(Llama2cTest, EveryWeightIsFoundWhereTheFormatPutsIt) {
  const auto file = Convert(Checkpoint(true), {});
  float at = 0;
  const auto expect = [&](const std::string& name, int64_t columns,
                          int64_t rows) {
    EXPECT_EQ(First(file, name), at) << name;
    const auto shape = rows == 0 ? std::vector<int64_t>{columns}
                                 : std::vector<int64_t>{columns, rows};
    EXPECT_EQ(file.FindTensor(name)->shape, shape) << name;
    at += static_cast<float>(columns * std::max<int64_t>(rows, 1));
  };
  const auto per_layer = [&](const std::string& name, int64_t columns,
                             int64_t rows) {
    expect("blk.0." + name + ".weight", columns, rows);
    expect("blk.1." + name + ".weight", columns, rows);
  };
  expect("token_embd.weight", kDim, kVocabulary);
  per_layer("attn_norm", kDim, 0);
  per_layer("attn_q", kDim, kDim);
  per_layer("attn_k", kDim, kKvDim);
  per_layer("attn_v", kDim, kKvDim);
  per_layer("attn_output", kDim, kDim);
  per_layer("ffn_norm", kDim, 0);
  per_layer("ffn_gate", kDim, kHidden);
  per_layer("ffn_down", kHidden, kDim);
  per_layer("ffn_up", kDim, kHidden);
  expect("output_norm.weight", kDim, 0);
  EXPECT_EQ(file.FindTensor("output.weight"), nullptr);
  EXPECT_EQ(file.tensors().size(), 2u + 2 * 9);
}

TEST_F(Llama2cTest, AnOutputOfItsOwnFollowsTheTables) {
  const auto file = Convert(Checkpoint(false), {});
  EXPECT_EQ(
      First(file, "output.weight"),
      First(file, "output_norm.weight") + kDim + kContext * (kDim / kHeads));
}

TEST_F(Llama2cTest, TheTokenizerIsAsSentencePieceHasIt) {
  const auto file = Convert(Checkpoint(true), {.name = "x", .license = "MIT"});
  EXPECT_EQ(file.String("general.name").value(), "x");
  EXPECT_EQ(file.String("tokenizer.ggml.model").value(), "llama");
  const auto& tokens = std::get<std::vector<std::string_view>>(
      std::get<gguf::Array>(*file.Find("tokenizer.ggml.tokens")).items);
  const auto& types = std::get<std::vector<int64_t>>(
      std::get<gguf::Array>(*file.Find("tokenizer.ggml.token_type")).items);
  const auto& scores = std::get<std::vector<double>>(
      std::get<gguf::Array>(*file.Find("tokenizer.ggml.scores")).items);
  ASSERT_EQ(tokens.size(), size_t{kVocabulary});
  EXPECT_EQ(tokens[1], "<s>");
  EXPECT_EQ(tokens[2], "</s>");
  EXPECT_EQ(tokens[13], "<0x0A>");
  EXPECT_EQ(tokens[259], "▁a▁b");
  EXPECT_EQ(scores[259], -1.5);
  EXPECT_EQ((std::vector<int64_t>{types[0], types[1], types[2], types[3],
                                  types[258], types[259]}),
            (std::vector<int64_t>{2, 3, 3, 6, 6, 1}));
}

TEST_F(Llama2cTest, RowsThatAreNoWholeBlocksStayF16AndNormsF32) {
  const auto file = Convert(Checkpoint(true), {.type = DType::kQ8_0});
  EXPECT_EQ(file.FindTensor("blk.0.attn_q.weight")->type, DType::kF16);
  EXPECT_EQ(file.FindTensor("blk.0.attn_norm.weight")->type, DType::kF32);
}

TEST_F(Llama2cTest, FilesOfAnotherLengthAreRefused) {
  const auto pieces = Pieces();
  const auto whole = Checkpoint(true);
  const auto refused = [&](std::string_view checkpoint,
                           std::string_view tokenizer) {
    const auto writer = FromLlama2c(Bytes(checkpoint), Bytes(tokenizer), {});
    return !writer && writer.error().code == ErrorCode::kCorrupt;
  };
  for (size_t size = 0; size < whole.size(); size += 97) {
    EXPECT_TRUE(refused(whole.substr(0, size), pieces)) << size;
  }
  for (size_t size = 0; size < pieces.size(); ++size) {
    EXPECT_TRUE(refused(whole, pieces.substr(0, size))) << size;
  }
  auto longer = whole;
  Put(1.0f, &longer);
  EXPECT_TRUE(refused(longer, pieces));
  auto more = pieces;
  more.push_back('x');
  EXPECT_TRUE(refused(whole, more));
}

TEST(BundledModelTest, TheModelsAreWhatTheConverterMakesOfTheirSource) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  const std::string folder = std::string(data) + "/tinymodel/";
  const auto checkpoint = MappedFile::Open(folder + "stories260K.bin");
  const auto pieces = MappedFile::Open(folder + "tok512.bin");
  ASSERT_TRUE(checkpoint && pieces);
  for (const DType type : {DType::kF32, DType::kQ8_0}) {
    const auto writer =
        FromLlama2c(checkpoint->bytes(), pieces->bytes(),
                    {.name = "stories260K", .license = "MIT", .type = type});
    ASSERT_TRUE(writer) << writer.error().message;
    const auto bytes = writer->Serialize();
    const auto bundled =
        MappedFile::Open("models/stories260K-" + NameOf(type) + ".gguf");
    ASSERT_TRUE(bytes && bundled);
    ASSERT_EQ(bytes->size(), bundled->bytes().size());
    EXPECT_EQ(
        std::memcmp(bytes->data(), bundled->bytes().data(), bytes->size()), 0)
        << NameOf(type);
  }
}

}  // namespace
}  // namespace aio::tools
