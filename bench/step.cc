// SPDX-License-Identifier: Apache-2.0
//
// How long is a step of N columns, and how close to the memory's bandwidth?
//
//   bench_step [--model FILE | --type T] [--threads N] [--runs N] [--context N]
//
// Prints the median of the runs after a warm-up and their spread (the middle
// half), the bytes of weights over that time, the share of the bandwidth of
// plain reading measured before and after in this very run, and a hash of the
// logits. Without --model: a llama of 350 M random weights.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/target.h"
#include "model/cpu_forward.h"
#include "model/random_model.h"
#include "tensor/matrix.h"

namespace {

using aio::model::Column;
using aio::model::Forward;

// Of this process instead of the clock on the wall: on a shared machine other
// programs then count only as contention for memory. Only for one thread.
bool use_cpu_time = false;

double Now() {
  if (use_cpu_time) {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) +
           1e-9 * static_cast<double>(t.tv_nsec);
  }
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Times {
  double median, low, high;  // seconds; the middle half
};

template <typename Function>
Times Measure(int runs, const Function& fn) {
  fn();  // warm-up
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    const double begin = Now();
    fn();
    seconds.push_back(Now() - begin);
  }
  std::ranges::sort(seconds);
  const size_t n = seconds.size();
  return {seconds[n / 2], seconds[n / 4], seconds[n - 1 - n / 4]};
}

// Bytes a second that all threads together read from memory: a sum over much
// more than the caches hold, with the next lines on their way.
class Bandwidth {
 public:
  explicit Bandwidth(aio::ThreadPool* pool)
      : pool_(pool), words_(kBytes / sizeof(uint64_t)) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] = i;
  }

  double Read(int runs) {
    const Times t = Measure(runs, [&] {
      std::vector<uint64_t> sums(static_cast<size_t>(pool_->threads()));
      pool_->Run([&](int thread) {
        const auto mine = aio::Share(static_cast<int64_t>(words_.size()),
                                     thread, pool_->threads(), 64);
        const uint64_t* p = words_.data() + mine.begin;
        uint64_t sum = 0;
        for (int64_t i = 0; i < mine.size(); i += 8) {
          __builtin_prefetch(p + i + 512);  // 4 KiB: the reader's best
          for (int64_t j = i; j < i + 8; ++j) sum += p[j];
        }
        sums[static_cast<size_t>(thread)] = sum;
      });
      check_ += std::accumulate(sums.begin(), sums.end(), uint64_t{0});
    });
    return static_cast<double>(kBytes) / t.median;
  }
  uint64_t check() const { return check_; }

 private:
  static constexpr size_t kBytes = size_t{512} << 20;
  aio::ThreadPool* pool_;
  aio::AlignedBuffer<uint64_t> words_;
  uint64_t check_ = 0;
};

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

aio::model::RandomModel BenchModel(aio::DType type) {
  aio::model::RandomModel m;
  m.type = type;
  m.vocabulary = 32000;
  m.hidden = 2048;
  m.layers = 6;
  m.heads = 32;
  m.kv_heads = 8;
  m.head_dim = 64;
  m.feed_forward = 5632;
  m.context = 4096;
  return m;
}

