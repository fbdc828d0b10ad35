// SPDX-License-Identifier: Apache-2.0
#include "model/cpu_forward.h"

#include <algorithm>
#include <atomic>
#include <cmath>
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
#include "model/weights.h"
#include "tensor/block_formats.h"
#include "tensor/matrix.h"

namespace aio::model {
namespace {

using kernels::ActivationBuffer;
using kernels::Activations;

// Rows per thread are cut at multiples of this.
constexpr int64_t kRowGrain = kTileRows;
// Fewer columns than this are not worth waking the threads for, in the small
// operations between matrix products.
constexpr int kColumnsToShare = 4;

// Fewer attention tasks than this are split into spans of their contexts: else
// some threads would wait for others.
int64_t SplitTasks(int64_t threads) { return threads > 1 ? 2 * threads : 0; }

static_assert(kernels::kKvBlock == kPageTokens,
              "a page holds one block of attention's arithmetic");

kernels::AttentionShape ShapeOf(const ModelConfig& config, kernels::KvType kv) {
  return {config.head_dim, config.heads / config.kv_heads, kv,
          1.0f / std::sqrt(static_cast<float>(config.head_dim))};
}

int64_t PageBytes(const ModelConfig& config, kernels::KvType kv) {
  const kernels::AttentionShape shape = ShapeOf(config, kv);
  return int64_t{config.layers} * config.kv_heads *
         (shape.key_bytes() + shape.value_bytes());
}

// Numbers of floats and columns of everything one step needs.
struct ScratchSizes {
  ScratchSizes(const ModelConfig& c, const CpuOptions& options)
      : columns(options.columns_max),
        hidden(c.hidden),
        heads(int64_t{c.heads} * c.head_dim),
        kv(int64_t{c.kv_heads} * c.head_dim),
        feed_forward(c.feed_forward),
        angles(c.head_dim / 2),
        attention(
            kernels::Padded(kernels::AttentionScratch(ShapeOf(c, options.kv)))),
        threads(options.pool == nullptr ? 1 : options.pool->threads()),
        spans(SplitTasks(threads) * kernels::SpansOf(options.context_max - 1) *
              kernels::SpanFloats(ShapeOf(c, options.kv))),
        logits(int64_t{options.logits_max} * c.vocabulary) {}

  int64_t bytes() const {
    const int64_t floats =
        columns * (2 * hidden + heads + 2 * kv + feed_forward + 2 * angles) +
        attention * threads + spans + logits;
    return floats * static_cast<int64_t>(sizeof(float)) +
           ActivationBuffer::Bytes(columns, hidden) +
           ActivationBuffer::Bytes(columns, heads) +
           ActivationBuffer::Bytes(columns, feed_forward);
  }

  int64_t columns, hidden, heads, kv, feed_forward, angles, attention, threads,
      spans, logits;
};

// The memory of one step, [columns, ...] each.
struct Scratch {
  explicit Scratch(const ScratchSizes& s)
      : residual(Floats(s.columns * s.hidden)),
        out(Floats(s.columns * s.hidden)),
        q(Floats(s.columns * s.heads)),
        k(Floats(s.columns * s.kv)),
        v(Floats(s.columns * s.kv)),
        up(Floats(s.columns * s.feed_forward)),
        cos(Floats(s.columns * s.angles)),
        sin(Floats(s.columns * s.angles)),
        attention(Floats(s.attention * s.threads)),
        spans(Floats(s.spans)),
        logits(Floats(s.logits)),
        normed(s.columns, s.hidden),
        heads(s.columns, s.heads),
        act(s.columns, s.feed_forward) {}

  static AlignedBuffer<float> Floats(int64_t n) {
    return AlignedBuffer<float>(static_cast<size_t>(n));
  }

