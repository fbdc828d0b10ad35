// SPDX-License-Identifier: Apache-2.0
//
// Attention of a layer on the CPU, from the products of q, k and v to the input
// of the output product, without a meeting of all threads. Rows of q, k and v
// are shared out by KV heads, so whoever attends to a head waits for those who
// had rows of it, mostly itself; what several threads make together goes on
// with the last of them.
//
// Thread safety: functions with `thread` are called by every thread of the
// pool, in the order below; the others while no step runs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/arrivals.h"
#include "base/thread_pool.h"
#include "kernels/attention.h"
#include "kernels/rope.h"
#include "model/cpu_forward.h"
#include "model/cpu_scratch.h"
#include "model/stage_clock.h"
#include "model/step_columns.h"
#include "model/weights.h"

namespace aio::model {

class CpuAttention {
 public:
  // One layer of a step.
  struct Work {
    const LayerWeights& weights;
    int layer;
    int count;  // layers of this step computed so far, this one included
  };

  // `rope`, `scratch` and `clock` must outlive it.
  CpuAttention(const ModelConfig& config, const CpuOptions& options,
               const kernels::RopeTable* rope, Scratch* scratch,
               StageClock* clock);

  KvMemory& kv() { return kv_; }
  const KvMemory& kv() const { return kv_; }
  void BeginStep();

  // Rows of q, k and v that a thread computes, for all columns.
  const std::array<Range, 3>& RowsOf(int thread) const {
    return shares_[static_cast<size_t>(thread)];
  }
  void RowsAreDone(int thread);
  // Turns this thread's part of q and k, normalised where the family does, and
  // writes k and v to their pages. All of `columns` is written before any
  // column reads it. Angles are in scratch.
  void WriteKv(const Work& work, const StepColumns& columns, int thread);
  // scratch.heads of `asking`, some of `columns`, in codes too if `codes`.
  void Attend(const Work& work, const StepColumns& columns,
              const StepColumns& asking, bool codes, int thread);

 private:
  // A band is the fewest KV heads whose rows of q, k and v are whole tiles and
  // whose outputs are whole blocks of codes: one, unless heads are small.
  int64_t HeadsOf(int64_t band) const;
  int64_t RowAt(int product, int64_t at) const;
  std::array<Range, 3> MakeShare(int thread) const;
  void Turn(const Work& work, Range columns, int64_t kv_head);
  void AttendTask(const Work& work, const StepColumns& asking, int kv_head,
                  const AttentionTask& task, int thread);
  bool AttendSpan(const Work& work, const StepColumns& asking, int kv_head,
                  const AttentionTask& task, int thread);
  void Quantize(const StepColumns& asking, int kv_head, Range columns);
  kernels::AttentionColumn ColumnOf(const StepColumns& asking, int64_t c,
                                    int kv_head);
  float* ScratchOf(int thread);
  void Lap(int thread, Stage stage) {
    if (thread == 0) clock_.Lap(stage);
  }

  const ModelConfig config_;
  const int threads_;
  const kernels::RopeTable& rope_;
  Scratch& scratch_;
  StageClock& clock_;
  KvMemory kv_;
  // Per KV head: rows of q, k and v, in this order, and of all three.
  const std::array<int64_t, 3> rows_;
  const int64_t head_rows_;
  const int64_t heads_per_band_;
  const int64_t bands_;
  std::vector<std::array<Range, 3>> shares_;  // [threads]
  std::vector<Arrivals> computed_;            // [bands]: rows
  std::vector<Arrivals> written_;             // [kv_heads]: columns
  std::vector<Arrivals> spans_;     // [SplitTasks]: of a column and KV head
  std::vector<Arrivals> attended_;  // [bands, columns_max]: KV heads
};

}  // namespace aio::model
