// SPDX-License-Identifier: Apache-2.0
//
// Columns of one step of the CPU, and how attention over them is cut into tasks
// that fall to threads by what they cost.
//
// Thread safety: plain data.
// Cost: no allocation after the constructor.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace aio::model {

struct ActiveColumn {
  int32_t token;
  int32_t position;
  const int32_t* pages;
  int64_t row;  // among all columns of the step
  bool fine;    // reads both planes of nested weights
};

// Attention of some columns, of any KV head.
struct AttentionTask {
  Range columns;   // neighbours of one sequence that read the same block last
  int span;        // of the one column; kAllSpans
  int64_t part;    // counts the spans before it
  int64_t middle;  // half its cost, and the whole cost of the tasks before it
};
inline constexpr int kAllSpans = -1;

class StepColumns {
 public:
  // Threads share the tasks of all KV heads. `columns_max` and `context_max`:
  // what there will be room for.
  StepColumns(int columns_max, int context_max, int kv_heads, int threads);

  // Fewer pairs of a column and a KV head than this may be split into spans of
  // their contexts: else some threads would wait for others.
  static int64_t SplitTasks(int64_t threads) {
    return threads > 1 ? 2 * threads : 0;
  }

  void Clear();
  // REQUIRES: the fine ones come first.
  void Add(const ActiveColumn& column) {
    columns_.push_back(column);
    fine_ += column.fine;
  }
  // Makes the tasks, after the last Add.
  void CutTasks();

  bool empty() const { return columns_.empty(); }
  int64_t size() const { return static_cast<int64_t>(columns_.size()); }
  int64_t fine() const { return fine_; }
  const ActiveColumn& operator[](int64_t i) const {
    return columns_[static_cast<size_t>(i)];
  }
  // Of one KV head, in all tasks.
  int64_t parts() const { return parts_; }

  // fn(kv_head, task) for each that falls to `thread`.
  template <typename Function>
  void ForTasksOf(int thread, const Function& fn) const {
    const Range mine = Share(cost_ * kv_heads_, thread, threads_);
    for (int head = 0; head < kv_heads_; ++head) {
      const int64_t before = head * cost_;
      if (before + cost_ <= mine.begin || before >= mine.end) continue;
      for (const AttentionTask& task : tasks_) {
        const int64_t at = before + task.middle;
        if (at >= mine.begin && at < mine.end) fn(head, task);
      }
    }
  }

 private:
  void AddTask(Range columns, int span, int64_t cost);

  const int kv_heads_;
  const int threads_;
  std::vector<ActiveColumn> columns_;
  std::vector<AttentionTask> tasks_;
  int64_t fine_ = 0;
  int64_t parts_ = 0;
  int64_t cost_ = 0;  // of all tasks of one KV head
};

}  // namespace aio::model
