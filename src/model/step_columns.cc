// SPDX-License-Identifier: Apache-2.0
#include "model/step_columns.h"

#include <algorithm>

#include "kernels/attention.h"
#include "model/forward.h"

namespace aio::model {
namespace {

// What a task costs besides the positions it reads, in positions.
constexpr int64_t kTaskCost = 32;

bool SameBlock(const ActiveColumn& a, const ActiveColumn& b) {
  // Neighbours of one sequence have the very same list of pages.
  return a.pages == b.pages &&
         a.position / kPageTokens == b.position / kPageTokens;
}

}  // namespace

StepColumns::StepColumns(int columns_max, int context_max, int kv_heads,
                         int threads)
    : kv_heads_(kv_heads), threads_(threads) {
  columns_.reserve(static_cast<size_t>(columns_max));
  const int64_t split =
      SplitTasks(threads) * kernels::SpansOf(context_max - 1) / kv_heads;
  tasks_.reserve(static_cast<size_t>(std::max<int64_t>(columns_max, split)));
}

void StepColumns::Clear() {
  columns_.clear();
  tasks_.clear();
  fine_ = parts_ = cost_ = 0;
}

void StepColumns::AddTask(Range columns, int span, int64_t cost) {
  tasks_.push_back({columns, span, parts_, cost_ + cost / 2});
  ++parts_;
  cost_ += cost;
}

void StepColumns::CutTasks() {
  const auto is_long = [](const ActiveColumn& c) {
    return kernels::SpansOf(c.position) > 1;
  };
  const bool split = kv_heads_ % threads_ != 0 &&
                     size() * kv_heads_ < SplitTasks(threads_) &&
                     std::ranges::any_of(columns_, is_long);
  for (int64_t c = 0; split && c < size(); ++c) {
    const int64_t positions = (*this)[c].position + 1;
    for (int span = 0; span < kernels::SpansOf((*this)[c].position); ++span) {
      const int64_t left = positions - int64_t{span} * kernels::kKvSpan;
      AddTask({c, c + 1}, span,
              std::min<int64_t>(left, kernels::kKvSpan) + kTaskCost);
    }
  }
  for (int64_t c = 0; !split && c < size();) {
    Range range = {c, c};
    int64_t cost = 0;
    for (; c < size() && SameBlock((*this)[range.begin], (*this)[c]); ++c) {
      cost += (*this)[c].position + 1 + kTaskCost;
    }
    range.end = c;
    AddTask(range, kAllSpans, cost);
  }
}

}  // namespace aio::model
