// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_data.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "probe/text_probe.h"

namespace aio::tools {
namespace {

std::string Write(const std::string& name, const std::string& content) {
  const std::string file = testing::TempDir() + name;
  std::ofstream(file) << content;
  return file;
}

TEST(ProbeDataTest, NamesTheLineThatIsWrong) {
  const std::string good =
      R"({"id": "a:1", "text": "x", "label": "qa", "source": "a"})";
  for (const char* bad : {"no json", "[]", R"({"text": "x", "label": "zzz"})",
                          R"({"label": "qa"})"}) {
    const auto read = ReadSamples(Write("bad.jsonl", good + "\n" + bad + "\n"));
    ASSERT_FALSE(read) << bad;
    EXPECT_NE(read.error().message.find("bad.jsonl:2"), std::string::npos);
  }
  EXPECT_EQ(ReadSamples("/nowhere").error().code, ErrorCode::kNotFound);
}

TEST(ProbeDataTest, TranslationsAndParaphrasesShareAGroup) {
  const auto read = ReadSamples(Write(
      "groups.jsonl",
      R"({"id": "humaneval:HumanEval/1", "text": "def add_one(x):\n", "label": "code", "source": "humaneval"}
{"id": "humaneval_xl_zh:go/7", "text": "// AddOne(1)\nfunc addOne(x int) {", "label": "code", "source": "humaneval_xl_zh"}
{"id": "mt_bench:98", "text": "a", "label": "chat", "source": "mt_bench"}
{"id": "mt_bench_zh:1098", "text": "b", "label": "chat", "source": "mt_bench_zh"}
{"id": "cmrc2018:TRIAL_3_QUERY_1", "text": "c", "label": "qa", "source": "cmrc2018"}
{"id": "cmrc2018:TRIAL_3_QUERY_2", "text": "d", "label": "qa", "source": "cmrc2018"}
{"id": "p3_wiki_bio_who:5", "text": "e", "label": "extract", "source": "p3_wiki_bio"}
{"id": "p3_wiki_bio_key:5", "text": "f", "label": "extract", "source": "p3_wiki_bio"}
)"));
  ASSERT_TRUE(read) << read.error().message;
  for (size_t i = 0; i < read->size(); i += 2) {
    EXPECT_EQ((*read)[i].group, (*read)[i + 1].group) << (*read)[i].id;
  }
  std::set<std::string> groups;
  for (const Sample& s : *read) groups.insert(s.group);
  EXPECT_EQ(groups.size(), 4u);
}

TEST(ProbeDataTest, FoldsAreEvenAndStable) {
  std::map<int, int> count;
  for (int i = 0; i < 5000; ++i) ++count[FoldOf("g" + std::to_string(i), 5)];
  ASSERT_EQ(count.size(), 5u);
  for (const auto& [fold, n] : count) EXPECT_NEAR(n, 1000, 120) << fold;
  EXPECT_EQ(FoldOf("humaneval:addone", 5), FoldOf("humaneval:addone", 5));
}

TEST(ProbeDataTest, ThePromptsWrittenForTrainingAreReadable) {
  const auto templates = ReadTemplates("tools/probe_prompts.txt");
  ASSERT_TRUE(templates) << templates.error().message;
  std::map<core::Label, int> count;
  for (const Template& t : *templates) ++count[t.label];
  EXPECT_EQ(count.size(), core::kLabels);
  Sample passage;
  passage.label = core::Label::kQa;
  passage.text = std::string(300, 'p');
  for (const Sample& s : Fill(*templates, {&passage})) {
    EXPECT_EQ(s.text.find("{text}"), std::string::npos) << s.text;
    EXPECT_EQ(s.text.find("{line}"), std::string::npos) << s.text;
  }
}

// Trained on these prompts, so this says only that the model file and the
// function that reads prompts belong together; docs/probe.md says how good.
TEST(ProbeDataTest, TheBundledModelFitsTheDataItWasTrainedOn) {
  const char* data = std::getenv("AIO_TEST_DATA");
  if (data == nullptr) {
    std::cout << "AIO_TEST_DATA is not set: not run on the labelled prompts\n";
    GTEST_SKIP();
  }
  const auto samples = ReadSamples(std::string(data) + "/intent/dev.jsonl");
  ASSERT_TRUE(samples) << samples.error().message;
  const auto probe = probe::TextProbe::Load("models/intent.ftz");
  ASSERT_TRUE(probe) << probe.error().message;
  size_t right = 0;
  for (const Sample& s : *samples) {
    right += (*probe)->ClassifyText(s.text).Best() == s.label;
  }
  EXPECT_GT(samples->size(), 3000u);
  EXPECT_GT(right, samples->size() * 94 / 100);
}

}  // namespace
}  // namespace aio::tools
