// SPDX-License-Identifier: Apache-2.0
#include "probe/labelled_prompts.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

namespace aio::probe {
namespace {

Result<std::vector<LabelledPrompt>> Read(const std::string& content) {
  const std::string file = testing::TempDir() + "prompts.jsonl";
  std::ofstream(file, std::ios::binary) << content;
  return ReadLabelledPrompts(file);
}

TEST(LabelledPromptsTest, AWrongLineIsNamedWithItsField) {
  const std::string good =
      R"({"id": "a:1", "text": "x", "label": "qa", "source": "a"})";
  const std::pair<const char*, const char*> kBad[] = {
      {"no json", "not a JSON object"},
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{\"id\": \"b\", \"text\": \"\xFF\"}", "not a JSON object"},
      {R"({"text": "x", "label": "qa", "source": "a"})",
       "field 'id' must be a text"},
      {R"({"id": "b", "text": 3, "label": "qa", "source": "a"})",
       "field 'text' must be a text"},
      {R"({"id": "b", "text": "", "label": "qa", "source": "a"})",
       "field 'text' must be a text"},
      {R"({"id": "b", "text": "x", "label": "cod", "source": "a"})",
       "field 'label': unknown label 'cod', did you mean 'code'?"},
      {R"({"id": "b", "text": "x", "label": "qa"})",
       "field 'source' must be a text"},
      {good.c_str(), "field 'id': 'a:1' occurs twice"}};
  for (const auto& [line, why] : kBad) {
    const auto read = Read(good + "\n" + line + "\n");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_TRUE(
        read.error().message.ends_with(std::string("prompts.jsonl:2: ") + why))
        << read.error().message;
  }
}

TEST(LabelledPromptsTest, WhatIsNoFileOfPromptsIsAnError) {
  EXPECT_EQ(ReadLabelledPrompts("/nowhere").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(ReadLabelledPrompts(testing::TempDir()));
  EXPECT_FALSE(Read(""));
  EXPECT_FALSE(Read(std::string(1 << 16, '[')));
}

TEST(LabelledPromptsTest, TranslationsAndParaphrasesShareAGroup) {
  const auto read = Read(
      R"({"id": "humaneval:HumanEval/1", "text": "def add_one(x):\n", "label": "code", "source": "humaneval"}
{"id": "humaneval_xl_zh:go/7", "text": "// AddOne(1)\nfunc addOne(x int) {", "label": "code", "source": "humaneval_xl_zh"}
{"id": "mt_bench:98", "text": "a", "label": "chat", "source": "mt_bench"}
{"id": "mt_bench_zh:1098", "text": "b", "label": "chat", "source": "mt_bench_zh"}
{"id": "cmrc2018:TRIAL_3_QUERY_1", "text": "c", "label": "qa", "source": "cmrc2018"}
{"id": "cmrc2018:TRIAL_3_QUERY_2", "text": "d", "label": "qa", "source": "cmrc2018"}
{"id": "p3_wiki_bio_who:5", "text": "e", "label": "extract", "source": "p3_wiki_bio"}
{"id": "p3_wiki_bio_key:5", "text": "f", "label": "extract", "source": "p3_wiki_bio"}
)");
  ASSERT_TRUE(read) << read.error().message;
  std::set<std::string> groups;
  for (size_t i = 0; i < read->size(); i += 2) {
    EXPECT_EQ((*read)[i].group, (*read)[i + 1].group) << (*read)[i].id;
    groups.insert((*read)[i].group);
  }
  EXPECT_EQ(groups.size(), 4u);
}

TEST(LabelledPromptsTest, FoldsAreEvenAndStable) {
  std::map<int, int> count;
  for (int i = 0; i < 5000; ++i) ++count[FoldOf("g" + std::to_string(i), 5)];
  ASSERT_EQ(count.size(), 5u);
  for (const auto& [fold, n] : count) EXPECT_NEAR(n, 1000, 120) << fold;
  EXPECT_EQ(FoldOf("humaneval:addone", 5), FoldOf("humaneval:addone", 5));
}

TEST(LabelledPromptsTest, SourcesOfPeoplesOwnPromptsAreNatural) {
  EXPECT_TRUE(IsNatural("arena_hard_v2"));
  EXPECT_TRUE(IsNatural("mt_bench_zh"));
  EXPECT_FALSE(IsNatural("gsm8k"));
}

}  // namespace
}  // namespace aio::probe
