// SPDX-License-Identifier: Apache-2.0
//
// aio bench reuse: the next turn of a conversation, whose beginning the prefix
// tree has, against a prompt of the same length that it has not. Whole
// requests, as a server would take them, each for one token.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/median.h"
#include "base/random.h"
#include "cli/bench_engine.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "eval/statistics.h"
#include "model/config.h"

namespace aio::cli {
namespace {

struct ReuseFlags {
  EngineFlags engine;  // its context: tokens of the conversation
  int turn = 32;       // new tokens
};

struct Asked {
  double seconds = 0;  // to the first token
  double bytes = 0;
  int cached = 0;  // tokens of the prompt
};

// Some tokens that begin no other conversation.
std::vector<int32_t> Tokens(int vocabulary, uint64_t seed, int count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(RandomBits(1, seed, i) %
                                     static_cast<uint64_t>(vocabulary));
  }
  return tokens;
}

Result<Asked> Ask(Graph* graph, uint64_t id, std::vector<int32_t> prompt) {
  auto request = std::make_shared<core::Request>();
  request->id = fmt::format("reuse-{}", id);
  request->model = "auto";
  request->chat = false;
  request->prompt_tokens = std::move(prompt);
  request->max_tokens = 1;
  request->sampling.temperature = 0;
  ASSIGN_OR_RETURN(const Answer answer, RunOne(graph, std::move(request), {}));
  const core::Usage& usage = answer.done.usage;
  // The whole answer: its only token may be no text.
  return Asked{Seconds(answer.total), static_cast<double>(usage.bytes_read),
               usage.cached_tokens};
}

// A prompt that nobody has asked, then its beginning with another end.
struct Pair {
  Asked cold, next;
};
Result<Pair> AskBoth(const ReuseFlags& flags, int vocabulary, uint64_t round,
                     Graph* graph) {
  const int context = flags.engine.context;
  std::vector<int32_t> prompt =
      Tokens(vocabulary, 2 * round, context + flags.turn);
  Pair pair;
  ASSIGN_OR_RETURN(pair.cold, Ask(graph, 2 * round, prompt));
  const auto end = Tokens(vocabulary, 2 * round + 1, flags.turn);
  std::copy(end.begin(), end.end(), prompt.begin() + context);
  ASSIGN_OR_RETURN(pair.next, Ask(graph, 2 * round + 1, std::move(prompt)));
  if (pair.cold.cached < flags.turn && pair.next.cached >= context) return pair;
  return Error{ErrorCode::kInternal,
               fmt::format("{} tokens of a new prompt and {} of its next turn "
                           "were cached",
                           pair.cold.cached, pair.next.cached),
               ""};
}

Result<std::unique_ptr<Graph>> Open(const EngineFlags& flags) {
  config::Config config = ConfigOfModel(flags.model);
  config::Device& device = config.devices.begin()->second;
  device.threads = flags.threads;
  device.sequences_max = 1;
  return Graph::Build(config, [](const std::string&) {});
}

Result<BenchReport> Measure(const ReuseFlags& flags) {
  ASSIGN_OR_RETURN(const BenchFile file, BenchFile::Open(flags.engine));
  ASSIGN_OR_RETURN(const model::ModelConfig model,
                   model::ReadConfig(*file.file));
  ASSIGN_OR_RETURN(const auto graph, Open(flags.engine));
  ThreadPool pool(flags.engine.threads);
  std::optional<ReadProbe> probe;
  Progress progress(0, flags.engine.runs + 1);
  std::vector<double> cold, next, ratios;
  Pair last;
  for (int round = 0; round <= flags.engine.runs; ++round) {
    ASSIGN_OR_RETURN(last, AskBoth(flags, model.vocabulary,
                                   static_cast<uint64_t>(round), graph.get()));
    if (round == 0) probe.emplace(&pool, static_cast<int64_t>(last.next.bytes));
    probe->Take();
    progress.Step("pairs");
    if (round == 0) continue;
    cold.push_back(last.cold.seconds);
    next.push_back(last.next.seconds);
    ratios.push_back(last.cold.seconds / last.next.seconds);
  }
  BenchReport report;
  report.benchmark = "reuse";
  report.unit = "new tokens";
  report.model = file.label;
  report.type = TypeOf(*file.file);
  report.threads = flags.engine.threads;
  report.runs = flags.engine.runs;
  report.context = flags.engine.context;
  report.read = probe->BytesPerSecond();
  report.read_over = probe->buffer_bytes();
  const int all = flags.engine.context + flags.turn;
  report.rows.push_back({all - last.next.cached, TimesOf(next), last.next.bytes,
                         static_cast<double>(flags.turn)});
  report.rows.push_back({all - last.cold.cached, TimesOf(cold), last.cold.bytes,
                         static_cast<double>(all)});
  const auto interval = eval::BootstrapMedian95(ratios, 1);
  const double ratio = Median(ratios);
  report.more["cold_over_reused"] = ratio;
  report.more["cold_over_reused_95"] = {interval.low, interval.high};
  report.notes.push_back(fmt::format(
      "to the first token, {} new after {}: 1/{:.1f} [{:.1f}-{:.1f}] of the "
      "time of a cold prompt",
      flags.turn, flags.engine.context, ratio, interval.low, interval.high));
  return report;
}

int Run(const ReuseFlags& flags) {
  SetLogLevel(LogLevel::kWarning);
  const auto report = Measure(flags);
  if (report) return PrintBench(*report, flags.engine.as_json);
  std::cerr << "aio bench reuse: " << report.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchReuse(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<ReuseFlags>();
  flags->engine.context = 2000;
  flags->engine.runs = 10;
  CLI::App* c = bench.add_subcommand(
      "reuse",
      "Time to the first token of the next turn of a conversation, "
      "against a cold prompt");
  AddEngineFlags(c, &flags->engine);
  c->get_option("--model")->required();
  c->remove_option(c->get_option("--type"));
  c->add_option("--turn", flags->turn, "New tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Run(*flags); });
}

}  // namespace aio::cli