  AlignedBuffer<float> residual;  // the stream between layers
  AlignedBuffer<float> out;       // of a product that is added to it
  AlignedBuffer<float> q, k, v, up, cos, sin;
  AlignedBuffer<float> attention;  // [threads, ...]
  AlignedBuffer<float> spans;      // [tasks, spans, ...] of long contexts
  AlignedBuffer<float> logits;     // [logits_max, vocabulary]
  ActivationBuffer normed;         // inputs of q, k, v, gate, up, output
  ActivationBuffer heads;          // input of o
  ActivationBuffer act;            // input of down
};

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
        shape_(ShapeOf(config_, options.kv)),
        page_bytes_(PageBytes(config_, options.kv)),
        rope_(MakeRope(config_, weights_)),
        kv_(static_cast<size_t>(page_bytes_ * options.pages),
            AlignedBuffer<std::byte>::kNothing),
        scratch_(ScratchSizes(config_, options)) {
    columns_.reserve(static_cast<size_t>(options.columns_max));
    ranges_.reserve(static_cast<size_t>(options.columns_max));
  }

  int vocabulary() const override { return config_.vocabulary; }
  int context_tokens_max() const override { return options_.context_max; }
  int layers() const override { return config_.layers; }
  int columns_max() const override { return options_.columns_max; }
  int pages() const override { return options_.pages; }
  int64_t weight_bytes() const override { return weights_.step_bytes(); }
  int64_t kv_bytes_per_token() const override {
    return page_bytes_ / kPageTokens;
  }

