// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark of the engine found, as a table and as JSON.
//
// Thread safety: pure functions.
// See docs/bench.md.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_engine.h"
#include "model/forward.h"

namespace aio::cli {

// One width, length or number of sequences.
struct BenchRow {
  int n = 1;
  Times times;
  double bytes = 0;   // moved
  double tokens = 0;  // through the model; 0: the question is another one
};

struct BenchReport {
  std::string benchmark;  // "decode"
  std::string unit;       // of n: "columns"
  std::string model;
  std::string type;
  int threads = 1;
  int runs = 10;
  int context = 0;
  double read = 0;        // bytes a second of plain reading, in the same run
  int64_t read_over = 0;  // bytes it read over
  // The row whose figures stand for the whole.
  size_t headline = 0;
  std::vector<BenchRow> rows;
  std::optional<uint64_t> logits_hash;
  // More that this benchmark found, for people and for programs.
  std::vector<std::string> notes;
  boost::json::object more;
};

std::string BenchTable(const BenchReport& report);
boost::json::object BenchJson(const BenchReport& report);
// The one or the other on standard output; the exit code of the process.
int PrintBench(const BenchReport& report, bool as_json);

// A table of the stages of a forward pass and their shares of the sum, longest
// first.
std::string PrintProfile(std::vector<model::StageTime> stages);

}  // namespace aio::cli
