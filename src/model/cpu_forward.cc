// SPDX-License-Identifier: Apache-2.0
//
// One step on the CPU. All threads of the pool run the same functions, each on
// its share, and meet where one needs what all others wrote: four times a
// layer, before and after the output product and before and after the down
// product. Where a few threads are enough they wait for those (CpuAttention).
#include "model/cpu_forward.h"

#include <algorithm>
#include <initializer_list>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/arrivals.h"
#include "base/check.h"
#include "kernels/activations.h"
#include "kernels/matmul.h"
#include "kernels/rope.h"
#include "kernels/vector_ops.h"
#include "model/config.h"
#include "model/cpu_attention.h"
#include "model/cpu_scratch.h"
#include "model/stage_clock.h"
#include "model/step_columns.h"
#include "model/weights.h"
#include "tensor/block_formats.h"
#include "tensor/matrix.h"

namespace aio::model {
namespace {

using kernels::Activations;
using kernels::kBlock;

bool NeedCodes(std::initializer_list<const Linear*> products) {
  return std::ranges::any_of(products, [](const Linear* l) {
    return kernels::TakesCodes(l->tiles.type);
  });
}

// What becomes of the residual stream as the input of the next products.
struct NormOf {
  const std::vector<float>& weight;
  bool codes;  // whether they take codes
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
        scratch_(ScratchSizes(config_, options)),
        clock_(options.profile),
        attention_(config_, options, &rope_, &scratch_, &clock_),
        all_(NoColumns()),
        asking_(NoColumns()),
        half_blocks_(static_cast<size_t>(BlocksOf(config_.hidden))) {}

  int vocabulary() const override { return config_.vocabulary; }
  int context_tokens_max() const override { return options_.context_max; }
  int layers() const override { return config_.layers; }
  int columns_max() const override { return options_.columns_max; }
  int pages() const override { return options_.pages; }
  int64_t weight_bytes() const override { return weights_.step_bytes(); }
  bool nested() const override { return weights_.nested; }
  int64_t coarse_weight_bytes() const override {
    return weights_.step_bytes(false);
  }
  int64_t kv_bytes_per_token() const override {
    return attention_.kv().page_bytes() / kPageTokens;
  }
  std::vector<StageTime> Profile() const override { return clock_.Times(); }

  void CopyPage(int32_t from, int32_t to) override {
    CHECK(done_);
    attention_.kv().CopyPage(from, to);
  }
  void Begin(std::span<const Column> columns) override;
  bool Advance(int layers) override;
  void Skip(int layers) override {
    CHECK(!done_ && layers >= 0 && layer_ + layers < config_.layers);
    layer_ += layers;
    skipped_ += layers;
  }
  std::span<const float> Logits(int i) const override;

 private:
  static kernels::RopeTable MakeRope(const ModelConfig& config,
                                     const Weights& weights) {
    kernels::RopeParameters parameters = config.rope;
    parameters.frequency_divisors = weights.rope_divisors;
    return kernels::MakeRopeTable(parameters);
  }

  StepColumns NoColumns() const {
    return StepColumns(options_.columns_max, options_.context_max,
                       config_.kv_heads, pool_.threads());
  }
  static int64_t BlocksOf(int64_t n) { return (n + kBlock - 1) / kBlock; }
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
  // y[column * stride + row] of linear(x), bias included.
  void Product(const Linear& linear, const Activations& x, Range rows, float* y,
               int64_t stride);
  // residual += linear(x), and what comes of it by `norm`.
  void AddProduct(const Linear& linear, const Activations& x,
                  const StepColumns& columns, const NormOf& norm, int thread);
  Range WholeBlocks(Range rows);
  void Weigh(const NormOf& norm, const StepColumns& columns, Range some,
             Range blocks);
  Activations Normed(const StepColumns& columns, int thread);
  NormOf NormBefore(int layer) const;

  void Layer(int index, int thread);
  void QueryKeyValue(const LayerWeights& w, int thread);
  void FeedForward(const LayerWeights& w, const StepColumns& columns,
                   const NormOf& next, int thread);
  void Head(int thread);

