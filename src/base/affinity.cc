// SPDX-License-Identifier: Apache-2.0
#include "base/affinity.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

namespace aio {
namespace {

constexpr int kCpus = CPU_SETSIZE;

// The number that `text` begins with, which is cut off; -1 if there is none.
int TakeNumber(std::string_view* text) {
  int value = -1;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || value < 0 || value >= kCpus) return -1;
  text->remove_prefix(static_cast<size_t>(at - text->data()));
  return value;
}

// Whether `cpu` is the first of the threads of its core. The file says "0,64"
// or "0-1"; where there is none, each is a core.
bool IsFirstOfCore(const std::string& root, int cpu) {
  std::ifstream in(root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                   "/topology/thread_siblings_list");
  int first = cpu;
  in >> first;
  return !in || first == cpu;
}

}  // namespace

Result<std::vector<int>> ParseCpuList(std::string_view text) {
  const Error bad = {ErrorCode::kInvalidArgument,
                     "'" + std::string(text) +
                         "' is no list of processors like 0-3,8, each once and "
                         "below " +
                         std::to_string(kCpus),
                     ""};
  std::vector<int> cpus;
  for (;;) {
    const int first = TakeNumber(&text);
    int last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = TakeNumber(&text);
    }
    if (first < 0 || last < first) return bad;
    for (int cpu = first; cpu <= last; ++cpu) {
      if (std::ranges::find(cpus, cpu) != cpus.end()) return bad;
      cpus.push_back(cpu);
    }
    if (text.empty()) return cpus;
    if (!text.starts_with(',')) return bad;
    text.remove_prefix(1);
  }
}

std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < kCpus; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> CoresFirst(std::vector<int> cpus, const std::string& root) {
  std::stable_partition(cpus.begin(), cpus.end(),
                        [&](int cpu) { return IsFirstOfCore(root, cpu); });
  return cpus;
}

Result<void> PinThisThread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0 && cpu < kCpus) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return Error{ErrorCode::kUnavailable,
               "cannot pin a thread to processor " + std::to_string(cpu) +
                   ": " + std::strerror(errno),
               ""};
}

}  // namespace aio
