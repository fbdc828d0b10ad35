// SPDX-License-Identifier: Apache-2.0
//
// One step on the CPU. All threads of the pool run the same functions, each on
// its share, and meet where one needs what the others wrote: four times a layer
// if the KV heads divide by the threads and the step is of at most
// kColumnsPerPass columns, a few times more otherwise.
#include "model/cpu_forward.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/activations.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/rope.h"
#include "kernels/vector_ops.h"
#include "model/config.h"
#include "model/cpu_scratch.h"
#include "model/stage_clock.h"
#include "model/weights.h"
#include "tensor/block_formats.h"
#include "tensor/matrix.h"

namespace aio::model {
namespace {

using kernels::Activations;
using kernels::kBlock;

static_assert(kernels::kKvBlock == kPageTokens,
              "a page holds one block of attention's arithmetic");

// Rows per thread are cut at multiples of this.
constexpr int64_t kRowGrain = kTileRows;

bool NeedCodes(std::initializer_list<const Linear*> products) {
  return std::ranges::any_of(products, [](const Linear* l) {
    return kernels::TakesCodes(l->matrix.type);
  });
}

// One column of the step under way.
struct ActiveColumn {
  int32_t token;
  int32_t position;
  const int32_t* pages;
  bool logits;
};

class CpuForward final : public Forward {
 public:
  CpuForward(ModelConfig config, Weights weights,
             AlignedBuffer<std::byte> tiles, const CpuOptions& options)
      : config_(std::move(config)),
        weights_(std::move(weights)),
        tiles_(std::move(tiles)),
        options_(options),
        pool_(*options.pool),
        rope_(MakeRope(config_, weights_)),
        kv_(config_, options),
        scratch_(ScratchSizes(config_, options)),
        clock_(options.profile) {
    columns_.reserve(static_cast<size_t>(options.columns_max));
    ranges_.reserve(static_cast<size_t>(options.columns_max));
    const int threads = pool_.threads();
    const int64_t width =
        int64_t{config_.heads / config_.kv_heads} * config_.head_dim;
    owns_heads_ = config_.kv_heads % threads == 0 &&
                  config_.head_dim % kRowGrain == 0 &&
                  config_.kv_heads / threads * width % kBlock == 0;
  }

  int vocabulary() const override { return config_.vocabulary; }
  int context_tokens_max() const override { return options_.context_max; }
  int layers() const override { return config_.layers; }
  int columns_max() const override { return options_.columns_max; }
  int pages() const override { return options_.pages; }
  int64_t weight_bytes() const override { return weights_.step_bytes(); }
  int64_t kv_bytes_per_token() const override {
    return kv_.page_bytes() / kPageTokens;
  }
  std::vector<StageTime> Profile() const override { return clock_.Times(); }

  void CopyPage(int32_t from, int32_t to) override {
    CHECK(done_);
    kv_.CopyPage(from, to);
  }
  void Begin(std::span<const Column> columns) override;
  bool Advance(int layers) override;
  void Skip(int layers) override {
    CHECK(!done_ && layers >= 0 && layer_ + layers < config_.layers);
    layer_ += layers;
  }
  std::span<const float> Logits(int i) const override;

 private:
  // y = linear(x), rows of [stride].
  struct Product {
    const Linear* linear;
    float* y;
    int64_t stride;
  };

  static kernels::RopeTable MakeRope(const ModelConfig& config,
                                     const Weights& weights) {
    kernels::RopeParameters parameters = config.rope;
    parameters.frequency_divisors = weights.rope_divisors;
    return kernels::MakeRopeTable(parameters);
  }

  int columns() const { return static_cast<int>(columns_.size()); }
  Range ShareOf(int64_t total, int thread, int64_t grain = 1) const {
    return Share(total, thread, pool_.threads(), grain);
  }
  void Lap(int thread, Stage stage) {
    if (thread == 0) clock_.Lap(stage);
  }
  // Waits for the other threads; what this one did since was `stage`.
  void Meet(int thread, Stage stage) {
    Lap(thread, stage);
    pool_.Meet();
    Lap(thread, Stage::kMeeting);
  }

