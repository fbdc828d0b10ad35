// SPDX-License-Identifier: Apache-2.0
//
// aio bench attention: the attention of one new token over contexts of several
// lengths, kernels only, in all layers of a model's shape one after another.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <iostream>
#include <memory>
#include <numeric>
#include <utility>

#include "base/machine.h"
#include "base/random.h"
#include "cli/bench_engine.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "engine/memory_plan.h"
#include "kernels/attention.h"
#include "model/config.h"
#include "model/cpu_scratch.h"
#include "tensor/aligned_buffer.h"

namespace aio::cli {
namespace {

constexpr int kShortest = 512;

struct AttentionFlags {
  EngineFlags engine;
  std::string kv = "f16";
};

struct Shape {
  std::string label = "openPangu-1B's heads";
  model::ModelConfig config;
  kernels::KvType kv = kernels::KvType::kF16;

  // Keys and values of so many tokens.
  int64_t Bytes(int context) const {
    return model::KvMemory::PageBytes(config, kv) * context /
           model::kPageTokens;
  }
};

// One sequence's keys and values as the forward pass keeps them.
class Attention {
 public:
  Attention(const Shape& shape, int context_max, ThreadPool* pool)
      : config_(shape.config),
        pool_(*pool),
        pages_(static_cast<size_t>((context_max + model::kPageTokens - 1) /
                                   model::kPageTokens)),
        kv_(shape.config, OptionsOf(shape, pages_.size())) {
    std::iota(pages_.begin(), pages_.end(), 0);
    Write(context_max);
    const size_t width = static_cast<size_t>(config_.heads) *
                         static_cast<size_t>(config_.head_dim);
    query_ = Random(2, width);
    out_ = AlignedBuffer<float>(width);
    scratch_each_ = kernels::Padded(kernels::AttentionScratch(kv_.shape()));
    scratch_ = AlignedBuffer<float>(
        static_cast<size_t>(scratch_each_ * pool_.threads()));
  }

  // All layers of a column that sees `context` positions.
  void Run(int context) {
    for (int layer = 0; layer < config_.layers; ++layer) Layer(layer, context);
  }

  uint64_t Hash() const {
    uint64_t hash = 0;
    for (size_t i = 0; i < out_.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, &out_[i], sizeof(bits));
      hash = Mix(hash ^ bits);
    }
    return hash;
  }

 private:
  static model::CpuOptions OptionsOf(const Shape& shape, size_t pages) {
    model::CpuOptions options;
    options.kv = shape.kv;
    options.pages = static_cast<int>(pages);
    return options;
  }

  // Numbers of -0.5 to 0.5.
  static AlignedBuffer<float> Random(uint64_t stream, size_t count) {
    AlignedBuffer<float> numbers(count);
    for (size_t i = 0; i < count; ++i) {
      numbers[i] = static_cast<float>(RandomUnit(1, stream, i)) - 0.5f;
    }
    return numbers;
  }

  // Every position, by the threads that will read it: memory that was not
  // written is all one page.
  void Write(int context) {
    constexpr int kRows = 61;  // of numbers, used again and again
    const int dim = config_.head_dim;
    const auto rows = Random(3, static_cast<size_t>(kRows * dim));
    pool_.Run([&](int thread) {
      for (int h = thread; h < config_.kv_heads; h += pool_.threads()) {
        for (int i = 0; i < config_.layers * context; ++i) {
          const int position = i % context;
          kv_.Write(i / context, h, position / model::kPageTokens,
                    position % model::kPageTokens,
                    rows.data() + i % kRows * dim,
                    rows.data() + (i + h + 1) % kRows * dim);
        }
      }
    });
  }

  void Layer(int layer, int context) {
    const int64_t width = int64_t{kv_.shape().heads} * config_.head_dim;
    pool_.Run([&](int thread) {
      for (int h = thread; h < config_.kv_heads; h += pool_.threads()) {
        const kernels::AttentionColumn column = {
            query_.data() + h * width, out_.data() + h * width, context - 1};
        kernels::Attend(kv_.shape(), kv_.Of(layer, h, pages_.data()),
                        {&column, 1}, scratch_.data() + thread * scratch_each_);
      }
    });
  }

