// SPDX-License-Identifier: Apache-2.0
//
// aio bench attention: the attention of one new token over contexts of several
// lengths, kernels only, in all layers of a model's shape one after another.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
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
  int layers = 26;
  int heads = 12;
  int kv_heads = 6;
  int head_dim = 128;
  kernels::KvType kv = kernels::KvType::kF16;
};

kernels::AttentionShape KernelOf(const Shape& shape) {
  return {shape.head_dim, shape.heads / shape.kv_heads, shape.kv,
          1.0f / std::sqrt(static_cast<float>(shape.head_dim))};
}

// One sequence's keys and values as the forward pass keeps them:
// [layers][kv_heads][pages] of a block of keys and one of values.
class Attention {
 public:
  Attention(const Shape& shape, int context_max, ThreadPool* pool)
      : shape_(shape), kernel_(KernelOf(shape)), pool_(*pool) {
    const int pages = (context_max + kernels::kKvBlock - 1) / kernels::kKvBlock;
    pages_.resize(static_cast<size_t>(pages));
    std::iota(pages_.begin(), pages_.end(), 0);
    kv_ = AlignedBuffer<std::byte>(static_cast<size_t>(pages * PageBytes()),
                                   AlignedBuffer<std::byte>::kNothing);
    FillWithNumbers();
    const size_t width =
        static_cast<size_t>(shape.heads) * static_cast<size_t>(shape.head_dim);
    query_ = AlignedBuffer<float>(width);
    for (size_t i = 0; i < width; ++i) {
      query_[i] = static_cast<float>(RandomUnit(1, 2, i)) - 0.5f;
    }
    out_ = AlignedBuffer<float>(width);
    scratch_each_ = (kernels::AttentionScratch(kernel_) + 15) / 16 * 16;
    scratch_ = AlignedBuffer<float>(
        static_cast<size_t>(scratch_each_ * pool_.threads()));
  }

  static int64_t BytesOf(const Shape& shape, int context) {
    const kernels::AttentionShape k = KernelOf(shape);
    return int64_t{shape.layers} * shape.kv_heads *
           (k.key_bytes() + k.value_bytes()) * context / kernels::kKvBlock;
  }

  // All layers of a column that sees `context` positions.
  void Run(int context) {
    for (int layer = 0; layer < shape_.layers; ++layer) Layer(layer, context);
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
  int64_t HeadBytes() const {
    return kernel_.key_bytes() + kernel_.value_bytes();
  }
  int64_t PageBytes() const {
    return int64_t{shape_.layers} * shape_.kv_heads * HeadBytes();
  }

  // Halves of 0.125 to 0.25, of both signs, which are codes and scales of Q8 as
  // well. Written by the threads, since memory that was not written is all one
  // page.
  void FillWithNumbers() {
    const auto words = static_cast<int64_t>(kv_.size() / sizeof(uint64_t));
    auto* out = reinterpret_cast<uint64_t*>(kv_.data());
    pool_.Run([&](int thread) {
      const Range mine = Share(words, thread, pool_.threads(), 8);
      for (int64_t i = mine.begin; i < mine.end; ++i) {
        constexpr uint64_t kExponent = 0x3000300030003000;
        constexpr uint64_t kOthers = 0x83FF83FF83FF83FF;
        out[i] = (Mix(static_cast<uint64_t>(i)) & kOthers) | kExponent;
      }
    });
  }

  void Layer(int layer, int context) {
    const int64_t width = int64_t{kernel_.heads} * kernel_.head_dim;
    pool_.Run([&](int thread) {
      for (int h = thread; h < shape_.kv_heads; h += pool_.threads()) {
        const std::byte* keys =
            kv_.data() + (int64_t{layer} * shape_.kv_heads + h) *
                             static_cast<int64_t>(pages_.size()) * HeadBytes();
        const kernels::KvPages kv = {keys, keys + kernel_.key_bytes(),
                                     HeadBytes(), pages_.data()};
        const kernels::AttentionColumn column = {
            query_.data() + h * width, out_.data() + h * width, context - 1};
        kernels::Attend(kernel_, kv, {&column, 1},
                        scratch_.data() + thread * scratch_each_);
      }
    });
  }

  const Shape shape_;
  const kernels::AttentionShape kernel_;
  ThreadPool& pool_;
  std::vector<int32_t> pages_;
  AlignedBuffer<std::byte> kv_;
  AlignedBuffer<float> query_, out_;  // [heads, head_dim]
  AlignedBuffer<float> scratch_;      // [threads, ...]
  int64_t scratch_each_ = 0;
};

Result<Shape> ShapeOf(const AttentionFlags& flags) {
  Shape shape;
  // The command line has checked the name.
  if (flags.kv == "q8") shape.kv = kernels::KvType::kQ8;
  if (flags.kv == "f32") shape.kv = kernels::KvType::kF32;
  const std::string& path = flags.engine.model;
  if (path.empty()) return shape;
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(path));
  ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfig(file));
  shape.label = "the heads of " + path;
  shape.layers = config.layers;
  shape.heads = config.heads;
  shape.kv_heads = config.kv_heads;
  shape.head_dim = config.head_dim;
  return shape;
}

Result<void> CheckFits(const Shape& shape, int context) {
  const int64_t limit = ReadMachine().memory_bytes;
  const int64_t bytes = Attention::BytesOf(shape, context);
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
  ReadProbe probe(&pool, Attention::BytesOf(shape, flags.context));
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
    const auto bytes =
        static_cast<double>(Attention::BytesOf(shape, contexts[i]));
    report.rows.push_back({contexts[i], TimesOf(seconds[i]), bytes, 0});
  }
  report.headline = report.rows.size() - 1;
  report.notes.push_back(fmt::format(
      "one column, {} layers of {} heads over {} of {}, outputs {:016x}",
      shape.layers, shape.heads, shape.kv_heads, shape.head_dim,
      attention.Hash()));
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