  void EmbedColumns(Range columns);
  // Rows of one product for all columns, bias included.
  void ProductRows(const Product& product, const Activations& x, Range rows);
  // This thread's rows of all of them together.
  void Products(std::initializer_list<Product> products, const Activations& x,
                int thread);
  // residual += linear(x).
  void AddProduct(const Linear& linear, const Activations& x, int thread);
  // norm(residual), and its codes.
  Activations Norm(const std::vector<float>& weight, bool codes, int thread);
  // The codes of numbers [from, to) of all columns; behind the last number come
  // those of the padding.
  void Quantize(const Activations& x, Range numbers);

  void Layer(int index, int thread);
  void QueryKeyValue(const LayerWeights& w, int index, int thread);
  void TurnAndWrite(const LayerWeights& w, int index, Range columns,
                    Range kv_heads);
  void Attend(int index, int thread);
  void AttendBySpans(int index, int thread);
  void AttendRange(int index, Range columns, int kv_head, int thread);
  float* AttentionScratch(int thread);
  kernels::AttentionColumn ColumnOf(int64_t c, int kv_head);
  void FindRanges();
  void FeedForward(const LayerWeights& w, int thread);
  void Head(int thread);
  void KeepColumnsWithLogits(int thread);

  const ModelConfig config_;
  const Weights weights_;
  const AlignedBuffer<std::byte> tiles_;  // what weights_ look at
  const CpuOptions options_;
  ThreadPool& pool_;
  const kernels::RopeTable rope_;
  KvMemory kv_;
  Scratch scratch_;
  StageClock clock_;
  // Each thread computes and attends to KV heads of its own, with the query
  // heads that share them: nobody waits between the two.
  bool owns_heads_ = false;
  std::vector<ActiveColumn> columns_;  // capacity columns_max: no allocation
  // Columns that read the same block last: neighbours of one sequence.
  std::vector<Range> ranges_;
  int layer_ = 0;   // the next one of the step under way
  int logits_ = 0;  // columns of the step that ask
  bool done_ = true;
};

void CpuForward::ProductRows(const Product& product, const Activations& x,
                             Range rows) {
  const Linear& linear = *product.linear;
  kernels::MatMul(linear.tiles, x, rows, product.y, product.stride);
  if (linear.bias.empty()) return;
  for (int c = 0; c < columns(); ++c) {
    kernels::AddTo(linear.bias.data() + rows.begin, rows.size(),
                   product.y + c * product.stride + rows.begin);
  }
}

void CpuForward::Products(std::initializer_list<Product> products,
                          const Activations& x, int thread) {
  int64_t total = 0;
  for (const Product& p : products) total += p.linear->matrix.rows;
  const Range mine = ShareOf(total, thread, kRowGrain);
  int64_t first = 0;  // of this product among all rows
  for (const Product& p : products) {
    const int64_t rows = p.linear->matrix.rows;
    // Tiles begin anew with each matrix.
    const auto cut = [&](int64_t at) {
      const int64_t row = std::clamp(at - first, int64_t{0}, rows);
      return row == rows ? rows : row / kRowGrain * kRowGrain;
    };
    ProductRows(p, x, {cut(mine.begin), cut(mine.end)});
    first += rows;
  }
}

void CpuForward::AddProduct(const Linear& linear, const Activations& x,
                            int thread) {
  const int64_t hidden = config_.hidden;
  const Range mine = ShareOf(hidden, thread, kRowGrain);
  ProductRows({&linear, scratch_.out.data(), hidden}, x, mine);
  for (int c = 0; c < columns(); ++c) {
    const int64_t at = c * hidden + mine.begin;
    kernels::AddTo(scratch_.out.data() + at, mine.size(),
                   scratch_.residual.data() + at);
  }
}

void CpuForward::Quantize(const Activations& x, Range numbers) {
  const int64_t end = numbers.end == x.depth ? x.stride : numbers.end;
  for (int c = 0; c < columns(); ++c) {
    kernels::QuantizeBlocks(x, c, {numbers.begin / kBlock, end / kBlock});
  }
}

// A few columns are computed by every thread for itself, which takes less time
// than waiting for each other; many are shared.
Activations CpuForward::Norm(const std::vector<float>& weight, bool codes,
                             int thread) {
  const bool alone = columns() <= kernels::kColumnsPerPass;
  const Activations x =
      alone ? scratch_.own_normed[static_cast<size_t>(thread)].View(columns())
            : scratch_.normed.View(columns());
  const Range mine = alone ? Range{0, columns()} : ShareOf(columns(), thread);
  for (int64_t c = mine.begin; c < mine.end; ++c) {
    kernels::RmsNorm(scratch_.residual.data() + c * config_.hidden,
                     weight.data(), config_.hidden, config_.norm_epsilon,
                     x.Values(c));
    if (codes) kernels::QuantizeColumns(x, {c, c + 1});
  }
  if (alone) {
    Lap(thread, Stage::kNorms);
  } else {
    Meet(thread, Stage::kNorms);
  }
  return x;
}

void CpuForward::Begin(std::span<const Column> columns) {
  CHECK(done_);
  CHECK(!columns.empty() &&
        columns.size() <= static_cast<size_t>(options_.columns_max));
  columns_.clear();
  logits_ = 0;
  for (const Column& c : columns) {
    CHECK(c.token >= 0 && c.token < config_.vocabulary);
    CHECK(c.position >= 0 && c.position < options_.context_max);
    CHECK(c.pages.size() > static_cast<size_t>(c.position / kPageTokens));
    columns_.push_back({c.token, c.position, c.pages.data(), c.logits});
    logits_ += c.logits ? 1 : 0;
  }
  CHECK(logits_ <= options_.logits_max);
  FindRanges();
  clock_.Start();
  if (columns.size() <= kernels::kColumnsPerPass) {
    EmbedColumns({0, this->columns()});
  } else {
    pool_.Run(
        [&](int thread) { EmbedColumns(ShareOf(this->columns(), thread)); });
  }
  clock_.Lap(Stage::kNorms);
  layer_ = 0;
  done_ = false;
}

void CpuForward::EmbedColumns(Range columns) {
  const int64_t angles = config_.head_dim / 2;
  const WeightMatrix& table = weights_.embedding;
  const auto hidden = static_cast<size_t>(config_.hidden);
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    const ActiveColumn& column = columns_[static_cast<size_t>(c)];
    DecodeRow(
        table.type,
        {table.Row(column.token), static_cast<size_t>(table.row_bytes)},
        {scratch_.residual.data() + static_cast<size_t>(c) * hidden, hidden});
    kernels::RopeAngles(rope_, column.position,
                        scratch_.cos.data() + c * angles,
                        scratch_.sin.data() + c * angles);
  }
}

bool CpuForward::Advance(int layers) {
  if (done_ || layers <= 0) return done_;
  const int left = config_.layers - layer_;
  const int end = layer_ + std::min(layers, left);
  const bool head = layers > left && logits_ > 0;
  clock_.Start();
  pool_.Run([&](int thread) {
    for (int i = layer_; i < end; ++i) Layer(i, thread);
    if (head) Head(thread);
  });
  clock_.Lap(Stage::kMeeting);
  layer_ = end;
  done_ = layer_ == config_.layers && (head || logits_ == 0);
  return done_;
}

std::span<const float> CpuForward::Logits(int i) const {
  CHECK(done_ && i >= 0 && i < logits_);
  const auto n = static_cast<size_t>(config_.vocabulary);
  return {scratch_.logits.data() + static_cast<size_t>(i) * n, n};
}

void CpuForward::Layer(int index, int thread) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(index)];
  QueryKeyValue(w, index, thread);
  if (index == config_.layers - 1) KeepColumnsWithLogits(thread);
  if (columns_.empty()) return;
  Attend(index, thread);
  const Activations heads = scratch_.heads.View(columns());
  if (NeedCodes({&w.o})) {
    if (!owns_heads_) Meet(thread, Stage::kAttention);
    Quantize(heads, owns_heads_ ? ShareOf(heads.depth, thread,
                                          heads.depth / pool_.threads())
                                : ShareOf(heads.depth, thread, kBlock));
  }
  Meet(thread, Stage::kAttention);
  AddProduct(w.o, heads, thread);
  Meet(thread, Stage::kMatMul);
  FeedForward(w, thread);
}