  void CopyPage(int32_t from, int32_t to) override {
    CHECK(done_ && from >= 0 && from < options_.pages);
    CHECK(to >= 0 && to < options_.pages);
    std::memcpy(kv_.data() + to * page_bytes_, kv_.data() + from * page_bytes_,
                static_cast<size_t>(page_bytes_));
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
  // `fn(column)` for every column, by several threads if there are many.
  template <typename Function>
  void ForColumns(const Function& fn);
  // Rows of one product for all columns, bias included.
  void ProductRows(const Product& product, const Activations& x, Range rows);
  void Products(std::initializer_list<Product> products, const Activations& x);
  // residual += linear(x).
  void AddProduct(const Linear& linear, const Activations& x);
  // x = norm(residual), and its codes.
  void Norm(const std::vector<float>& weight, const Activations& x, bool codes);
  void Quantize(const Activations& x);

  void Layer(int index);
  void WriteKeysAndValues(const LayerWeights& w, int index);
  void Attend(int index);
  void AttendBySpans(int index);
  template <typename Function>
  void ForItems(int64_t items, const Function& fn);
  kernels::AttentionColumn ColumnOf(int64_t c, int kv_head);
  Range ColumnsOfBlock(int64_t begin) const;
  void FeedForward(const LayerWeights& w);
  void Head();
  void KeepColumnsWithLogits();
  // Of a layer's and head's block of keys in a page; values follow.
  int64_t KvOffset(int layer, int kv_head) const;
  kernels::KvPages KvOf(int layer, int kv_head, const int32_t* pages) const;

  const ModelConfig config_;
  const Weights weights_;
  const AlignedBuffer<std::byte> tiles_;  // what weights_ look at
  const CpuOptions options_;
  ThreadPool& pool_;
  const kernels::AttentionShape shape_;
  const int64_t page_bytes_;
  const kernels::RopeTable rope_;
  // [pages][layers][kv_heads] of one block of keys and one of values.
  AlignedBuffer<std::byte> kv_;
  Scratch scratch_;
  std::vector<ActiveColumn> columns_;  // capacity columns_max: no allocation
  std::vector<Range> ranges_;          // of columns; likewise
  int layer_ = 0;                      // the next one of the step under way
  int logits_ = 0;                     // columns of the step that ask
  bool done_ = true;
};

template <typename Function>
void CpuForward::ForColumns(const Function& fn) {
  if (columns() < kColumnsToShare) {
    for (int c = 0; c < columns(); ++c) fn(c);
    return;
  }
  pool_.Run([&](int thread) {
    const Range mine = Share(columns(), thread, pool_.threads());
    for (int64_t c = mine.begin; c < mine.end; ++c) fn(static_cast<int>(c));
  });
}

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
                          const Activations& x) {
  int64_t total = 0;
  for (const Product& p : products) total += p.linear->matrix.rows;
  pool_.Run([&](int thread) {
    const Range mine = Share(total, thread, pool_.threads(), kRowGrain);
    int64_t first = 0;  // of this product among all rows
    for (const Product& p : products) {
      const int64_t rows = p.linear->matrix.rows;
      const Range part = {std::clamp(mine.begin - first, int64_t{0}, rows),
                          std::clamp(mine.end - first, int64_t{0}, rows)};
      ProductRows(p, x, part);
      first += rows;
    }
  });
}

void CpuForward::AddProduct(const Linear& linear, const Activations& x) {
  const int64_t hidden = config_.hidden;
  pool_.Run([&](int thread) {
    const Range mine = Share(hidden, thread, pool_.threads(), kRowGrain);
    ProductRows({&linear, scratch_.out.data(), hidden}, x, mine);
    for (int c = 0; c < columns(); ++c) {
      const int64_t at = c * hidden + mine.begin;
      kernels::AddTo(scratch_.out.data() + at, mine.size(),
                     scratch_.residual.data() + at);
    }
  });
}

void CpuForward::Quantize(const Activations& x) {
  ForColumns([&](int c) { kernels::QuantizeColumns(x, {c, c + 1}); });
}

void CpuForward::Norm(const std::vector<float>& weight, const Activations& x,
                      bool codes) {
  ForColumns([&](int c) {
    kernels::RmsNorm(scratch_.residual.data() + int64_t{c} * config_.hidden,
                     weight.data(), config_.hidden, config_.norm_epsilon,
                     x.Values(c));
    if (codes) kernels::QuantizeColumns(x, {c, c + 1});
  });
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
  const int64_t angles = config_.head_dim / 2;
  ForColumns([&](int c) {
    const ActiveColumn& column = columns_[static_cast<size_t>(c)];
    const WeightMatrix& table = weights_.embedding;
    const auto hidden = static_cast<size_t>(config_.hidden);
    DecodeRow(
        table.type,
        {table.Row(column.token), static_cast<size_t>(table.row_bytes)},
        {scratch_.residual.data() + static_cast<size_t>(c) * hidden, hidden});
    kernels::RopeAngles(rope_, column.position,
                        scratch_.cos.data() + c * angles,
                        scratch_.sin.data() + c * angles);
  });
  layer_ = 0;
  done_ = false;
}

bool CpuForward::Advance(int layers) {
  for (; layers > 0 && !done_; --layers) {
    if (layer_ < config_.layers) {
      Layer(layer_++);
      done_ = layer_ == config_.layers && logits_ == 0;
    } else {
      Head();
      done_ = true;
    }
  }
  return done_;
}

std::span<const float> CpuForward::Logits(int i) const {
  CHECK(done_ && i >= 0 && i < logits_);
  const auto n = static_cast<size_t>(config_.vocabulary);
  return {scratch_.logits.data() + static_cast<size_t>(i) * n, n};
}

void CpuForward::Layer(int index) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(index)];
  const Activations normed = scratch_.normed.View(columns());
  Norm(w.attention_norm, normed, NeedCodes({&w.q, &w.k, &w.v}));
  Products({{&w.q, scratch_.q.data(), w.q.matrix.rows},
            {&w.k, scratch_.k.data(), w.k.matrix.rows},
            {&w.v, scratch_.v.data(), w.v.matrix.rows}},
           normed);
  // Before any column, those of this step included, reads them.
  WriteKeysAndValues(w, index);
  if (index == config_.layers - 1) KeepColumnsWithLogits();
  if (columns_.empty()) return;
  Attend(index);
  const Activations heads = scratch_.heads.View(columns());
  if (NeedCodes({&w.o})) Quantize(heads);
  AddProduct(w.o, heads);
  FeedForward(w);
}

