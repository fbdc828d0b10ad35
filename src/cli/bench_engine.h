// SPDX-License-Identifier: Apache-2.0
//
// What the benchmarks of the engine share: their flags, a model loaded with
// room for some sequences, its steps, and the bandwidth of plain reading in the
// same run. One place loads models, so that all of them measure the same thing.
//
// Thread safety: none; used on one thread.
// See docs/bench.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "cli/clock.h"
#include "gguf/gguf.h"
#include "kernels/read_bandwidth.h"
#include "model/cpu_forward.h"
#include "model/forward.h"
#include "tensor/dtype.h"

namespace CLI {
class App;
}  // namespace CLI

namespace aio::cli {

struct EngineFlags {
  std::string model;          // a GGUF file; empty: random weights
  DType type = DType::kQ8_0;  // of the random weights
  int threads = 1;            // default: what this process may use
  int runs = 15;              // behind each median, after one for warmth
  int context = 64;           // tokens before the ones that are measured
  bool as_json = false;
};

// Adds --model, --type, --threads, --runs, --context and --json. The defaults
// are what `flags` holds, but for the threads.
void AddEngineFlags(CLI::App* command, EngineFlags* flags);

struct Times {
  double median = 0, low = 0, high = 0;  // seconds; the middle half
};
// REQUIRES: not empty.
Times TimesOf(std::vector<double> seconds);

// The read bandwidth over a buffer of a given size, taken again and again
// beside whatever is measured: on a shared machine it changes.
class ReadProbe {
 public:
  // Of `bytes`, or a quarter of the machine's memory if that is less.
  ReadProbe(ThreadPool* pool, int64_t bytes);

  void Take();
  // Bytes a second, the median of those taken.
  double BytesPerSecond() const;
  int64_t buffer_bytes() const { return bandwidth_.bytes(); }
  uint64_t check() const { return bandwidth_.check(); }

 private:
  kernels::ReadBandwidth bandwidth_;
  int loop_ = 0;
  std::vector<double> seconds_;
};

// What stands for the path of random weights.
inline constexpr char kRandomLabel[] = "random weights, 0.35 G";

// A file, or one with random weights in memory.
struct BenchFile {
  static Result<BenchFile> Open(const EngineFlags& flags);

  std::string label;             // the path, or kRandomLabel
  std::vector<std::byte> bytes;  // of random weights
  std::unique_ptr<gguf::File> file;
};

// Writes the random model that stands in for --model.
Result<void> WriteRandomModel(const EngineFlags& flags,
                              const std::string& path);

// kOverloaded with numbers if the file as `options` want it and a buffer to
// read for comparison would not fit the machine's memory.
Result<void> CheckFits(const gguf::File& file,
                       const model::CpuOptions& options);

// The type that most bytes of the file are of.
std::string TypeOf(const gguf::File& file);

// What will be stepped, which decides how much memory is taken.
struct BenchSize {
  int sequences = 1;
  int positions = 1;            // of each sequence
  int columns_max = 1;          // of a step
  int logits_max = 1;           // columns of a step that give logits
  bool profile = false;         // whether forward().Profile() tells anything
  std::string tile_cache = "";  // model::TileOptions::cache
  bool nest = false;            // model::CpuOptions::nest
  uint8_t bits = 8;             // the view of all columns, if it is nested
};

class BenchEngine {
 public:
  // kOverloaded with numbers if it would not fit the machine's memory;
  // kInvalidArgument if the model is not made for so many positions, or not
  // nested and asked for 4 bits.
  static Result<std::unique_ptr<BenchEngine>> Open(BenchFile file, int threads,
                                                   const BenchSize& size);

  const gguf::File& file() const { return *file_.file; }
  const std::string& label() const { return file_.label; }
  const model::Forward& forward() const { return *forward_; }
  ThreadPool* pool() { return pool_.get(); }

  // One column of each of `count` sequences, all at `position`.
  void Decode(int count, int position);
  // `count` columns of one sequence in steps of at most columns_max; the last
  // one's logits.
  void Prefill(int sequence, int position, int count);
  // The i-th logits of the last step.
  std::span<const float> Logits(int i) const { return forward_->Logits(i); }
  // Of the first logits of the last step.
  uint64_t LogitsHash() const;
  // What a step reads of the weights in the view it takes.
  int64_t weight_bytes() const {
    return forward_->WeightBytes(bits_ != 8);
  }
  // Weights once, and the keys and values of `count` sequences.
  double BytesOfDecode(int count, int position) const;

 private:
  BenchEngine() = default;
  int32_t Token(int i) const;
  std::span<const int32_t> PagesOf(int sequence) const;

  BenchFile file_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<model::Forward> forward_;
  int pages_each_ = 0;
  uint8_t bits_ = 8;
  std::vector<int32_t> pages_;
  std::vector<model::Column> columns_;
};

}  // namespace aio::cli
