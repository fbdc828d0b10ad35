// SPDX-License-Identifier: Apache-2.0
//
// On made-up folders, and on RouteLLM's files where AIO_TEST_DATA is set.
#include "eval/routing_data.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace aio::eval {
namespace {

namespace fs = std::filesystem;

class RoutingDataTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              ("aio_routing_" + std::to_string(getpid()) + test->name());
    fs::create_directories(folder_ / "mmlu");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string ErrorOf() {
    const auto data = LoadRoutingData(folder_.string());
    if (data) return "none";
    std::string message = data.error().message;
    const std::string prefix = folder_.string() + "/";
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    return message;
  }

  fs::path folder_;
};

TEST_F(RoutingDataTest, ReadsSubjectsByNameAndThenTheMathProblems) {
  Write("mmlu/b.csv", "prompt,small,large\n\"Why, \n or not?\",True,False\n");
  Write("mmlu/a.csv", "prompt,small,large\nx,False,True\ny,False,False\n");
  Write("mmlu/notes.txt", "not read");
  Write("gsm8k_responses.csv",
        "prompt,small,large,said\n1 + 1?,True,True,\"2\n\"\n");
  const auto data = LoadRoutingData(folder_.string());
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->weak, "small");
  EXPECT_EQ(data->strong, "large");
  ASSERT_EQ(data->questions.size(), 4u);
  EXPECT_EQ(data->questions[0].subject, "a");
  EXPECT_FALSE(data->questions[0].weak_right);
  EXPECT_TRUE(data->questions[0].strong_right);
  EXPECT_EQ(data->questions[2].prompt, "Why, \n or not?");
  EXPECT_TRUE(data->questions[2].weak_right);
  EXPECT_EQ(data->questions[3].source, RoutingSource::kGsm8k);
}

TEST_F(RoutingDataTest, NamesFileAndLineOfWhatIsWrong) {
  Write("mmlu/a.csv", "prompt,small,large\n\"x\ny\",True,True\nz,True,maybe\n");
  EXPECT_EQ(ErrorOf(), "mmlu/a.csv:4: 'maybe' is neither True nor False");
  Write("mmlu/a.csv", "prompt,small,large\nx,True\n");
  EXPECT_EQ(ErrorOf(), "mmlu/a.csv:2: has 2 fields, the first row has 3");
  Write("mmlu/a.csv", "question,small,large\n");
  EXPECT_EQ(ErrorOf(),
            "mmlu/a.csv:1: the columns must be prompt, a weak and a strong "
            "model");
  Write("mmlu/a.csv", "");
  EXPECT_EQ(ErrorOf(), "mmlu/a.csv:1: is empty");
}

TEST_F(RoutingDataTest, FilesOfDifferentModelsDoNotMix) {
  Write("mmlu/a.csv", "prompt,small,large\nx,True,True\n");
  Write("mmlu/b.csv", "prompt,small,other\nx,True,True\n");
  EXPECT_EQ(ErrorOf(),
            "mmlu/b.csv:1: is about small and other, the files before about "
            "small and large");
}

TEST_F(RoutingDataTest, NoQuestionsAreAnError) {
  const auto none = LoadRoutingData((folder_ / "no").string());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  Write("mmlu/a.csv", "prompt,small,large\n");
  EXPECT_NE(ErrorOf().find("no questions"), std::string::npos);
}

TEST(RoutingDataTruthTest, ReadsThePublishedFiles) {
  const char* folder = std::getenv("AIO_TEST_DATA");
  if (folder == nullptr) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  const auto data = LoadRoutingData(std::string(folder) + "/routing");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->weak, "mistralai/Mixtral-8x7B-Instruct-v0.1");
  EXPECT_EQ(data->strong, "gpt-4-1106-preview");
  std::map<std::string, int> questions, gap;
  for (const RoutingQuestion& q : data->questions) {
    ++questions[q.subject];
    gap[q.subject] += q.strong_right - q.weak_right;
  }
  // Counted with another program.
  EXPECT_EQ(questions["mmlu_abstract_algebra"], 100);
  EXPECT_EQ(gap["mmlu_abstract_algebra"], 14);
  EXPECT_EQ(questions["mmlu_moral_scenarios"], 895);
  EXPECT_EQ(gap["mmlu_moral_scenarios"], 339);
}

}  // namespace
}  // namespace aio::eval
