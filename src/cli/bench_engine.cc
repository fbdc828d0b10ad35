// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_engine.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <iostream>
#include <map>
#include <numeric>
#include <utility>

#include "base/machine.h"
#include "base/median.h"
#include "base/random.h"
#include "cli/progress.h"
#include "engine/memory_plan.h"
#include "eval/statistics.h"
#include "model/config.h"
#include "model/cpu_forward.h"
#include "model/random_model.h"

namespace aio::cli {
namespace {

constexpr int kProbeRuns = 3;  // of each loop, to find the fastest

// 0.35 G weights: far more than caches hold, and made in seconds.
model::RandomModel RandomShape(DType type) {
  model::RandomModel m;
  m.type = type;
  m.vocabulary = 32000;
  m.hidden = 2048;
  m.layers = 6;
  m.heads = 32;
  m.kv_heads = 8;
  m.head_dim = 64;
  m.feed_forward = 5632;
  m.context = 1 << 15;
  return m;
}

gguf::Writer MakeRandom(DType type) {
  std::cerr << "aio bench: no --model, so random weights are made, which takes "
               "some seconds\n";
  return model::MakeRandomModel(RandomShape(type));
}

int64_t ProbeBytes(int64_t wanted) {
  constexpr int64_t kLeast = 64;
  const int64_t memory = ReadMachine().memory_bytes;
  const int64_t most = memory > 0 ? memory / 4 : int64_t{1} << 30;
  return std::clamp(wanted, kLeast, std::max(kLeast, most));
}

Error DoesNotFit(const model::MemoryNeeds& needs, int pages, int64_t probe,
                 int64_t limit) {
  using engine::BytesText;
  return {
      ErrorCode::kOverloaded,
      fmt::format("weights of {}, {} pages of KV of {}, {} of scratch and "
                  "{} to measure the read bandwidth do not fit the {} of "
                  "this machine; take fewer columns or less --context",
                  BytesText(needs.weight_bytes), pages,
                  BytesText(needs.page_bytes), BytesText(needs.scratch_bytes),
                  BytesText(probe), BytesText(limit)),
      "context"};
}

}  // namespace

Result<void> CheckFits(const gguf::File& file,
                       const model::CpuOptions& options) {
  ASSIGN_OR_RETURN(const model::MemoryNeeds needs,
                   model::PlanMemory(file, options));
  const int64_t limit = ReadMachine().memory_bytes;
  const int64_t probe = ProbeBytes(needs.weight_bytes);
  const int64_t total = needs.weight_bytes + needs.scratch_bytes +
                        options.pages * needs.page_bytes + probe;
  if (limit == 0 || total <= limit) return {};
  return DoesNotFit(needs, options.pages, probe, limit);
}

void AddEngineFlags(CLI::App* command, EngineFlags* flags) {
  static const std::map<std::string, DType> kTypes = {{"F32", DType::kF32},
                                                      {"F16", DType::kF16},
                                                      {"BF16", DType::kBF16},
                                                      {"Q8_0", DType::kQ8_0},
                                                      {"Q4_0", DType::kQ4_0}};
  flags->threads = ReadMachine().cpus;
  auto* file = command->add_option("--model,-m", flags->model,
                                   "A GGUF file; default: random weights");
  command->add_option("--type", flags->type, "Of the random weights")
      ->transform(CLI::CheckedTransformer(kTypes, CLI::ignore_case))
      ->default_str("Q8_0")
      ->excludes(file);
  command->add_option("--threads,-t", flags->threads)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--runs", flags->runs, "Behind each median")
      ->check(CLI::Range(10, 100000))
      ->capture_default_str();
  command
      ->add_option("--context", flags->context,
                   "Tokens before the measured ones")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_flag("--json", flags->as_json, "All numbers as JSON");
}

Times TimesOf(std::vector<double> seconds) {
  CHECK(!seconds.empty());
  std::ranges::sort(seconds);
  const size_t n = seconds.size();
  return {Median(seconds), seconds[n / 4], seconds[n - 1 - n / 4]};
}

ReadProbe::ReadProbe(ThreadPool* pool, int64_t bytes)
    : bandwidth_(pool, ProbeBytes(bytes)),
      loop_(bandwidth_.FastestLoop(kProbeRuns, NowSeconds)) {}

void ReadProbe::Take() {
  const double begin = NowSeconds();
  bandwidth_.Read(loop_);
  seconds_.push_back(NowSeconds() - begin);
}

double ReadProbe::BytesPerSecond() const {
  return static_cast<double>(buffer_bytes()) / Median(seconds_);
}

Result<BenchFile> BenchFile::Open(const EngineFlags& flags) {
  BenchFile out;
  if (!flags.model.empty()) {
    out.label = flags.model;
    ASSIGN_OR_RETURN(auto opened, gguf::File::Open(flags.model));
    out.file = std::make_unique<gguf::File>(std::move(opened));
    return out;
  }
  out.label = kRandomLabel;
  const auto writer = MakeRandom(flags.type);
  ASSIGN_OR_RETURN(out.bytes, writer.Serialize());
  ASSIGN_OR_RETURN(auto parsed, gguf::File::Parse(out.bytes));
  out.file = std::make_unique<gguf::File>(std::move(parsed));
  return out;
}

Result<void> WriteRandomModel(const EngineFlags& flags,
                              const std::string& path) {
  return MakeRandom(flags.type).Write(path);
}

std::string TypeOf(const gguf::File& file) {
  std::map<DType, size_t> bytes;
  for (const gguf::Tensor& t : file.tensors()) bytes[t.type] += t.data.size();
  if (bytes.empty()) return "none";
  const auto most = std::ranges::max_element(
      bytes, {}, [](const auto& entry) { return entry.second; });
  return NameOf(most->first);
}

Result<std::unique_ptr<BenchEngine>> BenchEngine::Open(BenchFile file,
                                                       int threads,
                                                       const BenchSize& size) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadConfig(*file.file));
  if (size.positions > config.context_length) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{} tokens of context were asked for, and the "
                             "model was made for {}",
                             size.positions, config.context_length),
                 "context"};
  }
  std::unique_ptr<BenchEngine> engine(new BenchEngine);
  engine->file_ = std::move(file);
  engine->pages_each_ =
      (size.positions + model::kPageTokens - 1) / model::kPageTokens;
  engine->pool_ = std::make_unique<ThreadPool>(threads);
  model::CpuOptions options;
  options.pool = engine->pool_.get();
  options.columns_max = size.columns_max;
  options.logits_max = size.logits_max;
  options.profile = size.profile;
  options.tiles.cache = size.tile_cache;
  options.nest = size.nest;
  options.tiles.progress = ShowLoading("weights");
  model::TileReport tiles;
  options.tiles.report = &tiles;
  options.pages = engine->pages_each_ * size.sequences;
  RETURN_IF_ERROR(CheckFits(*engine->file_.file, options));
  ASSIGN_OR_RETURN(engine->forward_,
                   model::LoadCpuForward(*engine->file_.file, options));
  if (size.bits != 8 && !engine->forward_->nested()) {
    return Error{ErrorCode::kInvalidArgument,
                 engine->label() +
                     " is not nested, so it has one view; see "
                     "aio pack --nest, or --nest",
                 "bits"};
  }
  engine->bits_ = size.bits;
  if (!tiles.warnings.empty()) {
    return Error{ErrorCode::kUnavailable, tiles.warnings.front(), ""};
  }
  engine->pages_.resize(static_cast<size_t>(options.pages));
  std::iota(engine->pages_.begin(), engine->pages_.end(), 0);
  return engine;
}

