// SPDX-License-Identifier: Apache-2.0
//
// The files of benchmarks: a few lines of each from tests/data/tasks, and all
// of them where AIO_TEST_DATA is set.
#include "eval/published.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "eval/checker.h"
#include "eval/task_bytes.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

constexpr const char* kFixtures = "tests/data/tasks/";

std::vector<Task> Load(const std::string& path) {
  auto tasks = LoadTasks(path);
  EXPECT_TRUE(tasks) << tasks.error().message;
  return tasks ? *std::move(tasks) : std::vector<Task>{};
}

// The objects of the file as they are, solutions included.
std::vector<json::object> Objects(const std::string& path) {
  std::string text = *ReadTaskFile(path);
  if (IsGzip(text)) text = *Unzip(text);
  std::vector<json::object> objects;
  if (text.front() == '[') {
    const json::value list = json::parse(text);
    for (const json::value& entry : list.as_array()) {
      objects.push_back(entry.as_object());
    }
    return objects;
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    objects.push_back(json::parse(line).as_object());
  }
  return objects;
}

std::string At(const json::object& object, const char* key) {
  return std::string(object.at(key).as_string());
}

const PythonRunner* Runner() {
  static const auto runner = [] {
    PythonRunner::Options options;
    options.limits.time_max = std::chrono::seconds(100);
    return PythonRunner::Make(options);
  }();
  return runner ? runner->get() : nullptr;
}

// The ids of the tasks that `answer` of their object does not pass, and why.
std::map<std::string, std::string> Failures(const std::string& path,
                                            const char* answer) {
  const std::vector<Task> tasks = Load(path);
  const std::vector<json::object> objects = Objects(path);
  EXPECT_EQ(tasks.size(), objects.size());
  std::map<std::string, std::string> failures;
  std::mutex mutex;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      const auto verdict = Check(tasks[i], At(objects[i], answer), Runner());
      const std::lock_guard lock(mutex);
      if (!verdict) failures[tasks[i].id] = verdict.error().message;
      if (verdict && !verdict->right) failures[tasks[i].id] = verdict->why;
    }
  };
  std::thread other(work);
  work();
  other.join();
  return failures;
}

using Ids = std::map<std::string, std::string>;

std::string DataFolder() {
  const char* folder = std::getenv("AIO_TEST_DATA");
  return folder == nullptr ? "" : std::string(folder) + "/";
}

class PublishedFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (DataFolder().empty()) GTEST_SKIP() << "AIO_TEST_DATA is not set";
  }
  std::string folder_ = DataFolder();
};

TEST(PublishedTest, HumanEvalAsksForTheFunctionAndCallsItsCheck) {
  const auto tasks = Load(std::string(kFixtures) + "humaneval.jsonl.gz");
  ASSERT_EQ(tasks.size(), 3u);
  const Task& task = tasks[1];
  EXPECT_EQ(task.id, "HumanEval/53");
  EXPECT_EQ(task.intent, core::Label::kCode);
  EXPECT_EQ(task.checker, Checker::kPythonTests);
  EXPECT_EQ(task.entry_point, "add");
  EXPECT_TRUE(task.prefix.starts_with("\n\ndef add(x: int, y: int):\n"));
  EXPECT_TRUE(task.reference.ends_with("\ncheck(add)\n"));
  ASSERT_EQ(task.messages.size(), 1u);
  EXPECT_NE(task.messages[0].content.find("```python\n" + task.prefix),
            std::string::npos);
}

TEST(PublishedTest, MbppShowsItsTestsAndRunsItsSetup) {
  const auto tasks = Load(std::string(kFixtures) + "mbpp.jsonl");
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[1].id, "mbpp/3");
  EXPECT_EQ(tasks[1].prefix, "");
  EXPECT_EQ(tasks[1].messages.front().content,
            "You are an expert Python programmer, and here is your task: Write "
            "a python function to identify non-prime numbers. Your code should "
            "pass these tests:\n\nassert is_not_prime(2) == False\nassert "
            "is_not_prime(10) == True\nassert is_not_prime(35) == True\n");
  EXPECT_NE(tasks[2].reference.find("root = Node(1)"), std::string::npos);
  const auto checked = Load(std::string(kFixtures) + "sanitized-mbpp.json");
  ASSERT_EQ(checked.size(), 2u);
  EXPECT_EQ(checked[0].id, "mbpp-sanitized/2");
  EXPECT_TRUE(checked[1].reference.starts_with("import math\n"));
}

TEST(PublishedTest, Gsm8kKeepsTheNumberBehindItsMark) {
  const auto tasks = Load(std::string(kFixtures) + "gsm8k.jsonl");
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[0].reference, "18");
  EXPECT_EQ(tasks[1].reference, "2125");
  EXPECT_EQ(tasks[2].reference, "-10");
  EXPECT_EQ(tasks[2].id, "gsm8k/3");
  EXPECT_EQ(tasks[2].intent, core::Label::kMath);
  EXPECT_EQ(tasks[2].checker, Checker::kNumber);
}

