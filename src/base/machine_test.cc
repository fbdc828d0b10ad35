// SPDX-License-Identifier: Apache-2.0
#include "base/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace aio {
namespace {

// A folder that stands in for /.
class Root {
 public:
  Root() {
    std::string path = testing::TempDir() + "machineXXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root& Put(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(path_ + file).parent_path());
    std::ofstream(path_ + file) << text;
    return *this;
  }
  Machine Read() const { return ReadMachine(path_); }

 private:
  std::string path_;
};

TEST(MachineTest, VersionTwoLimitsOfAParentBind) {
  const Machine m = Root()
                        .Put("/proc/meminfo", "MemTotal:   16000000 kB\n")
                        .Put("/proc/self/cgroup", "0::/a/b\n")
                        .Put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
                        .Put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n")
                        .Put("/sys/fs/cgroup/a/b/memory.max", "max\n")
                        .Put("/sys/fs/cgroup/a/memory.max", "1073741824\n")
                        .Read();
  EXPECT_EQ(m.cpus, 1);
  EXPECT_EQ(m.memory_bytes, 1 << 30);
}

TEST(MachineTest, VersionOneLimitsBind) {
  const Machine m =
      Root()
          .Put("/proc/meminfo", "MemTotal:   16000000 kB\n")
          .Put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n")
          .Put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n")
          .Put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n")
          .Put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "536870912\n")
          .Read();
  EXPECT_EQ(m.cpus, 1);
  EXPECT_EQ(m.memory_bytes, 512 << 20);
}

TEST(MachineTest, TheLastLevelIsTheLargestCache) {
  const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index";
  Root root;
  EXPECT_EQ(root.Read().cache_bytes, 0);
  root.Put(cache + "0/size", "48K\n").Put(cache + "2/size", "2048K\n");
  EXPECT_EQ(root.Read().cache_bytes, 2 << 20);
  EXPECT_EQ(root.Put(cache + "3/size", "32M\n").Read().cache_bytes, 32 << 20);
}

TEST(MachineTest, WithoutLimitsTheMachineItselfCounts) {
  const Machine m = Root().Put("/proc/meminfo", "MemTotal:   1024 kB\n").Read();
  EXPECT_GE(m.cpus, 1);
  EXPECT_EQ(m.memory_bytes, 1 << 20);
}

TEST(MachineTest, NonsenseIsNoLimit) {
  const Machine m = Root()
                        .Put("/proc/self/cgroup", "junk\n0:\n::\n0::/a\n")
                        .Put("/sys/fs/cgroup/a/cpu.max", "0 0\n")
                        .Put("/sys/fs/cgroup/a/memory.max", "-5\n")
                        .Read();
  EXPECT_GE(m.cpus, 1);
  EXPECT_EQ(m.memory_bytes, 0);
}

TEST(CheckCpuTest, TheProcessorThatRunsTheTestsWillDo) {
  EXPECT_TRUE(CheckCpu().has_value());
}

}  // namespace
}  // namespace aio