// Also turns q, and normalises q and k where the family does.
void CpuForward::WriteKeysAndValues(const LayerWeights& w, int index) {
  const int dim = config_.head_dim;
  const auto turn = [&](const std::vector<float>& norm, int heads, int column,
                        float* x) {
    for (int h = 0; h < heads && !norm.empty(); ++h) {
      kernels::RmsNorm(x + h * dim, norm.data(), dim, config_.norm_epsilon,
                       x + h * dim);
    }
    const int64_t at = int64_t{column} * (dim / 2);
    kernels::ApplyRope(rope_.style, dim, heads, scratch_.cos.data() + at,
                       scratch_.sin.data() + at, x);
  };
  ForColumns([&](int c) {
    const ActiveColumn& column = columns_[static_cast<size_t>(c)];
    float* k = scratch_.k.data() + c * w.k.matrix.rows;
    const float* v = scratch_.v.data() + c * w.v.matrix.rows;
    turn(w.q_norm, config_.heads, c, scratch_.q.data() + c * w.q.matrix.rows);
    turn(w.k_norm, config_.kv_heads, c, k);
    const int64_t page = column.pages[column.position / kPageTokens];
    CHECK(page >= 0 && page < options_.pages);
    for (int h = 0; h < config_.kv_heads; ++h) {
      std::byte* keys = kv_.data() + page * page_bytes_ + KvOffset(index, h);
      kernels::WriteKv(shape_, k + h * dim, v + h * dim,
                       column.position % kPageTokens, keys,
                       keys + shape_.key_bytes());
    }
  });
}

int64_t CpuForward::KvOffset(int layer, int kv_head) const {
  return (int64_t{layer} * config_.kv_heads + kv_head) *
         (shape_.key_bytes() + shape_.value_bytes());
}

kernels::KvPages CpuForward::KvOf(int layer, int kv_head,
                                  const int32_t* pages) const {
  const std::byte* keys = kv_.data() + KvOffset(layer, kv_head);
  return {keys, keys + shape_.key_bytes(), page_bytes_, pages};
}

kernels::AttentionColumn CpuForward::ColumnOf(int64_t c, int kv_head) {
  const int64_t width = int64_t{shape_.heads} * shape_.head_dim;
  const int64_t all = int64_t{config_.heads} * config_.head_dim;
  return {scratch_.q.data() + c * all + kv_head * width,
          scratch_.heads.View(columns()).Values(c) + kv_head * width,
          columns_[static_cast<size_t>(c)].position};
}

// Columns from `begin` on that read the same block last: neighbours of one
// sequence, which have the very same list of pages.
Range CpuForward::ColumnsOfBlock(int64_t begin) const {
  const ActiveColumn& first = columns_[static_cast<size_t>(begin)];
  int64_t end = begin + 1;
  for (; end < columns(); ++end) {
    const ActiveColumn& next = columns_[static_cast<size_t>(end)];
    if (next.pages != first.pages ||
        next.position / kPageTokens != first.position / kPageTokens) {
      break;
    }
  }
  return {begin, end};
}

// Runs fn(item, scratch) for all items, each by whichever thread is free.
template <typename Function>
void CpuForward::ForItems(int64_t items, const Function& fn) {
  std::atomic<int64_t> next = 0;
  const auto scratch =
      static_cast<int64_t>(scratch_.attention.size()) / pool_.threads();
  pool_.Run([&](int thread) {
    float* mine = scratch_.attention.data() + thread * scratch;
    for (int64_t i = next++; i < items; i = next++) fn(i, mine);
  });
}

void CpuForward::Attend(int index) {
  const int64_t heads = config_.kv_heads;
  const bool few = columns() * heads < SplitTasks(pool_.threads());
  const auto is_long = [](const ActiveColumn& c) {
    return kernels::SpansOf(c.position) > 1;
  };
  if (few && std::ranges::any_of(columns_, is_long)) {
    return AttendBySpans(index);
  }
  ranges_.clear();
  for (int64_t c = 0; c < columns(); c = ranges_.back().end) {
    ranges_.push_back(ColumnsOfBlock(c));
  }
  const auto ranges = static_cast<int64_t>(ranges_.size());
  ForItems(ranges * heads, [&](int64_t i, float* scratch) {
    // From the last on: later columns of a prompt attend to more.
    const Range range = ranges_[static_cast<size_t>(ranges - 1 - i / heads)];
    const auto head = static_cast<int>(i % heads);
    kernels::AttentionColumn columns[kPageTokens];
    for (int64_t c = range.begin; c < range.end; ++c) {
      columns[c - range.begin] = ColumnOf(c, head);
    }
    const auto first = static_cast<size_t>(range.begin);
    kernels::Attend(shape_, KvOf(index, head, columns_[first].pages),
                    {columns, static_cast<size_t>(range.size())}, scratch);
  });
}

