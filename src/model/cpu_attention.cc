// SPDX-License-Identifier: Apache-2.0
#include "model/cpu_attention.h"

#include <algorithm>
#include <numeric>

#include "kernels/activations.h"
#include "kernels/matmul.h"
#include "kernels/vector_ops.h"
#include "tensor/tiles.h"

namespace aio::model {
namespace {

using kernels::kBlock;

static_assert(kernels::kKvBlock == kPageTokens,
              "a page holds one block of attention's arithmetic");

// Both are powers of two.
int64_t HeadsPerBand(const ModelConfig& config) {
  const int64_t dim = config.head_dim;
  const int64_t width = config.heads / config.kv_heads * dim;
  const int64_t heads = std::max(kTileRows / std::gcd(kTileRows, dim),
                                 kBlock / std::gcd(kBlock, width));
  return std::min<int64_t>(heads, config.kv_heads);
}

}  // namespace

CpuAttention::CpuAttention(const ModelConfig& config, const CpuOptions& options,
                           const kernels::RopeTable* rope, Scratch* scratch,
                           StageClock* clock)
    : config_(config),
      threads_(options.pool->threads()),
      rope_(*rope),
      scratch_(*scratch),
      clock_(*clock),
      kv_(config, options),
      rows_{int64_t{config.heads / config.kv_heads} * config.head_dim,
            config.head_dim, config.head_dim},
      head_rows_(rows_[0] + rows_[1] + rows_[2]),
      heads_per_band_(HeadsPerBand(config)),
      bands_((config.kv_heads + heads_per_band_ - 1) / heads_per_band_),
      computed_(static_cast<size_t>(bands_)),
      written_(static_cast<size_t>(config.kv_heads)),
      spans_(static_cast<size_t>(StepColumns::SplitTasks(threads_))),
      attended_(heads_per_band_ == 1
                    ? 0
                    : static_cast<size_t>(bands_ * options.columns_max)) {
  for (int t = 0; t < threads_; ++t) shares_.push_back(MakeShare(t));
}

void CpuAttention::BeginStep() {
  for (Arrivals& a : computed_) a.Clear();
  for (Arrivals& a : written_) a.Clear();
}

int64_t CpuAttention::HeadsOf(int64_t band) const {
  return std::min(heads_per_band_, config_.kv_heads - band * heads_per_band_);
}

// Rows of a product (0: q, 1: k, 2: v) before place `at` in the order of all
// rows: band by band, in a band q, k, v.
int64_t CpuAttention::RowAt(int product, int64_t at) const {
  const int64_t per_head = rows_[static_cast<size_t>(product)];
  const int64_t all = config_.kv_heads * per_head;
  const int64_t band_rows = heads_per_band_ * head_rows_;
  const int64_t band = at / band_rows;
  if (band >= bands_) return all;
  const int64_t heads = HeadsOf(band);
  const int64_t first =
      std::accumulate(rows_.begin(), rows_.begin() + product, int64_t{0});
  const int64_t row =
      band * heads_per_band_ * per_head +
      std::clamp(at % band_rows - first * heads, int64_t{0}, per_head * heads);
  return row == all ? all : row / kTileRows * kTileRows;
}

std::array<Range, 3> CpuAttention::MakeShare(int thread) const {
  const Range mine =
      Share(config_.kv_heads * head_rows_, thread, threads_, kTileRows);
  std::array<Range, 3> rows;
  for (int p = 0; p < 3; ++p) {
    rows[static_cast<size_t>(p)] = {RowAt(p, mine.begin), RowAt(p, mine.end)};
  }
  return rows;
}

void CpuAttention::RowsAreDone(int thread) {
  const std::array<Range, 3>& mine = RowsOf(thread);
  for (int64_t band = 0; band < bands_; ++band) {
    int64_t done = 0;
    for (size_t p = 0; p < mine.size(); ++p) {
      const int64_t first = band * heads_per_band_ * rows_[p];
      const int64_t end = first + HeadsOf(band) * rows_[p];
      done += std::max<int64_t>(
          0, std::min(end, mine[p].end) - std::max(first, mine[p].begin));
    }
    if (done > 0) {
      computed_[static_cast<size_t>(band)].Add(static_cast<int32_t>(done));
    }
  }
}

void CpuAttention::WriteKv(const Work& work, const StepColumns& columns,
                           int thread) {
  const int64_t n = columns.size();
  const Range mine = Share(config_.kv_heads * n, thread, threads_);
  for (int64_t at = mine.begin; at < mine.end;) {
    const int64_t head = at / n;
    const Range some = {at % n, std::min(n, at % n + mine.end - at)};
    const int64_t band = head / heads_per_band_;
    computed_[static_cast<size_t>(band)].Await(
        static_cast<int32_t>(work.count * HeadsOf(band) * head_rows_));
    Lap(thread, Stage::kMeeting);
    Turn(work, some, head);
    for (int64_t c = some.begin; c < some.end; ++c) {
      const ActiveColumn& column = columns[c];
      const int64_t row = c * config_.kv_heads + head;
      kv_.Write(work.layer, static_cast<int>(head),
                column.pages[column.position / kPageTokens],
                column.position % kPageTokens,
                scratch_.k.data() + row * config_.head_dim,
                scratch_.v.data() + row * config_.head_dim);
    }
    written_[static_cast<size_t>(head)].Add(static_cast<int32_t>(some.size()));
    Lap(thread, Stage::kNorms);
    at += some.size();
  }
}

// k of a KV head and q of the query heads that share it.
void CpuAttention::Turn(const Work& work, Range columns, int64_t kv_head) {
  const int dim = config_.head_dim;
  const auto turn = [&](const std::vector<float>& norm, int64_t heads,
                        int64_t column, float* x) {
    for (int64_t h = 0; h < heads && !norm.empty(); ++h) {
      kernels::RmsNorm(x + h * dim, norm.data(), dim, config_.norm_epsilon,
                       x + h * dim);
    }
    const int64_t at = column * (dim / 2);
    kernels::ApplyRope(rope_.style, dim, static_cast<int>(heads),
                       scratch_.cos.data() + at, scratch_.sin.data() + at, x);
  };
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    const int64_t row = c * config_.kv_heads + kv_head;
    turn(work.weights.q_norm, config_.heads / config_.kv_heads, c,
         scratch_.q.data() + row * rows_[0]);
    turn(work.weights.k_norm, 1, c, scratch_.k.data() + row * rows_[1]);
  }
}

