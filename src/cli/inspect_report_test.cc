// SPDX-License-Identifier: Apache-2.0
#include "cli/inspect_report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "gguf/writer.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

class InspectReportTest : public testing::Test {
 protected:
  gguf::File Parse(const gguf::Writer& writer) {
    bytes_ = writer.Serialize().value();
    return gguf::File::Parse(bytes_).value();
  }
  std::vector<std::byte> bytes_;
};

TEST_F(InspectReportTest, TheBundledModelIsSummedUpForPeople) {
  const auto file = gguf::File::Open("models/stories260K-Q8_0.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const std::string text = DescribeModel(*file, true);
  for (const char* words :
       {"architecture   'llama'", "name           'stories260K'",
        "parameters     260032", "tokenizer      'llama'", "512 tokens",
        "begin        1 '<s>'", "chat template  yes", "Q8_0",
        "block_count                          5", "172 x 64",
        "blk.4.ffn_down.weight"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  EXPECT_EQ(DescribeModel(*file, false).find("blk.4"), std::string::npos);
}

TEST_F(InspectReportTest, TheBundledModelIsSummedUpForPrograms) {
  const auto file = gguf::File::Open("models/stories260K-F32.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const auto report = json::parse(json::serialize(ModelToJson(*file, false)));
  EXPECT_EQ(report.at("parameters").to_number<int64_t>(), 260032);
  EXPECT_EQ(report.at_pointer("/types/F32/tensors").to_number<int>(), 47);
  EXPECT_EQ(report.at_pointer("/metadata/llama.block_count").to_number<int>(),
            5);
  EXPECT_EQ(report.at("tensors").as_array().size(), 47u);
  const auto tokens = report.at("metadata").at("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.at("length").to_number<int>(), 512);
  EXPECT_EQ(tokens.at("first").as_array().size(), 16u);
  const auto full = ModelToJson(*file, true);
  EXPECT_EQ(full.at("metadata").at("tokenizer.ggml.tokens").as_array().size(),
            512u);
}

TEST_F(InspectReportTest, HostileTextReachesNeitherTerminalNorParser) {
  gguf::Writer writer;
  writer.Add("general.name", "\x1B[2J\xFF\n");
  writer.Add("odd", std::vector<float>{INFINITY, NAN, 1});
  writer.Add("tokenizer.ggml.tokens", std::vector<std::string>{"\x1B"});
  writer.Add("tokenizer.ggml.bos_token_id", uint32_t{0});
  writer.Add("tokenizer.ggml.eos_token_id", uint32_t{7});
  const auto file = Parse(writer);
  const std::string text = DescribeModel(file, true);
  EXPECT_EQ(text.find('\x1B'), std::string::npos);
  EXPECT_NE(text.find("7 outside the vocabulary"), std::string::npos) << text;
  boost::json::error_code error;
  const auto back =
      json::parse(json::serialize(ModelToJson(file, false)), error);
  ASSERT_FALSE(error) << error.message();
  EXPECT_TRUE(back.at("metadata").at("odd").at(0).is_null());
  EXPECT_EQ(back.at("metadata").at("odd").at(2).as_double(), 1);
}

TEST_F(InspectReportTest, TypesThatCannotBeComputedAreNamed) {
  const std::vector<std::byte> data(110);
  gguf::Writer writer;
  writer.AddTensor("t", DType::kQ3_K, {256}, data);
  const auto file = Parse(writer);
  EXPECT_NE(DescribeModel(file, false).find("cannot compute with Q3_K"),
            std::string::npos);
  EXPECT_FALSE(ModelToJson(file, false)
                   .at("types")
                   .at("Q3_K")
                   .at("computable")
                   .as_bool());
}

}  // namespace
}  // namespace aio::cli