// q, k and v of all columns; k and v are in their pages before any column,
// those of this step included, reads them.
void CpuForward::QueryKeyValue(const LayerWeights& w, int index, int thread) {
  const Activations x =
      Norm(w.attention_norm, NeedCodes({&w.q, &w.k, &w.v}), thread);
  const Product products[] = {{&w.q, scratch_.q.data(), w.q.matrix.rows},
                              {&w.k, scratch_.k.data(), w.k.matrix.rows},
                              {&w.v, scratch_.v.data(), w.v.matrix.rows}};
  if (owns_heads_) {
    for (const Product& p : products) {
      const int64_t rows = p.linear->matrix.rows;
      ProductRows(p, x, ShareOf(rows, thread, rows / pool_.threads()));
    }
    Lap(thread, Stage::kMatMul);
    TurnAndWrite(w, index, {0, columns()}, ShareOf(config_.kv_heads, thread));
    Lap(thread, Stage::kNorms);
    return;
  }
  Products({products[0], products[1], products[2]}, x, thread);
  Meet(thread, Stage::kMatMul);
  TurnAndWrite(w, index, ShareOf(columns(), thread), {0, config_.kv_heads});
  Meet(thread, Stage::kNorms);
}

// Turns q and k of some KV heads and the query heads that share them,
// normalises them where the family does, and writes k and v to their pages.
void CpuForward::TurnAndWrite(const LayerWeights& w, int index, Range columns,
                              Range kv_heads) {
  const int dim = config_.head_dim;
  const int64_t group = config_.heads / config_.kv_heads;
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
    const ActiveColumn& column = columns_[static_cast<size_t>(c)];
    float* q = scratch_.q.data() + c * w.q.matrix.rows;
    float* k = scratch_.k.data() + c * w.k.matrix.rows;
    const float* v = scratch_.v.data() + c * w.v.matrix.rows;
    turn(w.q_norm, kv_heads.size() * group, c,
         q + kv_heads.begin * group * dim);
    turn(w.k_norm, kv_heads.size(), c, k + kv_heads.begin * dim);
    const int32_t page = column.pages[column.position / kPageTokens];
    for (int64_t h = kv_heads.begin; h < kv_heads.end; ++h) {
      kv_.Write(index, static_cast<int>(h), page, column.position % kPageTokens,
                k + h * dim, v + h * dim);
    }
  }
}