  const ModelConfig config_;
  const Weights weights_;
  const AlignedBuffer<std::byte> tiles_;  // what weights_ look at
  const CpuOptions options_;
  ThreadPool& pool_;
  const kernels::RopeTable rope_;
  Scratch scratch_;
  StageClock clock_;
  CpuAttention attention_;
  // Columns of the step under way, and those of them whose logits are read:
  // behind the last layer's keys and values only these are of any use.
  StepColumns all_, asking_;
  // Tiles of half a block of hidden numbers that are added up.
  std::vector<Arrivals> half_blocks_;
  int layer_ = 0;    // the next one of the step under way
  int skipped_ = 0;  // layers of it
  bool done_ = true;
};

void CpuForward::Product(const Linear& linear, const Activations& x, Range rows,
                         float* y, int64_t stride) {
  kernels::MatMul(linear.tiles, x, rows, y, stride);
  if (linear.bias.empty()) return;
  for (int64_t c = 0; c < x.columns; ++c) {
    kernels::AddTo(linear.bias.data() + rows.begin, rows.size(),
                   y + c * stride + rows.begin);
  }
}

void CpuForward::AddProduct(const Linear& linear, const Activations& x,
                            const StepColumns& columns, const NormOf& norm,
                            int thread) {
  const int64_t hidden = config_.hidden;
  const Range mine = ShareOf(hidden, thread, kTileRows);
  Product(linear, x, mine, scratch_.out.data(), hidden);
  Lap(thread, Stage::kMatMul);
  for (int64_t c = 0; c < columns.size(); ++c) {
    kernels::AddTo(
        scratch_.out.data() + c * hidden + mine.begin, mine.size(),
        scratch_.residual.data() + columns[c].row * hidden + mine.begin);
  }
  Weigh(norm, columns, {0, columns.size()}, WholeBlocks(mine));
  Meet(thread, Stage::kNorms);
}

// Blocks of hidden numbers that are whole with these rows. One may begin or end
// within a block: then the second of its two threads has it.
Range CpuForward::WholeBlocks(Range rows) {
  static_assert(kBlock == 2 * kTileRows);
  if (rows.size() == 0) return {};
  Range blocks = {rows.begin / kBlock, BlocksOf(rows.end)};
  const auto is_second = [&](int64_t block) {
    return half_blocks_[static_cast<size_t>(block)].AddLast(2);
  };
  if (rows.begin % kBlock != 0 && !is_second(blocks.begin)) ++blocks.begin;
  if (rows.end % kBlock != 0 && rows.end != config_.hidden &&
      !is_second(blocks.end - 1)) {
    --blocks.end;
  }
  return blocks;
}

// Some blocks of the next products' input, of `some` of the columns.
void CpuForward::Weigh(const NormOf& norm, const StepColumns& columns,
                       Range some, Range blocks) {
  const Activations x = scratch_.normed.View(columns.size(), columns.fine());
  const int64_t stride = kernels::Padded(options_.columns_max);
  const int64_t begin = blocks.begin * kBlock;
  const int64_t end = std::min<int64_t>(blocks.end * kBlock, config_.hidden);
  if (begin >= end) return;
  // Behind the last block comes the padding.
  if (end == config_.hidden) blocks.end = x.stride / kBlock;
  for (int64_t c = some.begin; c < some.end; ++c) {
    kernels::WeighBlocks(
        scratch_.residual.data() + columns[c].row * config_.hidden + begin,
        norm.weight.data() + begin, end - begin, x.Values(c) + begin,
        scratch_.squares.data() + blocks.begin * stride + c, stride);
    if (norm.codes) kernels::QuantizeBlocks(x, c, blocks);
  }
}

// The input that Weigh has left, with the norm's division as a factor.
Activations CpuForward::Normed(const StepColumns& columns, int thread) {
  const int64_t stride = kernels::Padded(options_.columns_max);
  float* factors = scratch_.factors.data() + thread * stride;
  kernels::NormFactors(scratch_.squares.data(), stride, columns.size(),
                       config_.hidden, config_.norm_epsilon, factors);
  Activations x = scratch_.normed.View(columns.size(), columns.fine());
  x.factors = factors;
  Lap(thread, Stage::kNorms);
  return x;
}

// Of the residual stream before a layer, or the head.
NormOf CpuForward::NormBefore(int layer) const {
  if (layer == config_.layers) {
    return {weights_.output_norm, NeedCodes({&weights_.output})};
  }
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  return {w.attention_norm, NeedCodes({&w.q, &w.k, &w.v})};
}

void CpuForward::Begin(std::span<const Column> columns) {
  CHECK(done_);
  CHECK(!columns.empty() &&
        columns.size() <= static_cast<size_t>(options_.columns_max));
  all_.Clear();
  asking_.Clear();
  for (const Column& c : columns) {
    CHECK(c.token >= 0 && c.token < config_.vocabulary);
    CHECK(c.position >= 0 && c.position < options_.context_max);
    CHECK(c.pages.size() > static_cast<size_t>(c.position / kPageTokens));
    CHECK(!nested() || c.bits == 8 || c.bits == 4);
    const bool fine = !nested() || c.bits == 8;
    CHECK(!fine || all_.fine() == all_.size());
    all_.Add({c.token, c.position, c.pages.data(), all_.size(), fine});
    if (c.logits) asking_.Add(all_[all_.size() - 1]);
  }
  CHECK(asking_.size() <= options_.logits_max);
  all_.CutTasks();
  asking_.CutTasks();
  attention_.BeginStep();
  clock_.Start();
  if (all_.size() <= kernels::kColumnsPerPass) {
    EmbedColumns({0, all_.size()});
  } else {
    pool_.Run([&](int thread) { EmbedColumns(ShareOf(all_.size(), thread)); });
  }
  clock_.Lap(Stage::kNorms);
  layer_ = skipped_ = 0;
  done_ = false;
}

void CpuForward::EmbedColumns(Range columns) {
  const int64_t angles = config_.head_dim / 2;
  const WeightMatrix& table = weights_.embedding;
  const auto hidden = static_cast<size_t>(config_.hidden);
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    const ActiveColumn& column = all_[c];
    DecodeRow(
        table.type,
        {table.Row(column.token), static_cast<size_t>(table.row_bytes)},
        {scratch_.residual.data() + static_cast<size_t>(c) * hidden, hidden});
    kernels::RopeAngles(rope_, column.position,
                        scratch_.cos.data() + c * angles,
                        scratch_.sin.data() + c * angles);
  }
  Weigh(NormBefore(0), all_, columns, {0, BlocksOf(config_.hidden)});
}

bool CpuForward::Advance(int layers) {
  if (done_ || layers <= 0) return done_;
  const int left = config_.layers - layer_;
  const int end = layer_ + std::min(layers, left);
  const bool head = layers > left && !asking_.empty();
  clock_.Start();
  pool_.Run([&](int thread) {
    for (int i = layer_; i < end; ++i) Layer(i, thread);
    if (head) Head(thread);
  });
  clock_.Lap(Stage::kMeeting);
  layer_ = end;
  done_ = layer_ == config_.layers && (head || asking_.empty());
  return done_;
}

std::span<const float> CpuForward::Logits(int i) const {
  CHECK(done_ && i >= 0 && i < asking_.size());
  const auto n = static_cast<size_t>(config_.vocabulary);
  return {scratch_.logits.data() + static_cast<size_t>(i) * n, n};
}

void CpuForward::Layer(int index, int thread) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(index)];
  const CpuAttention::Work work = {w, index, index - skipped_ + 1};
  QueryKeyValue(w, thread);
  attention_.WriteKv(work, all_, thread);
  const StepColumns& columns = index + 1 == config_.layers ? asking_ : all_;
  if (columns.empty()) return;
  attention_.Attend(work, all_, columns, NeedCodes({&w.o}), thread);
  Meet(thread, Stage::kAttention);
  AddProduct(w.o, scratch_.heads.View(columns.size(), columns.fine()), columns,
             {w.ffn_norm, NeedCodes({&w.gate, &w.up})}, thread);
  FeedForward(w, columns, NormBefore(index + 1), thread);
}

