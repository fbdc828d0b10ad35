// SPDX-License-Identifier: Apache-2.0
#include "eval/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace aio::eval {
namespace {

std::vector<Task> Tasks(const std::map<core::Label, int>& counts) {
  std::vector<Task> tasks;
  for (const auto& [label, count] : counts) {
    for (int i = 0; i < count; ++i) {
      Task task;
      task.id = std::string(core::Name(label)) + std::to_string(i);
      task.intent = label;
      task.messages = {{core::Role::kUser, "Say it."}};
      tasks.push_back(task);
    }
  }
  return tasks;
}

const std::map<core::Label, int> kFour = {{core::Label::kCode, 40},
                                          {core::Label::kMath, 5},
                                          {core::Label::kQa, 40},
                                          {core::Label::kChat, 40}};

std::map<core::Label, int> Mixture(const std::vector<Task>& tasks,
                                   const std::vector<size_t>& list) {
  std::map<core::Label, int> counts;
  for (const size_t i : list) ++counts[tasks[i].intent];
  return counts;
}

TEST(WorkloadTest, HasExactlyTheSharesItSays) {
  const std::vector<Task> tasks = Tasks(kFour);
  WorkloadMix mix;
  mix.requests = 50;
  const auto list = DrawWorkload(tasks, mix);
  ASSERT_TRUE(list) << list.error().message;
  ASSERT_EQ(list->size(), 50u);
  EXPECT_EQ(Mixture(tasks, *list),
            (std::map<core::Label, int>{{core::Label::kCode, 35},
                                        {core::Label::kMath, 5},
                                        {core::Label::kQa, 5},
                                        {core::Label::kChat, 5}}));
  mix.main = core::Label::kQa;
  mix.requests = 101;
  const auto other = DrawWorkload(tasks, mix);
  ASSERT_TRUE(other);
  const auto counts = Mixture(tasks, *other);
  EXPECT_EQ(counts.at(core::Label::kQa), 71);
  for (const auto label :
       {core::Label::kCode, core::Label::kMath, core::Label::kChat}) {
    EXPECT_EQ(counts.at(label), 10);
  }
}

TEST(WorkloadTest, TheSeedAloneDecides) {
  const std::vector<Task> tasks = Tasks(kFour);
  WorkloadMix mix;
  const auto a = DrawWorkload(tasks, mix);
  const auto b = DrawWorkload(tasks, mix);
  mix.seed = 2;
  const auto c = DrawWorkload(tasks, mix);
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(*a, *b);
  EXPECT_NE(*a, *c);
}

TEST(WorkloadTest, RepeatsNoTaskBeforeAllHaveCome) {
  const std::vector<Task> tasks = Tasks(kFour);
  WorkloadMix mix;
  mix.requests = 100;  // 70 code of 40 tasks, 10 math of 5
  const auto list = DrawWorkload(tasks, mix);
  ASSERT_TRUE(list);
  std::map<size_t, int> times;
  for (const size_t i : *list) ++times[i];
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_TRUE(times[i] == 1 || times[i] == 2) << i;
  }
  for (size_t i = 40; i < 45; ++i) EXPECT_EQ(times[i], 2) << i;
}

// A run of one intent at the end would measure its cache, not the mix.
TEST(WorkloadTest, IntentsAreShuffledAmongEachOther) {
  const std::vector<Task> tasks = Tasks(kFour);
  WorkloadMix mix;
  const auto list = DrawWorkload(tasks, mix);
  ASSERT_TRUE(list);
  int changes = 0;
  for (size_t i = 1; i < list->size(); ++i) {
    changes += tasks[(*list)[i]].intent != tasks[(*list)[i - 1]].intent;
  }
  EXPECT_GT(changes, 20);
}

TEST(WorkloadTest, NeedsTheMainIntentAndAnother) {
  WorkloadMix mix;
  for (const auto& counts :
       {std::map<core::Label, int>{{core::Label::kCode, 3}},
        std::map<core::Label, int>{{core::Label::kQa, 3}},
        std::map<core::Label, int>{}}) {
    const auto list = DrawWorkload(Tasks(counts), mix);
    ASSERT_FALSE(list);
    EXPECT_NE(list.error().message.find("around 'code' needs tasks"),
              std::string::npos);
  }
}

TEST(WorkloadTest, ALimitTakesInTurnFromEachIntent) {
  const auto few = LimitTasks(Tasks(kFour), 11);
  ASSERT_EQ(few.size(), 11u);
  std::map<core::Label, int> counts;
  for (const Task& task : few) ++counts[task.intent];
  EXPECT_EQ(counts[core::Label::kCode], 3);
  EXPECT_EQ(counts[core::Label::kMath], 3);
  EXPECT_EQ(counts[core::Label::kQa], 3);
  EXPECT_EQ(counts[core::Label::kChat], 2);
  EXPECT_EQ(few[0].id, "code0");
  EXPECT_EQ(LimitTasks(Tasks(kFour), 100).size(), 100u);
  EXPECT_EQ(LimitTasks(Tasks(kFour), 0).size(), 125u);
  EXPECT_EQ(LimitTasks(Tasks(kFour), 1000).size(), 125u);
}

TEST(WorkloadTest, TheHashSeesEveryField) {
  std::set<std::string> hashes;
  const auto add = [&](auto change) {
    std::vector<Task> tasks = Tasks({{core::Label::kCode, 2}});
    change(&tasks);
    const std::string hash = HashTasks(tasks);
    EXPECT_EQ(hash.size(), 16u);
    EXPECT_TRUE(hashes.insert(hash).second);
  };
  add([](auto*) {});
  add([](auto* t) { t->pop_back(); });
  add([](auto* t) { std::swap((*t)[0], (*t)[1]); });
  add([](auto* t) { (*t)[0].id = "x"; });
  add([](auto* t) { (*t)[0].intent = core::Label::kQa; });
  add([](auto* t) { (*t)[0].messages[0].content = "x"; });
  add([](auto* t) { (*t)[0].messages[0].role = core::Role::kSystem; });
  add([](auto* t) { (*t)[0].messages.push_back({core::Role::kUser, ""}); });
  add([](auto* t) { (*t)[0].checker = Checker::kNumber; });
  add([](auto* t) { (*t)[0].reference = "x"; });
  add([](auto* t) { (*t)[0].prefix = "x"; });
  add([](auto* t) { (*t)[0].entry_point = "x"; });
  add([](auto* t) { (*t)[0].max_tokens = 1; });
  add([](auto* t) { (*t)[0].stop = {"x"}; });
  add([](auto* t) { (*t)[0].stop = {"x", ""}; });
}

}  // namespace
}  // namespace aio::eval