TEST(PublishedTest, MmluReadsQuotedCellsAndNamesItsSubject) {
  const auto tasks = Load(std::string(kFixtures) + "rivers_test.csv");
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[1].id, "mmlu/rivers/2");
  EXPECT_EQ(tasks[1].reference, "B");
  EXPECT_EQ(tasks[1].checker, Checker::kChoice);
  EXPECT_EQ(tasks[1].messages.front().content,
            "The following is a multiple choice question (with answer) about "
            "rivers.\n\nWhich of these reaches the sea, and in a delta?\n"
            "A. the Okavango, which ends inland\nB. the Danube\n"
            "C. the \"Tarim\"\nD. the Jordan\nAnswer:");
  EXPECT_NE(tasks[2].messages.front().content.find("meet,\none name"),
            std::string::npos);
}

TEST(PublishedTest, SolutionsOfTheFixturesPass) {
  if (Runner() == nullptr) GTEST_SKIP() << "nothing here isolates Python";
  const std::string folder = kFixtures;
  EXPECT_EQ(Failures(folder + "humaneval.jsonl.gz", "canonical_solution"),
            Ids{});
  EXPECT_EQ(Failures(folder + "mbpp.jsonl", "code"), Ids{});
  EXPECT_EQ(Failures(folder + "sanitized-mbpp.json", "code"), Ids{});
  // And what is no solution does not.
  EXPECT_EQ(Failures(folder + "humaneval.jsonl.gz", "entry_point").size(), 3u);
  EXPECT_EQ(Failures(folder + "mbpp.jsonl", "text").size(), 3u);
}

TEST(PublishedTest, AFaultInAFileIsNamedWithItsLine) {
  const auto error = [](const std::string& name, std::string_view text) {
    const auto tasks = ParseTasks(name, text);
    return tasks ? "" : tasks.error().message;
  };
  EXPECT_EQ(error("g.jsonl", "{\"question\": \"q\", \"answer\": \"18\"}\n"),
            "g.jsonl:1: field 'answer' has no \"####\" before its number");
  EXPECT_EQ(error("g.jsonl", "{\"question\": \"q\", \"answer\": \"#### x\"}\n"),
            "g.jsonl:1: field 'reference' is no number: 'x'");
  const std::string good = "{\"question\": \"q\", \"answer\": \"#### 1\"}\n";
  EXPECT_EQ(error("g.jsonl", good + "{\"task_id\": 1, \"test_list\": []}\n"),
            "g.jsonl:2: has the fields of MBPP, but the file began as GSM8K");
  EXPECT_EQ(error("m.jsonl",
                  "{\"task_id\": 1, \"test_list\": [1], "
                  "\"text\": \"\"}\n"),
            "m.jsonl:1: field 'test_list' must be a list of strings");
  EXPECT_EQ(error("h.jsonl", "{\"task_id\": \"1\", \"test\": \"\"}\n"),
            "h.jsonl:1: field 'prompt' is missing");
  EXPECT_EQ(error("x.csv", "q,a,b,c,d,A\n\"two\nlines\",a,b,c,d,E\n"),
            "x.csv:2: the last cell must be A, B, C or D, not 'E'");
  EXPECT_EQ(error("x.csv", "q,a,b,c,d,A\n\"two\nlines\",a,b\n"),
            "x.csv:2: has 3 cells, not 6: question, A, B, C, D, letter");
  EXPECT_EQ(error("x.csv", "q,a,b,c,d,A\r\n\r\nq,\"a\nb,c,d,A\n"),
            "x.csv:3: a quoted cell is not closed; is the file cut off?");
  EXPECT_EQ(error("x.csv", "\"q\"x,a,b,c,d,A\n"),
            "x.csv:1: something follows the closing quote of a cell");
  EXPECT_EQ(error("x.csv", "\xff,a,b,c,d,A\n"), "x.csv: not valid UTF-8");
}

TEST_F(PublishedFilesTest, EveryTaskOfEachFileIsRead) {
  EXPECT_EQ(Load(folder_ + "humaneval/HumanEval.jsonl.gz").size(), 164u);
  EXPECT_EQ(Load(folder_ + "humaneval").size(), 164u);
  EXPECT_EQ(Load(folder_ + "mbpp/mbpp.jsonl").size(), 974u);
  EXPECT_EQ(Load(folder_ + "mbpp/sanitized-mbpp.json").size(), 427u);
  EXPECT_EQ(Load(folder_ + "gsm8k/test.jsonl").size(), 1319u);
}

TEST_F(PublishedFilesTest, EveryReferenceAnswerOfGsm8kIsRight) {
  EXPECT_EQ(Failures(folder_ + "gsm8k/test.jsonl", "answer"), Ids{});
  // A question ends with another number, or with none.
  EXPECT_GT(Failures(folder_ + "gsm8k/test.jsonl", "question").size(), 1250u);
}

TEST_F(PublishedFilesTest, EverySolutionOfHumanEvalPassesItsTests) {
  if (Runner() == nullptr) GTEST_SKIP() << "nothing here isolates Python";
  EXPECT_EQ(
      Failures(folder_ + "humaneval/HumanEval.jsonl.gz", "canonical_solution"),
      Ids{});
}

TEST_F(PublishedFilesTest, EverySolutionOfMbppPassesItsTests) {
  if (Runner() == nullptr) GTEST_SKIP() << "nothing here isolates Python";
  EXPECT_EQ(Failures(folder_ + "mbpp/mbpp.jsonl", "code"), Ids{});
}

}  // namespace
}  // namespace aio::eval