void CpuForward::QueryKeyValue(const LayerWeights& w, int thread) {
  const Activations x = Normed(all_, thread);
  const auto [q, k, v] = attention_.RowsOf(thread);
  Product(w.q, x, q, scratch_.q.data(), w.q.matrix.rows);
  Product(w.k, x, k, scratch_.k.data(), w.k.matrix.rows);
  Product(w.v, x, v, scratch_.v.data(), w.v.matrix.rows);
  attention_.RowsAreDone(thread);
  Lap(thread, Stage::kMatMul);
}

void CpuForward::FeedForward(const LayerWeights& w, const StepColumns& columns,
                             const NormOf& next, int thread) {
  const Activations x = Normed(columns, thread);
  const Activations act = scratch_.act.View(columns.size(), columns.fine());
  const int64_t n = config_.feed_forward;
  // Whole blocks of codes, which are made where the numbers are.
  const Range mine = ShareOf(n, thread, kBlock);
  Product(w.gate, x, mine, act.values, act.stride);
  Product(w.up, x, mine, scratch_.up.data(), n);
  Lap(thread, Stage::kMatMul);
  // Behind the last number comes the padding.
  const Range blocks = {mine.begin / kBlock,
                        (mine.end == n ? act.stride : mine.end) / kBlock};
  for (int64_t c = 0; c < columns.size() && mine.size() > 0; ++c) {
    float* gate = act.Values(c) + mine.begin;
    kernels::SiluGate(gate, scratch_.up.data() + c * n + mine.begin,
                      mine.size(), gate);
    if (NeedCodes({&w.down})) kernels::QuantizeBlocks(act, c, blocks);
  }
  Meet(thread, Stage::kNorms);
  AddProduct(w.down, act, columns, next, thread);
}

void CpuForward::Head(int thread) {
  const Activations x = Normed(asking_, thread);
  Product(weights_.output, x, ShareOf(config_.vocabulary, thread, kTileRows),
          scratch_.logits.data(), config_.vocabulary);
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
  ASSIGN_OR_RETURN(const Weights weights,
                   LoadWeights(file, config, options.nest));
  ASSIGN_OR_RETURN(const CpuOptions checked, Checked(config, options));
  return MemoryNeeds{weights.step_bytes(),
                     KvMemory::PageBytes(config, checked.kv),
                     ScratchSizes(config, checked).bytes(), weights.nested};
}

Result<std::unique_ptr<Forward>> LoadCpuForward(const gguf::File& file,
                                                const CpuOptions& options) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadConfig(file));
  ASSIGN_OR_RETURN(Weights weights, LoadWeights(file, config, options.nest));
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
