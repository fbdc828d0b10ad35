// SPDX-License-Identifier: Apache-2.0
//
// aio bench decode, batch and prefill: steps of the forward pass.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/bench_engine.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "engine/sampler.h"
#include "kernels/activations.h"

namespace aio::cli {
namespace {

constexpr int kChunk = 512;  // columns of a step of a prompt that is alone

struct StepFlags {
  EngineFlags engine;
  std::vector<int> widths;  // decode and batch
  int tokens = kChunk;      // prefill
  bool profile = false;     // decode
  bool nest = false;
  int bits = 8;
};

int Fail(const std::string& benchmark, const Error& error) {
  std::cerr << "aio bench " << benchmark << ": " << error.message << "\n";
  return 1;
}

BenchReport ReportOf(const std::string& benchmark, const EngineFlags& flags,
                     const BenchEngine& engine, const ReadProbe& probe) {
  BenchReport report;
  report.benchmark = benchmark;
  report.model = engine.label();
  report.type = TypeOf(engine.file());
  report.threads = flags.threads;
  report.runs = flags.runs;
  report.context = flags.context;
  report.read = probe.BytesPerSecond();
  report.read_over = probe.buffer_bytes();
  return report;
}

// ---- decode and batch -------------------------------------------------------

// Each width once a round, so that a slow minute of the machine falls on all of
// them, and the probe before each and after the last.
std::vector<std::vector<double>> Rounds(const StepFlags& flags,
                                        BenchEngine* engine, ReadProbe* probe,
                                        Progress* progress) {
  std::vector<std::vector<double>> seconds(flags.widths.size());
  for (int round = 0; round <= flags.engine.runs; ++round) {
    const bool warm = round > 0;
    for (size_t i = 0; i < flags.widths.size(); ++i) {
      if (warm) probe->Take();
      const double begin = NowSeconds();
      engine->Decode(flags.widths[i], flags.engine.context);
      if (warm) seconds[i].push_back(NowSeconds() - begin);
    }
    progress->Step("rounds");
  }
  probe->Take();
  return seconds;
}

// Where the time of a step of `columns` goes, and of choosing its tokens
// greedily: means over as many steps as runs, of the first thread.
std::vector<model::StageTime> ProfileOf(const StepFlags& flags, int columns,
                                        BenchEngine* engine) {
  const auto before = engine->forward().Profile();
  double sampling = 0;
  core::Sampling greedy;
  greedy.temperature = 0;
  for (int run = 0; run < flags.engine.runs; ++run) {
    engine->Decode(columns, flags.engine.context);
    const double begin = NowSeconds();
    for (int i = 0; i < columns; ++i) {
      engine::Sampler(greedy, 0, 0, {}).Sample(engine->Logits(i), run);
    }
    sampling += NowSeconds() - begin;
  }
  auto stages = engine->forward().Profile();
  for (size_t i = 0; i < stages.size(); ++i) {
    stages[i].seconds -= before[i].seconds;
  }
  stages.push_back({"sampling", sampling});
  for (auto& stage : stages) stage.seconds /= flags.engine.runs;
  return stages;
}

void AddProfiles(const StepFlags& flags, BenchEngine* engine,
                 BenchReport* report) {
  boost::json::array profiles;
  for (const int n : {1, kernels::kColumnsPerPass}) {
    if (!std::ranges::binary_search(flags.widths, n)) continue;
    const auto stages = ProfileOf(flags, n, engine);
    boost::json::object seconds;
    for (const auto& stage : stages) seconds[stage.name] = stage.seconds;
    profiles.push_back({{"n", n}, {"seconds", std::move(seconds)}});
    report->notes.push_back(
        fmt::format("\na step of {} column{}, by stage:\n{}", n,
                    n == 1 ? "" : "s", PrintProfile(stages)));
  }
  report->more["profile"] = std::move(profiles);
}

Result<BenchReport> Decode(const std::string& benchmark,
                           const StepFlags& flags) {
  const int most = std::ranges::max(flags.widths);
  const int context = flags.engine.context;
  ASSIGN_OR_RETURN(BenchFile file, BenchFile::Open(flags.engine));
  BenchSize size;
  size.sequences = most;
  size.positions = context + 1;
  size.columns_max = std::max(most, std::min(context, kChunk));
  size.logits_max = most;
  size.profile = flags.profile;
  size.nest = flags.nest;
  size.bits = static_cast<uint8_t>(flags.bits);
  ASSIGN_OR_RETURN(
      const auto engine,
      BenchEngine::Open(std::move(file), flags.engine.threads, size));
  Progress progress(0, most + flags.engine.runs + 1);
  // A page that was never written is no memory: it would be read from a cache.
  for (int i = 0; i < most; ++i) {
    engine->Prefill(i, 0, context);
    progress.Step("prompts");
  }
  ReadProbe probe(engine->pool(), engine->weight_bytes());
  const auto seconds = Rounds(flags, engine.get(), &probe, &progress);
  BenchReport report = ReportOf(benchmark, flags.engine, *engine, probe);
  report.unit = benchmark == "decode" ? "columns" : "sequences";
  for (size_t i = 0; i < flags.widths.size(); ++i) {
    const int n = flags.widths[i];
    report.rows.push_back({n, TimesOf(seconds[i]),
                           engine->BytesOfDecode(n, context),
                           static_cast<double>(n)});
  }
  if (flags.profile) AddProfiles(flags, engine.get(), &report);
  engine->Decode(1, context);
  report.logits_hash = engine->LogitsHash();
  report.headline = benchmark == "decode" ? 0 : report.rows.size() - 1;
  return report;
}

// In order, and one first, which the others are compared with.
std::vector<int> Widths(std::vector<int> widths) {
  widths.push_back(1);
  std::ranges::sort(widths);
  // Not std::ranges::unique: Clang 14 cannot read GCC 12's subranges.
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());
  return widths;
}

void AddView(CLI::App* command, StepFlags* flags) {
  command->add_option("--bits", flags->bits, "The view of nested weights")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  command->add_flag("--nest", flags->nest,
                    "Nest the file's weights as they are loaded");
}

void AddWidths(CLI::App* command, const std::string& name, StepFlags* flags) {
  command->add_option(name, flags->widths, "How many, a list by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
}

// ---- prefill ----------------------------------------------------------------

// Multiplications of a prompt's matrix products: the layers for each token, the
// output for the last.
double MacsOf(const gguf::File& file, int tokens) {
  double layers = 0, output = 0;
  for (const gguf::Tensor& t : file.tensors()) {
    if (t.shape.size() < 2) continue;
    const auto n = static_cast<double>(t.elements());
    if (t.name.starts_with("blk.")) layers += n;
    // Without a matrix of its own, the output is the embedding.
    if (t.name == "output.weight") output = n;
    if (t.name == "token_embd.weight" && output == 0) output = n;
  }
  return layers * tokens + output;
}

Result<BenchReport> Prefill(const StepFlags& flags) {
  const int context = flags.engine.context;
  ASSIGN_OR_RETURN(BenchFile file, BenchFile::Open(flags.engine));
  BenchSize size;
  size.positions = context + flags.tokens;
  size.columns_max = std::min(flags.tokens, kChunk);
  size.nest = flags.nest;
  size.bits = static_cast<uint8_t>(flags.bits);
  ASSIGN_OR_RETURN(
      const auto engine,
      BenchEngine::Open(std::move(file), flags.engine.threads, size));
  Progress progress(0, flags.engine.runs + 1);
  if (context > 0) engine->Prefill(0, 0, context);
  ReadProbe probe(engine->pool(), engine->weight_bytes());
  std::vector<double> seconds;
  for (int run = 0; run <= flags.engine.runs; ++run) {
    probe.Take();
    const double begin = NowSeconds();
    engine->Prefill(0, context, flags.tokens);
    if (run > 0) seconds.push_back(NowSeconds() - begin);
    progress.Step("prompts");
  }
  probe.Take();
  BenchReport report = ReportOf("prefill", flags.engine, *engine, probe);
  report.unit = "tokens";
  const int steps = (flags.tokens + kChunk - 1) / kChunk;
  const auto weights = static_cast<double>(engine->weight_bytes());
  report.rows.push_back({flags.tokens, TimesOf(seconds), weights * steps,
                         static_cast<double>(flags.tokens)});
  const double rate = MacsOf(engine->file(), flags.tokens) /
                      report.rows.front().times.median / 1e9;
  report.more["gigamacs_per_second"] = rate;
  report.notes.push_back(fmt::format(
      "{:.1f} GMAC/s in matrix products; weights read {} times", rate, steps));
  report.logits_hash = engine->LogitsHash();
  return report;
}

int Run(const std::string& benchmark, StepFlags flags) {
  flags.widths = Widths(std::move(flags.widths));
  const auto report =
      benchmark == "prefill" ? Prefill(flags) : Decode(benchmark, flags);
  if (!report) return Fail(benchmark, report.error());
  return PrintBench(*report, flags.engine.as_json);
}

}  // namespace

void AddBenchDecode(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<StepFlags>();
  flags->widths = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32};
  CLI::App* c = bench.add_subcommand(
      "decode",
      "How long a step is, by the sequences in it, and how near to "
      "reading the weights once");
  AddEngineFlags(c, &flags->engine);
  AddView(c, flags.get());
  AddWidths(c, "--columns", flags.get());
  c->add_flag("--profile", flags->profile,
              "Where the time of a step of 1 and of 8 columns goes");
  c->callback([flags, exit_code] { *exit_code = Run("decode", *flags); });
}

void AddBenchBatch(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<StepFlags>();
  flags->widths = {1, 2, 4, 8, 16};
  CLI::App* c = bench.add_subcommand(
      "batch", "Tokens a second of all sequences that decode together");
  AddEngineFlags(c, &flags->engine);
  AddView(c, flags.get());
  AddWidths(c, "--sequences", flags.get());
  c->callback([flags, exit_code] { *exit_code = Run("batch", *flags); });
}

void AddBenchPrefill(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<StepFlags>();
  flags->engine.context = 0;
  flags->engine.runs = 10;
  CLI::App* c = bench.add_subcommand(
      "prefill", "Tokens a second of a prompt that is alone");
  AddEngineFlags(c, &flags->engine);
  AddView(c, flags.get());
  c->add_option("--tokens", flags->tokens, "Of the prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Run("prefill", *flags); });
}

}  // namespace aio::cli
