// SPDX-License-Identifier: Apache-2.0
#include "base/affinity.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread_pool.h"

namespace aio {
namespace {

TEST(CpuListTest, RangesAndNumbersInTheirOrder) {
  EXPECT_EQ(*ParseCpuList("5"), std::vector<int>{5});
  EXPECT_EQ(*ParseCpuList("8,0-2"), (std::vector<int>{8, 0, 1, 2}));
  EXPECT_EQ(*ParseCpuList("3-3"), std::vector<int>{3});
}

TEST(CpuListTest, AnythingElseIsRefusedWithAnExample) {
  for (const char* text : {"", ",", "1,", "a", "1-", "-1", "3-1", "0-2,1", "1 ",
                           "1024", "99999999999", "1--2"}) {
    const auto cpus = ParseCpuList(text);
    ASSERT_FALSE(cpus) << text;
    EXPECT_EQ(cpus.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(cpus.error().message.find("0-3,8"), std::string::npos);
  }
}

TEST(AffinityTest, SecondThreadsOfCoresComeLast) {
  std::string path = testing::TempDir() + "affinityXXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  // Two cores of two threads; of processor 9 nothing is known.
  const std::pair<int, const char*> kSiblings[] = {
      {0, "0-1\n"}, {1, "0-1\n"}, {2, "2,6\n"}, {6, "2,6\n"}};
  for (const auto& [cpu, siblings] : kSiblings) {
    const std::string folder = path + "/sys/devices/system/cpu/cpu" +
                               std::to_string(cpu) + "/topology";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/thread_siblings_list") << siblings;
  }
  const auto ordered = CoresFirst({0, 1, 2, 6, 9}, path);
  std::filesystem::remove_all(path);
  EXPECT_EQ(ordered, (std::vector<int>{0, 2, 9, 1, 6}));
}

TEST(AffinityTest, ThreadsOfAPoolStayWhereTheyArePinned) {
  std::vector<int> cpus = AllowedCpus();
  const int threads = static_cast<int>(cpus.size());
  std::ranges::reverse(cpus);
  std::vector<int> alone(cpus.size(), -1);
  // A thread of its own: what is pinned stays so.
  std::thread([&] {
    ThreadPool pool(threads, cpus);
    pool.PinCaller();
    pool.Run([&](int thread) {
      cpu_set_t set;
      CPU_ZERO(&set);
      sched_getaffinity(0, sizeof(set), &set);
      const int cpu = cpus[static_cast<size_t>(thread)];
      alone[static_cast<size_t>(thread)] =
          CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set) ? cpu : -1;
    });
  }).join();
  EXPECT_EQ(alone, cpus);
}

TEST(AffinityTest, AProcessorThatIsNotThereIsAnError) {
  std::thread([] {
    const auto pinned = PinThisThread(1023);
    ASSERT_FALSE(pinned);
    EXPECT_EQ(pinned.error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(PinThisThread(-1));
  }).join();
}

}  // namespace
}  // namespace aio
