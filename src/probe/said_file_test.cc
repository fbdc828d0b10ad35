// SPDX-License-Identifier: Apache-2.0
#include "probe/said_file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace aio::probe {
namespace {

Result<std::vector<Logits>> Read(const std::string& content,
                                 const std::vector<std::string>& ids) {
  const std::string file = testing::TempDir() + "said.jsonl";
  std::ofstream(file, std::ios::binary) << content;
  std::vector<LabelledPrompt> prompts;
  for (const std::string& id : ids) prompts.push_back({id, "x", {}, "s", id});
  return ReadSaid(file, prompts);
}

TEST(SaidFileTest, LogitsComeBackToTheLastBitInTheOrderOfThePrompts) {
  const Logits a{0.1, -1e-9, 3, 1.0 / 3, -20, 5, 6, 7}, b{1, 2, 3};
  const auto read =
      Read(SaidLine("a\n\"", a) + SaidLine("other", a) + SaidLine("b", b),
           {"b", "a\n\""});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (std::vector<Logits>{b, a}));
}

TEST(SaidFileTest, AWrongLineOrAMissingPromptIsNamed) {
  const std::string good = SaidLine("a", Logits{});
  for (const char* bad :
       {"", "[]", R"({"id": "b"})", R"({"logits": [1,2,3,4,5,6,7,8]})",
        R"({"id": "b", "logits": [1,2,3]})",
        R"({"id": "b", "logits": [1,2,3,4,5,6,7,null]})",
        R"({"id": "b", "logits": [1,2,3,4,5,6,7,1e999]})"}) {
    const auto read = Read(good + bad + "\n", {"a"});
    ASSERT_FALSE(read) << bad;
    EXPECT_NE(read.error().message.find("said.jsonl:2: "), std::string::npos);
  }
  const auto missing = Read(good, {"a", "b"});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("nothing of prompt 'b'"),
            std::string::npos);
  EXPECT_EQ(ReadSaid("/nowhere", {}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace aio::probe