kernels::AttentionColumn CpuForward::ColumnOf(int64_t c, int kv_head) {
  const kernels::AttentionShape& shape = kv_.shape();
  const int64_t width = int64_t{shape.heads} * shape.head_dim;
  const int64_t all = int64_t{config_.heads} * config_.head_dim;
  return {scratch_.q.data() + c * all + kv_head * width,
          scratch_.heads.View(columns()).Values(c) + kv_head * width,
          columns_[static_cast<size_t>(c)].position};
}

// Neighbours of one sequence have the very same list of pages.
void CpuForward::FindRanges() {
  ranges_.clear();
  for (int64_t begin = 0; begin < columns(); begin = ranges_.back().end) {
    const ActiveColumn& first = columns_[static_cast<size_t>(begin)];
    int64_t end = begin + 1;
    for (; end < columns(); ++end) {
      const ActiveColumn& next = columns_[static_cast<size_t>(end)];
      if (next.pages != first.pages ||
          next.position / kPageTokens != first.position / kPageTokens) {
        break;
      }
    }
    ranges_.push_back({begin, end});
  }
}

float* CpuForward::AttentionScratch(int thread) {
  const auto all = static_cast<int64_t>(scratch_.attention.size());
  return scratch_.attention.data() + all / pool_.threads() * thread;
}