void CpuAttention::Attend(const Work& work, const StepColumns& columns,
                          const StepColumns& asking, bool codes, int thread) {
  const auto written = static_cast<int32_t>(work.count * columns.size());
  asking.ForTasksOf(thread, [&](int head, const AttentionTask& task) {
    written_[static_cast<size_t>(head)].Await(written);
    Lap(thread, Stage::kMeeting);
    if (task.span == kAllSpans) {
      AttendTask(work, asking, head, task, thread);
    } else if (!AttendSpan(work, asking, head, task, thread)) {
      return;  // another thread merges
    }
    if (codes) Quantize(asking, head, task.columns);
    Lap(thread, Stage::kAttention);
  });
}

kernels::AttentionColumn CpuAttention::ColumnOf(const StepColumns& asking,
                                                int64_t c, int kv_head) {
  const int64_t row = asking[c].row * config_.kv_heads + kv_head;
  return {scratch_.q.data() + row * rows_[0],
          scratch_.heads.View(asking.size()).Values(c) + kv_head * rows_[0],
          asking[c].position};
}

float* CpuAttention::ScratchOf(int thread) {
  const auto all = static_cast<int64_t>(scratch_.attention.size());
  return scratch_.attention.data() + all / threads_ * thread;
}

void CpuAttention::AttendTask(const Work& work, const StepColumns& asking,
                              int kv_head, const AttentionTask& task,
                              int thread) {
  kernels::AttentionColumn columns[kPageTokens];
  const Range some = task.columns;
  for (int64_t c = some.begin; c < some.end; ++c) {
    columns[c - some.begin] = ColumnOf(asking, c, kv_head);
  }
  kernels::Attend(
      kv_.shape(), kv_.Of(work.layer, kv_head, asking[some.begin].pages),
      {columns, static_cast<size_t>(some.size())}, ScratchOf(thread));
}

// Whether the column's spans are all there and merged.
bool CpuAttention::AttendSpan(const Work& work, const StepColumns& asking,
                              int kv_head, const AttentionTask& task,
                              int thread) {
  const int64_t c = task.columns.begin;
  const kernels::AttentionColumn column = ColumnOf(asking, c, kv_head);
  const int64_t floats = kernels::SpanFloats(kv_.shape());
  const int64_t part = kv_head * asking.parts() + task.part;
  float* partial = scratch_.spans.data() + part * floats;
  kernels::AttendSpan(kv_.shape(), kv_.Of(work.layer, kv_head, asking[c].pages),
                      column, task.span, partial, ScratchOf(thread));
  Arrivals& spans = spans_[static_cast<size_t>(kv_head * asking.size() + c)];
  if (!spans.AddLast(kernels::SpansOf(column.position))) return false;
  kernels::MergeSpans(kv_.shape(), partial - task.span * floats, column);
  return true;
}

// Codes of the columns' outputs, by the last head of a band.
void CpuAttention::Quantize(const StepColumns& asking, int kv_head,
                            Range columns) {
  const kernels::Activations heads =
      scratch_.heads.View(asking.size(), asking.fine());
  const int64_t band = kv_head / heads_per_band_;
  const int64_t width = heads_per_band_ * rows_[0];
  // Behind the last band comes the padding.
  const Range blocks = {
      band * width / kBlock,
      (band + 1 == bands_ ? heads.stride : (band + 1) * width) / kBlock};
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    const auto at = static_cast<size_t>(band * asking.size() + c);
    if (HeadsOf(band) > 1 &&
        !attended_[at].AddLast(static_cast<int32_t>(HeadsOf(band)))) {
      continue;
    }
    kernels::QuantizeBlocks(heads, c, blocks);
  }
}

}  // namespace aio::model
