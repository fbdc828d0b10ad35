// SPDX-License-Identifier: Apache-2.0
#include "eval/workload.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "base/random.h"

namespace aio::eval {
namespace {

// Fisher-Yates, keyed by (seed, stream).
void Shuffle(std::vector<size_t>* items, uint64_t seed, uint64_t stream) {
  for (size_t i = items->size(); i > 1; --i) {
    const auto at = static_cast<size_t>(RandomUnit(seed, stream, i) *
                                        static_cast<double>(i));
    std::swap((*items)[i - 1], (*items)[at]);
  }
}

// `count` of `from`, each round of them in another order.
void Draw(const std::vector<size_t>& from, int count, uint64_t seed,
          std::vector<size_t>* out) {
  std::vector<size_t> round;
  uint64_t rounds = 0;
  for (int i = 0; i < count; ++i) {
    if (round.empty()) {
      round = from;
      Shuffle(&round, seed, ++rounds);
    }
    out->push_back(round.back());
    round.pop_back();
  }
}

class Hash {
 public:
  void Add(std::string_view text) {
    Add(static_cast<uint64_t>(text.size()));
    for (const char c : text) {
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    }
  }
  void Add(uint64_t number) { hash_ = Mix(hash_ ^ number); }
  std::string Hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx",
                  static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  uint64_t hash_ = 0xCBF29CE484222325u;  // FNV-1a's offset
};

}  // namespace

Result<std::vector<size_t>> DrawWorkload(const std::vector<Task>& tasks,
                                         const WorkloadMix& mix) {
  std::array<std::vector<size_t>, core::kLabels> by_label;
  for (size_t i = 0; i < tasks.size(); ++i) {
    by_label[static_cast<size_t>(tasks[i].intent)].push_back(i);
  }
  const auto main = static_cast<size_t>(mix.main);
  std::vector<size_t> others;
  for (size_t i = 0; i < core::kLabels; ++i) {
    if (i != main && !by_label[i].empty()) others.push_back(i);
  }
  const std::string name(core::Name(mix.main));
  if (by_label[main].empty() || others.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "a workload around '" + name +
                     "' needs tasks of that intent and of another; there are " +
                     std::to_string(by_label[main].size()) + " and " +
                     std::to_string(tasks.size() - by_label[main].size()),
                 ""};
  }
  const int mains =
      static_cast<int>(std::lround(mix.requests * mix.main_share));
  const int rest = mix.requests - mains;
  std::vector<size_t> list;
  Draw(by_label[main], mains, Mix(mix.seed ^ main), &list);
  const int parts = static_cast<int>(others.size());
  for (int i = 0; i < parts; ++i) {
    const int count = rest * (i + 1) / parts - rest * i / parts;
    Draw(by_label[others[i]], count, Mix(mix.seed ^ others[i]), &list);
  }
  Shuffle(&list, mix.seed, 0);
  return list;
}

std::vector<Task> LimitTasks(std::vector<Task> tasks, int limit) {
  if (limit <= 0 || tasks.size() <= static_cast<size_t>(limit)) return tasks;
  std::array<std::vector<size_t>, core::kLabels> by_label;
  for (size_t i = 0; i < tasks.size(); ++i) {
    by_label[static_cast<size_t>(tasks[i].intent)].push_back(i);
  }
  std::vector<size_t> taken;
  for (size_t turn = 0; taken.size() < static_cast<size_t>(limit); ++turn) {
    for (const auto& of : by_label) {
      if (turn < of.size()) taken.push_back(of[turn]);
    }
  }
  taken.resize(static_cast<size_t>(limit));
  std::sort(taken.begin(), taken.end());
  std::vector<Task> out;
  for (const size_t i : taken) out.push_back(std::move(tasks[i]));
  return out;
}

std::string HashTasks(const std::vector<Task>& tasks) {
  Hash hash;
  for (const Task& task : tasks) {
    hash.Add(task.id);
    hash.Add(core::Name(task.intent));
    hash.Add(static_cast<uint64_t>(task.messages.size()));
    for (const core::Message& message : task.messages) {
      hash.Add(core::Name(message.role));
      hash.Add(message.content);
    }
    hash.Add(Name(task.checker));
    hash.Add(task.reference);
    hash.Add(task.prefix);
    hash.Add(task.entry_point);
    hash.Add(static_cast<uint64_t>(task.max_tokens));
    hash.Add(static_cast<uint64_t>(task.stop.size()));
    for (const std::string& stop : task.stop) hash.Add(stop);
  }
  return hash.Hex();
}

}  // namespace aio::eval