void CpuForward::AttendRange(int index, Range range, int kv_head, int thread) {
  kernels::AttentionColumn columns[kPageTokens];
  for (int64_t c = range.begin; c < range.end; ++c) {
    columns[c - range.begin] = ColumnOf(c, kv_head);
  }
  const auto first = static_cast<size_t>(range.begin);
  kernels::Attend(kv_.shape(), kv_.Of(index, kv_head, columns_[first].pages),
                  {columns, static_cast<size_t>(range.size())},
                  AttentionScratch(thread));
}

void CpuForward::Attend(int index, int thread) {
  const auto ranges = static_cast<int64_t>(ranges_.size());
  if (owns_heads_) {
    const Range heads = ShareOf(config_.kv_heads, thread);
    for (int64_t i = 0; i < ranges * heads.size(); ++i) {
      AttendRange(index, ranges_[static_cast<size_t>(i / heads.size())],
                  static_cast<int>(heads.begin + i % heads.size()), thread);
    }
    return;
  }
  const int64_t heads = config_.kv_heads;
  const bool few = columns() * heads < SplitTasks(pool_.threads());
  const auto is_long = [](const ActiveColumn& c) {
    return kernels::SpansOf(c.position) > 1;
  };
  if (few && std::ranges::any_of(columns_, is_long)) {
    return AttendBySpans(index, thread);
  }
  // In turns: later columns of a prompt attend to more.
  for (int64_t i = thread; i < ranges * heads; i += pool_.threads()) {
    AttendRange(index, ranges_[static_cast<size_t>(i / heads)],
                static_cast<int>(i % heads), thread);
  }
}

void CpuForward::AttendBySpans(int index, int thread) {
  const int64_t heads = config_.kv_heads;
  const int64_t floats = kernels::SpanFloats(kv_.shape());
  int64_t spans = 0;
  for (const ActiveColumn& c : columns_) {
    spans = std::max<int64_t>(spans, kernels::SpansOf(c.position));
  }
  const int64_t tasks = columns() * heads;
  for (int64_t i = thread; i < tasks * spans; i += pool_.threads()) {
    const int64_t task = i / spans;
    const auto head = static_cast<int>(task % heads);
    const auto span = static_cast<int>(i % spans);
    const auto column = ColumnOf(task / heads, head);
    if (span >= kernels::SpansOf(column.position)) continue;
    const auto* pages = columns_[static_cast<size_t>(task / heads)].pages;
    kernels::AttendSpan(kv_.shape(), kv_.Of(index, head, pages), column, span,
                        scratch_.spans.data() + i * floats,
                        AttentionScratch(thread));
  }
  Meet(thread, Stage::kAttention);
  for (int64_t i = thread; i < tasks; i += pool_.threads()) {
    kernels::MergeSpans(kv_.shape(), scratch_.spans.data() + i * spans * floats,
                        ColumnOf(i / heads, static_cast<int>(i % heads)));
  }
}

void CpuForward::FeedForward(const LayerWeights& w, int thread) {
  const Activations x = Norm(w.ffn_norm, NeedCodes({&w.gate, &w.up}), thread);
  const Activations act = scratch_.act.View(columns());
  const int64_t n = config_.feed_forward;
  // Whole blocks of codes, which are made where the numbers are.
  const Range mine = ShareOf(n, thread, kBlock);
  ProductRows({&w.gate, act.values, act.stride}, x, mine);
  ProductRows({&w.up, scratch_.up.data(), n}, x, mine);
  Lap(thread, Stage::kMatMul);
  for (int c = 0; c < columns(); ++c) {
    float* gate = act.Values(c) + mine.begin;
    kernels::SiluGate(gate, scratch_.up.data() + c * n + mine.begin,
                      mine.size(), gate);
  }
  if (NeedCodes({&w.down}) && mine.size() > 0) Quantize(act, mine);
  Meet(thread, Stage::kNorms);
  AddProduct(w.down, act, thread);
  Meet(thread, Stage::kMatMul);
}

