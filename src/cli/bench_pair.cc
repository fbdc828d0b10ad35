// SPDX-License-Identifier: Apache-2.0
//
// Two models, or two views of nested ones, step in turns: what the machine does
// meanwhile falls on both.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/median.h"
#include "cli/bench_engine.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "eval/statistics.h"
#include "kernels/target.h"

namespace aio::cli {
namespace {

constexpr int kSteps = 5;  // of each side of a pair, of which the middle counts

struct Flags {
  EngineFlags engine;  // the first side; runs are pairs
  std::string other;
  int bits = 8, other_bits = 8;
  std::vector<int> widths = {1, 8};
};

using EnginePtr = std::unique_ptr<BenchEngine>;

Result<EnginePtr> OpenSide(const Flags& flags, const std::string& path,
                           int bits) {
  EngineFlags engine = flags.engine;
  engine.model = path;
  ASSIGN_OR_RETURN(BenchFile file, BenchFile::Open(engine));
  const int most = std::ranges::max(flags.widths);
  BenchSize size;
  size.sequences = size.logits_max = most;
  size.positions = flags.engine.context + 1;
  size.columns_max = std::max(most, flags.engine.context);
  size.bits = static_cast<uint8_t>(bits);
  ASSIGN_OR_RETURN(auto made, BenchEngine::Open(std::move(file),
                                                flags.engine.threads, size));
  for (int i = 0; i < most && flags.engine.context > 0; ++i) {
    made->Prefill(i, 0, flags.engine.context);
  }
  return made;
}

double StepSeconds(BenchEngine* engine, int width, int context) {
  std::vector<double> seconds;
  for (int i = 0; i < kSteps; ++i) {
    const double begin = NowSeconds();
    engine->Decode(width, context);
    seconds.push_back(NowSeconds() - begin);
  }
  return Median(seconds);
}

struct Row {
  int width = 1;
  std::vector<double> first, second, ratios;
};

void Print(const Flags& flags, const std::vector<Row>& rows,
           const BenchEngine& a, const BenchEngine& b, double read) {
  std::cout << fmt::format(
      "A {}, {} bits: {} bytes of weights a step\n"
      "B {}, {} bits: {} bytes of weights a step\n"
      "{} pairs of {} steps, {} threads, {}, context {}, plain reading {:.1f} "
      "GB/s\n{:>7} {:>9} {:>7} {:>9} {:>7}  {}\n",
      a.label(), flags.bits, a.weight_bytes(), b.label(), flags.other_bits,
      b.weight_bytes(), flags.engine.runs, kSteps, flags.engine.threads,
      kernels::TargetName(), flags.engine.context, read / 1e9, "columns",
      "A ms", "GB/s", "B ms", "GB/s", "A's time over B's, 95 %");
  for (const Row& row : rows) {
    const double x = Median(row.first), y = Median(row.second);
    const eval::Ratio ratio = eval::CompareRatios(row.ratios, 1);
    std::cout << fmt::format(
        "{:>7} {:>9.2f} {:>7.1f} {:>9.2f} {:>7.1f}  {:.3f} [{:.3f}-{:.3f}]\n",
        row.width, 1e3 * x,
        a.BytesOfDecode(row.width, flags.engine.context) / x / 1e9, 1e3 * y,
        b.BytesOfDecode(row.width, flags.engine.context) / y / 1e9,
        ratio.median, ratio.interval.low, ratio.interval.high);
  }
}

void PrintJson(const std::vector<Row>& rows, const BenchEngine& a,
               const BenchEngine& b, double read) {
  boost::json::array list;
  for (const Row& row : rows) {
    const eval::Ratio ratio = eval::CompareRatios(row.ratios, 1);
    list.push_back({{"columns", row.width},
                    {"first_seconds", Median(row.first)},
                    {"second_seconds", Median(row.second)},
                    {"ratio", ratio.median},
                    {"ratio_95", {ratio.interval.low, ratio.interval.high}}});
  }
  std::cout << boost::json::object{{"benchmark", "pair"},
                                   {"first", a.label()},
                                   {"second", b.label()},
                                   {"first_weight_bytes", a.weight_bytes()},
                                   {"second_weight_bytes", b.weight_bytes()},
                                   {"read_gigabytes_per_second", read / 1e9},
                                   {"rows", std::move(list)}}
            << "\n";
}

Result<void> Pair(const Flags& flags) {
  ASSIGN_OR_RETURN(const EnginePtr a,
                   OpenSide(flags, flags.engine.model, flags.bits));
  ASSIGN_OR_RETURN(const EnginePtr b,
                   OpenSide(flags, flags.other, flags.other_bits));
  ReadProbe probe(a->pool(), a->weight_bytes());
  std::vector<Row> rows;
  for (const int width : flags.widths) rows.push_back({width, {}, {}, {}});
  Progress progress(0, flags.engine.runs + 1);
  for (int round = 0; round <= flags.engine.runs; ++round) {
    for (Row& row : rows) {
      // Each goes first in half of the pairs.
      const bool swapped = round % 2 == 1;
      double x = 0, y = 0;
      if (swapped) y = StepSeconds(b.get(), row.width, flags.engine.context);
      x = StepSeconds(a.get(), row.width, flags.engine.context);
      if (!swapped) y = StepSeconds(b.get(), row.width, flags.engine.context);
      if (round == 0) continue;  // warms up
      row.first.push_back(x);
      row.second.push_back(y);
      row.ratios.push_back(x / y);
    }
    probe.Take();
    progress.Step("pairs");
  }
  if (flags.engine.as_json) {
    PrintJson(rows, *a, *b, probe.BytesPerSecond());
  } else {
    Print(flags, rows, *a, *b, probe.BytesPerSecond());
  }
  return {};
}

int Main(const Flags& flags) {
  const auto done = Pair(flags);
  if (done) return 0;
  std::cerr << "aio bench pair: " << done.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchPair(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  flags->engine.runs = 20;
  CLI::App* c = bench.add_subcommand(
      "pair", "Steps of two models in turns: which is quicker, and how surely");
  AddEngineFlags(c, &flags->engine);
  c->get_option("--model")->required();
  c->add_option("--other", flags->other, "The second GGUF file")->required();
  c->add_option("--bits", flags->bits, "The view of the first, if nested")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  c->add_option("--other-bits", flags->other_bits, "Of the second")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  c->add_option("--columns", flags->widths, "How many, a list by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
