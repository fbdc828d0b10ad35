// SPDX-License-Identifier: Apache-2.0
#include "base/machine.h"

#include <sched.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <vector>

namespace aio {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The number the file begins with; kNoLimit for "max", absence or nonsense.
int64_t ReadLimit(const std::string& path) {
  std::istringstream in(ReadFile(path));
  int64_t value = 0;
  return in >> value && value > 0 ? value : kNoLimit;
}

// "/a/b" -> "/a/b", "/a", "": a limit of any parent binds as well.
std::vector<std::string> WithParents(std::string group) {
  std::vector<std::string> out;
  while (!group.empty() && group != "/") {
    out.push_back(group);
    group.erase(group.rfind('/'));
  }
  out.push_back("");
  return out;
}

// The process's group in the hierarchy of `controller`; "" means version 2.
std::string GroupOf(const std::string& root, std::string_view controller) {
  std::istringstream in(ReadFile(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    if (controller.empty() && second == first + 1) {
      return line.substr(second + 1);
    }
    for (std::string name; std::getline(names, name, ',');) {
      if (name == controller) return line.substr(second + 1);
    }
  }
  return "";
}

// Processors that a quota of `quota` microseconds per `period` is worth.
int64_t CpusOf(int64_t quota, int64_t period) {
  if (quota == kNoLimit || period == kNoLimit) return kNoLimit;
  return std::max<int64_t>(1, quota / period);
}

int64_t CgroupCpus(const std::string& root) {
  int64_t cpus = kNoLimit;
  const std::string base = root + "/sys/fs/cgroup";
  for (const std::string& group : WithParents(GroupOf(root, ""))) {
    std::istringstream in(ReadFile(base + group + "/cpu.max"));
    int64_t quota = 0;  // "max" is no number: no limit
    int64_t period = 0;
    if (in >> quota >> period && quota > 0 && period > 0) {
      cpus = std::min(cpus, CpusOf(quota, period));
    }
  }
  for (const std::string& group : WithParents(GroupOf(root, "cpu"))) {
    const std::string dir = base + "/cpu" + group;
    cpus = std::min(cpus, CpusOf(ReadLimit(dir + "/cpu.cfs_quota_us"),
                                 ReadLimit(dir + "/cpu.cfs_period_us")));
  }
  return cpus;
}

int64_t CgroupMemory(const std::string& root) {
  int64_t bytes = kNoLimit;
  const std::string base = root + "/sys/fs/cgroup";
  for (const std::string& group : WithParents(GroupOf(root, ""))) {
    bytes = std::min(bytes, ReadLimit(base + group + "/memory.max"));
  }
  for (const std::string& group : WithParents(GroupOf(root, "memory"))) {
    bytes = std::min(
        bytes, ReadLimit(base + "/memory" + group + "/memory.limit_in_bytes"));
  }
  return bytes;
}

// The value of "key: 123 kB" or "key : text" in a /proc file.
std::string ProcField(const std::string& path, std::string_view key) {
  std::istringstream in(ReadFile(path));
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

// The largest of the first processor's caches: the last level.
int64_t CacheBytes(const std::string& root) {
  int64_t most = 0;
  for (int i = 0; i < 8; ++i) {
    std::istringstream in(ReadFile(root + "/sys/devices/system/cpu/cpu0/cache" +
                                   "/index" + std::to_string(i) + "/size"));
    int64_t size = 0;
    char unit = 'B';
    if (!(in >> size)) continue;
    in >> unit;
    most = std::max(most, size << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0));
  }
  return most;
}

int AffinityCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// Features by the name that /proc/cpuinfo has for them.
struct Feature {
  const char* name;
  bool here;
};

#if defined(__aarch64__)

std::vector<Feature> NeededFeatures() {
  const unsigned long has = getauxval(AT_HWCAP);
  return {
#if defined(__ARM_FEATURE_DOTPROD)
    {"asimddp", (has & HWCAP_ASIMDDP) != 0},
#endif
#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
        {"asimdhp", (has & HWCAP_ASIMDHP) != 0},
#endif
#if defined(__ARM_FEATURE_ATOMICS)
        {"atomics", (has & HWCAP_ATOMICS) != 0},
#endif
        {"asimd", (has & HWCAP_ASIMD) != 0},
  };
}

#else

std::vector<Feature> NeededFeatures() { return {}; }

#endif

}  // namespace

Result<void> CheckCpu() {
  std::string missing;
  for (const Feature& feature : NeededFeatures()) {
    if (!feature.here) missing += std::string(" ") + feature.name;
  }
  if (missing.empty()) return {};
  return Error{ErrorCode::kUnsupported,
               "this processor lacks what the program was built to use:" +
                   missing + "; build it with cmake -DAIO_ARM_ARCH=armv8-a",
               ""};
}

Machine ReadMachine(const std::string& root) {
  Machine machine;
  machine.cpus =
      static_cast<int>(std::min<int64_t>(AffinityCpus(), CgroupCpus(root)));
  const int64_t total_kb =
      std::atoll(ProcField(root + "/proc/meminfo", "MemTotal").c_str());
  const int64_t limit = CgroupMemory(root);
  machine.memory_bytes =
      total_kb > 0 ? std::min(total_kb * 1024, limit) : limit;
  if (machine.memory_bytes == kNoLimit) machine.memory_bytes = 0;
  machine.cpu_name = ProcField(root + "/proc/cpuinfo", "model name");
  machine.cache_bytes = CacheBytes(root);
  return machine;
}

}  // namespace aio