// Sequences with pages of their own, each at the same position.
class Steps {
 public:
  Steps(Forward* forward, int pages_each)
      : forward_(forward), pages_each_(pages_each) {
    pages_.resize(static_cast<size_t>(forward->pages()));
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  // One column of each of `count` sequences.
  void Decode(int count, int position) {
    columns_.clear();
    for (int i = 0; i < count; ++i) {
      columns_.push_back({Token(i), position, PagesOf(i), true});
    }
    forward_->Step(columns_);
  }

  // `count` columns of one sequence; the last one's logits.
  void Prefill(int sequence, int position, int count) {
    columns_.clear();
    for (int i = 0; i < count; ++i) {
      columns_.push_back({Token(position + i), position + i, PagesOf(sequence),
                          i == count - 1});
    }
    forward_->Step(columns_);
  }

  uint64_t Hash() const {
    uint64_t hash = 0;
    for (const float v : forward_->Logits(0)) {
      hash = aio::Mix(hash ^ std::bit_cast<uint32_t>(v));
    }
    return hash;
  }

 private:
  int32_t Token(int i) const {
    return (i * 7919 + 13) % forward_->vocabulary();
  }
  std::span<const int32_t> PagesOf(int sequence) const {
    return std::span(pages_).subspan(
        static_cast<size_t>(sequence * pages_each_),
        static_cast<size_t>(pages_each_));
  }

  Forward* forward_;
  int pages_each_;
  std::vector<int32_t> pages_;
  std::vector<Column> columns_;
};

struct Options {
  std::string model;
  aio::DType type = aio::DType::kQ8_0;
  int threads = 1;
  int runs = 15;
  int context = 64;
  int columns_max = 8;
  int prefill = 512;
};

void Report(Forward* forward, const Options& options, Bandwidth* bandwidth) {
  const double read = bandwidth->Read(7);
  const int pages_each =
      (std::max(options.context, options.prefill) + 32) / 32 + 1;
  Steps steps(forward, pages_each);
  for (int i = 0; i < options.columns_max; ++i) {
    steps.Prefill(i, 0, options.context);
  }
  const auto bytes = static_cast<double>(forward->weight_bytes());
  std::printf("read bandwidth %.1f GB/s; weights %.1f MB a step\n", read / 1e9,
              bytes / 1e6);
  double one = 0;
  for (int n = 1; n <= options.columns_max; ++n) {
    const Times t =
        Measure(options.runs, [&] { steps.Decode(n, options.context); });
    if (n == 1) one = t.median;
    std::printf(
        "decode %d columns: %7.2f ms [%.2f, %.2f]  c(%d) = %.2f  "
        "%.1f GB/s = %.0f %% of reading  logits %016llx\n",
        n, t.median * 1e3, t.low * 1e3, t.high * 1e3, n, t.median / one,
        bytes / t.median / 1e9, 100 * bytes / t.median / read,
        static_cast<unsigned long long>(steps.Hash()));
  }
  const Times t = Measure(std::max(3, options.runs / 3),
                          [&] { steps.Prefill(0, 0, options.prefill); });
  std::printf("prefill %d columns: %.1f ms [%.1f, %.1f] = %.0f tokens/s\n",
              options.prefill, t.median * 1e3, t.low * 1e3, t.high * 1e3,
              options.prefill / t.median);
  std::printf("read bandwidth afterwards %.1f GB/s (check %llu)\n",
              bandwidth->Read(7) / 1e9,
              static_cast<unsigned long long>(bandwidth->check() & 1));
}

aio::Result<void> Run(const Options& options) {
  std::vector<std::byte> bytes;
  std::unique_ptr<aio::gguf::File> file;
  if (options.model.empty()) {
    const auto writer = aio::model::MakeRandomModel(BenchModel(options.type));
    ASSIGN_OR_RETURN(bytes, writer.Serialize());
    ASSIGN_OR_RETURN(auto parsed, aio::gguf::File::Parse(bytes));
    file = std::make_unique<aio::gguf::File>(std::move(parsed));
  } else {
    ASSIGN_OR_RETURN(auto opened, aio::gguf::File::Open(options.model));
    file = std::make_unique<aio::gguf::File>(std::move(opened));
  }
  aio::ThreadPool pool(options.threads);
  aio::model::CpuOptions cpu;
  cpu.pool = &pool;
  cpu.columns_max =
      std::max({options.prefill, options.columns_max, options.context});
  cpu.logits_max = options.columns_max;
  cpu.pages = (std::max(options.context, options.prefill) + 96) / 32 *
              options.columns_max;
  ASSIGN_OR_RETURN(const auto forward, aio::model::LoadCpuForward(*file, cpu));
  std::printf("commit %s, %s, target %s, %d threads, %s, %d runs%s\n",
              AIO_COMMIT, CpuName().c_str(),
              std::string(aio::kernels::TargetName()).c_str(), options.threads,
              options.model.empty() ? aio::NameOf(options.type).c_str()
                                    : options.model.c_str(),
              options.runs, use_cpu_time ? ", CPU time" : "");
  Bandwidth bandwidth(&pool);
  Report(forward.get(), options, &bandwidth);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measure a step of the forward pass");
  Options options;
  const std::map<std::string, aio::DType> types = {{"F32", aio::DType::kF32},
                                                   {"F16", aio::DType::kF16},
                                                   {"BF16", aio::DType::kBF16},
                                                   {"Q8_0", aio::DType::kQ8_0},
                                                   {"Q4_0", aio::DType::kQ4_0}};
  app.add_option("--model", options.model, "a GGUF file");
  app.add_option("--type", options.type, "of the random model")
      ->transform(CLI::CheckedTransformer(types));
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--runs", options.runs)->check(CLI::Range(10, 1000));
  app.add_option("--context", options.context)->check(CLI::PositiveNumber);
  app.add_option("--columns", options.columns_max)->check(CLI::PositiveNumber);
  app.add_option("--prefill", options.prefill)->check(CLI::PositiveNumber);
  app.add_flag("--cpu-time", use_cpu_time,
               "measure CPU time (one thread only)");
  CLI11_PARSE(app, argc, argv);
  use_cpu_time = use_cpu_time && options.threads == 1;
  const auto done = Run(options);
  if (done) return 0;
  std::fprintf(stderr, "bench_step: %s\n", done.error().message.c_str());
  return 1;
}