int32_t BenchEngine::Token(int i) const {
  constexpr int64_t kStride = 7919;  // a prime: all tokens in turn
  return static_cast<int32_t>((i * kStride + 13) % forward_->vocabulary());
}

std::span<const int32_t> BenchEngine::PagesOf(int sequence) const {
  return std::span(pages_).subspan(static_cast<size_t>(sequence * pages_each_),
                                   static_cast<size_t>(pages_each_));
}

void BenchEngine::Decode(int count, int position) {
  columns_.clear();
  for (int i = 0; i < count; ++i) {
    columns_.push_back({Token(i), position, PagesOf(i), true, bits_});
  }
  forward_->Step(columns_);
}

void BenchEngine::Prefill(int sequence, int position, int count) {
  const int end = position + count;
  while (position < end) {
    columns_.clear();
    const int stop = std::min(end, position + forward_->columns_max());
    for (; position < stop; ++position) {
      columns_.push_back({Token(position), position, PagesOf(sequence),
                          position == end - 1, bits_});
    }
    forward_->Step(columns_);
  }
}

uint64_t BenchEngine::LogitsHash() const {
  uint64_t hash = 0;
  for (const float v : forward_->Logits(0)) {
    hash = Mix(hash ^ std::bit_cast<uint32_t>(v));
  }
  return hash;
}

double BenchEngine::BytesOfDecode(int count, int position) const {
  const int64_t kv = forward_->kv_bytes_per_token() * (position + 1);
  return static_cast<double>(weight_bytes() + kv * count);
}

}  // namespace aio::cli
