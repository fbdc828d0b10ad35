// SPDX-License-Identifier: Apache-2.0
//
// How close does attention come to the bandwidth of plain reading, and how many
// products a second does a chunk of a prompt reach?
//
//   bench_attention [--dim N] [--heads N] [--threads N] [--runs N]
//
// Decoding: one column against contexts of several lengths, every KV head and
// layer in turn over more memory than the caches hold, laid out as the model's:
// [pages][layers][kv_heads]. The threads take a KV head each. GB/s of KV, read
// once, beside a plain loop over the same memory in the same run. Prefill: 512
// columns up to a context of 2,048. Medians of the runs after a warm-up.
#include "kernels/attention.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/target.h"
#include "tensor/matrix.h"

namespace {

using aio::AlignedBuffer;
using aio::Range;
using aio::Share;
using aio::ThreadPool;
namespace kernels = aio::kernels;

constexpr int kKvHeads = 6;
constexpr int64_t kMemory = int64_t{640} << 20;

using kernels::KvType;
constexpr KvType kTypes[] = {KvType::kF16, KvType::kQ8};

kernels::AttentionShape Shape(int dim, int heads, KvType type) {
  return {dim, heads, type, 1 / std::sqrt(static_cast<float>(dim))};
}

template <typename Function>
double Seconds(int runs, const Function& fn) {
  std::vector<double> seconds;
  for (int i = 0; i <= runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    const std::chrono::duration<double> t =
        std::chrono::steady_clock::now() - start;
    if (i > 0) seconds.push_back(t.count());
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

// KV memory of a model with as many layers as kMemory holds.
struct Cache {
  Cache(const kernels::AttentionShape& s, int positions) : shape(s) {
    head_bytes = shape.key_bytes() + shape.value_bytes();
    const int64_t page_count = (positions + 31) / 32;
    layers = static_cast<int>(
        std::max<int64_t>(1, kMemory / (page_count * kKvHeads * head_bytes)));
    page_bytes = layers * kKvHeads * head_bytes;
    memory =
        AlignedBuffer<std::byte>(static_cast<size_t>(page_count * page_bytes));
    order.resize(static_cast<size_t>(page_count));
    std::iota(order.begin(), order.end(), 0);
    for (size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[aio::RandomBits(1, 2, i) % i]);
    }
    Fill(positions);
  }

  void Fill(int positions) {
    const auto n = static_cast<size_t>(shape.head_dim);
    std::vector<float> x(4096 + 2 * n);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(2 * aio::RandomUnit(3, 4, i) - 1);
    }
    for (int p = 0; p < positions; ++p) {
      for (int i = 0; i < layers * kKvHeads; ++i) {
        const float* k = x.data() + (p * 61 + i * 17) % 4096;
        std::byte* at = memory.data() +
                        order[static_cast<size_t>(p / 32)] * page_bytes +
                        i * head_bytes;
        kernels::WriteKv(shape, k, k + n, p % 32, at, at + shape.key_bytes());
      }
    }
  }

  kernels::KvPages Of(int head) const {
    const std::byte* keys = memory.data() + head * head_bytes;
    return {keys, keys + shape.key_bytes(), page_bytes, order.data()};
  }

  kernels::AttentionShape shape;
  int layers;
  int64_t head_bytes, page_bytes;
  AlignedBuffer<std::byte> memory;
  std::vector<int32_t> order;
};

double ReadSeconds(ThreadPool& pool, const Cache& cache, int runs) {
  std::vector<uint64_t> sums(static_cast<size_t>(pool.threads()) * 8);
  return Seconds(runs, [&] {
    pool.Run([&](int thread) {
      const Range mine = Share(static_cast<int64_t>(cache.memory.size()),
                               thread, pool.threads(), 4096);
      uint64_t sum[32] = {};
      for (int64_t i = mine.begin; i + 256 <= mine.end; i += 256) {
        uint64_t words[32];
        std::memcpy(words, cache.memory.data() + i, 256);
        for (int j = 0; j < 32; ++j) sum[j] += words[j];
      }
      for (int j = 0; j < 32; ++j) {
        sums[static_cast<size_t>(thread) * 8] += sum[j];
      }
    });
  });
}

// One column against everything, all heads and layers.
double DecodeSeconds(ThreadPool& pool, const Cache& cache, int positions,
                     int runs) {
  const auto& s = cache.shape;
  std::vector<float> q(static_cast<size_t>(s.heads * s.head_dim), 0.3f);
  for (size_t i = 0; i < q.size(); ++i) {
    q[i] = static_cast<float>(2 * aio::RandomUnit(5, 6, i) - 1);
  }
  std::vector<float> out(q.size() * kKvHeads);
  const auto n = static_cast<size_t>(kernels::AttentionScratch(s)) + 64;
  AlignedBuffer<float> scratch(n * static_cast<size_t>(pool.threads()));
  return Seconds(runs, [&] {
    for (int layer = 0; layer < cache.layers; ++layer) {
      pool.Run([&](int thread) {
        for (int h = thread; h < kKvHeads; h += pool.threads()) {
          float* to = out.data() + static_cast<size_t>(h) * q.size();
          float* mine = scratch.data() + static_cast<size_t>(thread) * n;
          const kernels::AttentionColumn column = {q.data(), to, positions - 1};
          kernels::Attend(s, cache.Of(layer * kKvHeads + h), {&column, 1},
                          mine);
        }
      });
    }
  });
}

// The last 512 columns of a prompt, one KV head.
double PrefillSeconds(const Cache& cache, int positions, int runs) {
  const auto& s = cache.shape;
  const auto width = static_cast<size_t>(s.heads * s.head_dim);
  std::vector<float> q(width * 512), out(width * 512);
  for (size_t i = 0; i < q.size(); ++i) {
    q[i] = static_cast<float>(2 * aio::RandomUnit(5, 6, i) - 1);
  }
  AlignedBuffer<float> scratch(
      static_cast<size_t>(kernels::AttentionScratch(s)));
  return Seconds(runs, [&] {
    std::vector<kernels::AttentionColumn> columns;
    for (size_t c = 0; c < 512; ++c) {
      columns.push_back({q.data() + c * width, out.data() + c * width,
                         positions - 512 + static_cast<int>(c)});
    }
    kernels::Attend(s, cache.Of(0), columns, scratch.data());
  });
}

void Run(ThreadPool& pool, int dim, int heads, KvType type, int runs) {
  const auto shape = Shape(dim, heads, type);
  std::printf("%s dim %d heads %d threads %d:", kernels::NameOf(type), dim,
              heads, pool.threads());
  for (const int positions : {512, 2048, 16384}) {
    const Cache cache(shape, positions);
    const auto bytes = static_cast<double>(cache.memory.size());
    double read = ReadSeconds(pool, cache, runs);
    const double decode = DecodeSeconds(pool, cache, positions, runs);
    read = std::min(read, ReadSeconds(pool, cache, runs));
    std::printf("  %d %.1f GB/s %.0f%% of %.1f", positions,
                bytes / decode * 1e-9, 100 * read / decode,
                bytes / read * 1e-9);
    if (positions == 2048 && pool.threads() == 1) {
      for (const int end : {512, 2048}) {
        const double products = 4.0 * dim * heads * 512 * (end - 255.5);
        std::printf("  prefill %d %.1f GFLOPS", end,
                    products / PrefillSeconds(cache, end, runs) * 1e-9);
      }
    }
    std::fflush(stdout);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  int dim = 0, heads = 0, threads = 0, runs = 10;
  CLI::App app("Attention against the bandwidth of plain reading");
  app.add_option("--dim", dim, "Head dimension; 0: several");
  app.add_option("--heads", heads, "Query heads per KV head; 0: several");
  app.add_option("--threads", threads, "0: one and two");
  app.add_option("--runs", runs, "Timed runs")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  std::printf("target %s\n", std::string(kernels::TargetName()).c_str());
  for (const int t : {1, 2}) {
    if (threads != 0 && t != threads) continue;
    ThreadPool pool(t);
    for (const auto& [d, h] : std::vector<std::pair<int, int>>{
             {64, 2}, {80, 1}, {96, 8}, {128, 4}, {128, 7}, {256, 4}}) {
      if ((dim != 0 && d != dim) || (heads != 0 && h != heads)) continue;
      for (const KvType type : kTypes) Run(pool, d, h, type, runs);
    }
  }
  return 0;
}