// After the last layer's keys and values are written, only columns whose logits
// are read are of any use.
void CpuForward::KeepColumnsWithLogits(int thread) {
  if (logits_ == columns()) return;
  Meet(thread, Stage::kNorms);
  if (thread == 0) {
    const auto move = [](AlignedBuffer<float>& rows, int64_t width, size_t to,
                         size_t from) {
      const auto n = static_cast<size_t>(width);
      std::memmove(rows.data() + to * n, rows.data() + from * n,
                   n * sizeof(float));
    };
    size_t kept = 0;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (!columns_[c].logits) continue;
      if (kept != c) {
        move(scratch_.residual, config_.hidden, kept, c);
        move(scratch_.q, int64_t{config_.heads} * config_.head_dim, kept, c);
        columns_[kept] = columns_[c];
      }
      ++kept;
    }
    columns_.resize(kept);
    FindRanges();
  }
  Meet(thread, Stage::kNorms);
}

void CpuForward::Head(int thread) {
  const Activations x =
      Norm(weights_.output_norm, NeedCodes({&weights_.output}), thread);
  Products({{&weights_.output, scratch_.logits.data(), config_.vocabulary}}, x,
           thread);
  Lap(thread, Stage::kMatMul);
}

Error BadOption(const std::string& what) {
  return {ErrorCode::kInvalidArgument, what, ""};
}

// Fills in what is left to defaults.
Result<CpuOptions> Checked(const ModelConfig& config, CpuOptions options) {
  constexpr int kColumnsMax = 1 << 16;
  if (options.columns_max < 1 || options.columns_max > kColumnsMax) {
    return BadOption("columns_max must be 1 to " + std::to_string(kColumnsMax));
  }
  if (options.context_max < 0 || options.logits_max < 0) {
    return BadOption("context_max and logits_max must not be negative");
  }
  if (options.context_max == 0 || options.context_max > config.context_length) {
    options.context_max = config.context_length;
  }
  if (options.logits_max == 0 || options.logits_max > options.columns_max) {
    options.logits_max = options.columns_max;
  }
  return options;
}

}  // namespace

Result<MemoryNeeds> PlanMemory(const gguf::File& file,
                               const CpuOptions& options) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadConfig(file));
  ASSIGN_OR_RETURN(const Weights weights, LoadWeights(file, config));
  ASSIGN_OR_RETURN(const CpuOptions checked, Checked(config, options));
  return MemoryNeeds{weights.step_bytes(),
                     KvMemory::PageBytes(config, checked.kv),
                     ScratchSizes(config, checked).bytes()};
}

Result<std::unique_ptr<Forward>> LoadCpuForward(const gguf::File& file,
                                                const CpuOptions& options) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadConfig(file));
  ASSIGN_OR_RETURN(Weights weights, LoadWeights(file, config));
  ASSIGN_OR_RETURN(const CpuOptions checked, Checked(config, options));
  if (checked.pool == nullptr) return BadOption("no thread pool");
  const int64_t page_bytes = KvMemory::PageBytes(config, checked.kv);
  if (checked.pages < 1 || checked.pages > INT64_MAX / page_bytes) {
    return BadOption(std::to_string(checked.pages) + " KV pages of " +
                     std::to_string(page_bytes) + " bytes cannot be");
  }
  try {
    ASSIGN_OR_RETURN(AlignedBuffer<std::byte> tiles,
                     LoadTiles(&weights, checked.pool, checked.tiles));
    return std::unique_ptr<Forward>(std::make_unique<CpuForward>(
        std::move(config), std::move(weights), std::move(tiles), checked));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOverloaded,
                 "no memory for " + std::to_string(PackedBytes(weights)) +
                     " bytes of weights, " + std::to_string(checked.pages) +
                     " KV pages of " + std::to_string(page_bytes) +
                     " bytes and the scratch of " +
                     std::to_string(checked.columns_max) + " columns",
                 ""};
  }
}

}  // namespace aio::model
