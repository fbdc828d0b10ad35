// SPDX-License-Identifier: Apache-2.0
//
// Against the ids that llama.cpp and Hugging Face's tokenizers give for the
// vocabularies of real models, found through AIO_TEST_DATA.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

namespace aio::tokenizer {
namespace {

namespace fs = std::filesystem;

// Empty, with a line on the terminal, where AIO_TEST_DATA is not set.
std::string DataFolder() {
  const char* folder = std::getenv("AIO_TEST_DATA");
  return folder ? std::string(folder) + "/tokenizer/" : std::string();
}
#define SKIP_WITHOUT_DATA() \
  if (DataFolder().empty()) GTEST_SKIP() << "AIO_TEST_DATA is not set"

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> SplitAt(const std::string& text,
                                 const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at; (at = text.find(separator, begin)) != std::string::npos;
       begin = at + separator.size()) {
    parts.push_back(text.substr(begin, at - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::shared_ptr<const Tokenizer> LoadFrom(const std::string& path) {
  auto file = gguf::File::Open(path);
  EXPECT_TRUE(file) << path << ": " << file.error().message;
  if (!file) return nullptr;
  auto tokenizer = Tokenizer::Load(*file);
  EXPECT_TRUE(tokenizer) << path << ": " << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

std::string Decode(const std::shared_ptr<const Tokenizer>& tokenizer,
                   const std::vector<int32_t>& ids) {
  StreamDecoder decoder(tokenizer, true);
  std::string text;
  for (int32_t id : ids) {
    text += decoder.Push(id);
    EXPECT_TRUE(IsValidUtf8(text));
  }
  return text + decoder.Finish();
}

void ExpectTruth(const std::string& path) {
  SCOPED_TRACE(path);
  const auto tokenizer = LoadFrom(path);
  ASSERT_NE(tokenizer, nullptr);
  const auto inputs =
      SplitAt(ReadFile(path + ".inp"), "\n__ggml_vocab_test__\n");
  const auto outputs = SplitAt(ReadFile(path + ".out"), "\n");
  // Both end in a separator.
  ASSERT_EQ(inputs.size(), outputs.size());
  ASSERT_GT(inputs.size(), 1u);
  for (size_t i = 0; i + 1 < inputs.size(); ++i) {
    std::istringstream line(outputs[i]);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(line),
                                        {}};
    EXPECT_EQ(tokenizer->Encode(inputs[i]), expected) << i << ": " << inputs[i];
    EXPECT_EQ(Decode(tokenizer, expected), inputs[i]) << i;
  }
}

TEST(TokenizerTruthTest, GivesTheIdsOfLlamaCppForEveryPublishedString) {
  SKIP_WITHOUT_DATA();
  int files = 0;
  for (const auto& entry : fs::directory_iterator(DataFolder())) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".gguf") || !fs::exists(path + ".inp")) continue;
    ExpectTruth(path);
    ++files;
  }
  EXPECT_GE(files, 6);
}

std::string FromBase64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0, count = 0;
  for (char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xFF);
  }
  return out;
}

TEST(TokenizerTruthTest, GivesTheIdsOfTiktokenForLlama3) {
  SKIP_WITHOUT_DATA();
  const auto tokenizer = LoadFrom(DataFolder() + "ggml-vocab-llama-bpe.gguf");
  ASSERT_NE(tokenizer, nullptr);
  const auto cases =
      boost::json::parse(ReadFile(DataFolder() + "llama3_inputs_ids.json"))
          .as_array();
  ASSERT_GT(cases.size(), 30u);
  for (const auto& entry : cases) {
    const std::string text =
        FromBase64(std::string_view(entry.at("base64").as_string()));
    std::vector<int32_t> expected;
    for (const auto& id : entry.at("ids").as_array()) {
      expected.push_back(static_cast<int32_t>(id.as_int64()));
    }
    EXPECT_EQ(tokenizer->Encode(text), expected) << text;
    EXPECT_EQ(Decode(tokenizer, expected), text);
  }
}

}  // namespace
}  // namespace aio::tokenizer