  const model::ModelConfig config_;
  ThreadPool& pool_;
  std::vector<int32_t> pages_;
  model::KvMemory kv_;
  AlignedBuffer<float> query_, out_;  // [heads, head_dim]
  AlignedBuffer<float> scratch_;      // [threads, ...]
  int64_t scratch_each_ = 0;
};

Result<Shape> ShapeOf(const AttentionFlags& flags) {
  Shape shape;
  for (const auto kv :
       {kernels::KvType::kF32, kernels::KvType::kF16, kernels::KvType::kQ8}) {
    if (flags.kv == kernels::NameOf(kv)) shape.kv = kv;
  }
  if (flags.engine.model.empty()) {
    shape.config.layers = 26;
    shape.config.heads = 12;
    shape.config.kv_heads = 6;
    shape.config.head_dim = 128;
    return shape;
  }
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.engine.model));
  ASSIGN_OR_RETURN(shape.config, model::ReadConfig(file));
  shape.label = "the heads of " + flags.engine.model;
  return shape;
}

Result<void> CheckFits(const Shape& shape, int context) {
  const int64_t limit = ReadMachine().memory_bytes;
  const int64_t bytes = shape.Bytes(context);
  // As much again to measure the read bandwidth.
  if (limit == 0 || 2 * bytes <= limit) return {};
  return Error{
      ErrorCode::kOverloaded,
      fmt::format("keys and values of {} tokens, {}, twice do not fit "
                  "the {} of this machine; take less --context",
                  context, engine::BytesText(bytes), engine::BytesText(limit)),
      "context"};
}

// Powers of two from the shortest, and the longest itself.
std::vector<int> Contexts(int most) {
  std::vector<int> contexts;
  for (int n = kShortest; n < most; n *= 2) contexts.push_back(n);
  contexts.push_back(most);
  return contexts;
}

Result<BenchReport> Measure(const AttentionFlags& all) {
  ASSIGN_OR_RETURN(const Shape shape, ShapeOf(all));
  const EngineFlags& flags = all.engine;
  RETURN_IF_ERROR(CheckFits(shape, flags.context));
  const std::vector<int> contexts = Contexts(flags.context);
  ThreadPool pool(flags.threads);
  Attention attention(shape, flags.context, &pool);
  ReadProbe probe(&pool, shape.Bytes(flags.context));
  Progress progress(0, flags.runs + 1);
  std::vector<std::vector<double>> seconds(contexts.size());
  for (int round = 0; round <= flags.runs; ++round) {
    for (size_t i = 0; i < contexts.size(); ++i) {
      if (round > 0) probe.Take();
      const double begin = NowSeconds();
      attention.Run(contexts[i]);
      if (round > 0) seconds[i].push_back(NowSeconds() - begin);
    }
    progress.Step("rounds");
  }
  probe.Take();
  BenchReport report;
  report.benchmark = "attention";
  report.unit = "context";
  report.model = shape.label;
  report.type = fmt::format("KV of {}", kernels::NameOf(shape.kv));
  report.threads = flags.threads;
  report.runs = flags.runs;
  report.context = flags.context;
  report.read = probe.BytesPerSecond();
  report.read_over = probe.buffer_bytes();
  for (size_t i = 0; i < contexts.size(); ++i) {
    const auto bytes = static_cast<double>(shape.Bytes(contexts[i]));
    report.rows.push_back({contexts[i], TimesOf(seconds[i]), bytes, 0});
  }
  report.headline = report.rows.size() - 1;
  report.notes.push_back(fmt::format(
      "one column, {} layers of {} heads over {} of {}, outputs {:016x}",
      shape.config.layers, shape.config.heads, shape.config.kv_heads,
      shape.config.head_dim, attention.Hash()));
  return report;
}

int Run(const AttentionFlags& flags) {
  const auto report = Measure(flags);
  if (report) return PrintBench(*report, flags.engine.as_json);
  std::cerr << "aio bench attention: " << report.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchAttention(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<AttentionFlags>();
  flags->engine.context = 16384;
  CLI::App* c = bench.add_subcommand(
      "attention", "How near attention is to reading the keys and values once");
  AddEngineFlags(c, &flags->engine);
  c->add_option("--kv", flags->kv, "Type of the keys and values")
      ->check(CLI::IsMember({"f32", "f16", "q8"}))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Run(*flags); });
}

}  // namespace aio::cli