void CpuForward::AttendBySpans(int index) {
  const int64_t heads = config_.kv_heads;
  const int64_t floats = kernels::SpanFloats(shape_);
  int64_t spans = 0;
  for (const ActiveColumn& c : columns_) {
    spans = std::max<int64_t>(spans, kernels::SpansOf(c.position));
  }
  const int64_t tasks = columns() * heads;
  ForItems(tasks * spans, [&](int64_t i, float* scratch) {
    const int64_t task = i / spans;
    const auto head = static_cast<int>(task % heads);
    const auto span = static_cast<int>(i % spans);
    const auto column = ColumnOf(task / heads, head);
    if (span >= kernels::SpansOf(column.position)) return;
    const auto* pages = columns_[static_cast<size_t>(task / heads)].pages;
    kernels::AttendSpan(shape_, KvOf(index, head, pages), column, span,
                        scratch_.spans.data() + i * floats, scratch);
  });
  ForItems(tasks, [&](int64_t i, float*) {
    kernels::MergeSpans(shape_, scratch_.spans.data() + i * spans * floats,
                        ColumnOf(i / heads, static_cast<int>(i % heads)));
  });
}

void CpuForward::FeedForward(const LayerWeights& w) {
  const Activations normed = scratch_.normed.View(columns());
  const Activations act = scratch_.act.View(columns());
  const int64_t n = config_.feed_forward;
  Norm(w.ffn_norm, normed, NeedCodes({&w.gate, &w.up}));
  pool_.Run([&](int thread) {
    const Range mine = Share(n, thread, pool_.threads(), kRowGrain);
    ProductRows({&w.gate, act.values, act.stride}, normed, mine);
    ProductRows({&w.up, scratch_.up.data(), n}, normed, mine);
    for (int c = 0; c < columns(); ++c) {
      float* gate = act.Values(c) + mine.begin;
      kernels::SiluGate(gate, scratch_.up.data() + c * n + mine.begin,
                        mine.size(), gate);
    }
  });
  if (NeedCodes({&w.down})) Quantize(act);
  AddProduct(w.down, act);
}

// After the last layer's keys and values are written, only columns whose logits
// are read are of any use.
void CpuForward::KeepColumnsWithLogits() {
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
}

void CpuForward::Head() {
  const Activations normed = scratch_.normed.View(columns());
  Norm(weights_.output_norm, normed, NeedCodes({&weights_.output}));
  Products({{&weights_.output, scratch_.logits.data(), config_.vocabulary}},
           normed);
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
  return MemoryNeeds{weights.step_bytes(), PageBytes(config, checked.kv),
                     ScratchSizes(config, checked).bytes()};
}

Result<std::unique_ptr<Forward>> LoadCpuForward(const gguf::File& file,
                                                const CpuOptions& options) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadConfig(file));
  ASSIGN_OR_RETURN(Weights weights, LoadWeights(file, config));
  ASSIGN_OR_RETURN(const CpuOptions checked, Checked(config, options));
  if (checked.pool == nullptr) return BadOption("no thread pool");
  const int64_t page_bytes = PageBytes(config, checked.kv);
  if (checked.pages < 1 || checked.pages > INT64_MAX / page_bytes) {
    return BadOption(std::to_string(checked.pages) + " KV pages of " +
                     std::to_string(page_bytes) + " bytes cannot be");
  }
  try {
    ASSIGN_OR_RETURN(AlignedBuffer<std::byte> tiles,
                     PackWeights(&weights, checked.pool, checked.progress));
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
