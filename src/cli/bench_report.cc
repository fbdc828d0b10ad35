// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <functional>
#include <iostream>

#include "base/machine.h"
#include "eval/table.h"
#include "kernels/target.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

std::string CpuName() {
  const std::string name = ReadMachine().cpu_name;
  return name.empty() ? "unknown CPU" : name;
}

double Rate(const BenchRow& row) { return row.bytes / row.times.median; }

// Times as much as the narrowest.
double Cost(const BenchReport& report, const BenchRow& row) {
  return row.times.median / report.rows.front().times.median;
}

json::value TokensPerSecond(const BenchRow& row) {
  if (row.tokens == 0) return nullptr;
  return row.tokens / row.times.median;
}

json::object RowJson(const BenchReport& report, const BenchRow& row) {
  return {{"n", row.n},
          {"seconds", row.times.median},
          {"c", Cost(report, row)},
          {"seconds_low", row.times.low},
          {"seconds_high", row.times.high},
          {"bytes", row.bytes},
          {"tokens_per_second", TokensPerSecond(row)},
          {"gigabytes_per_second", Rate(row) / 1e9},
          {"share_of_read_bandwidth", Rate(row) / report.read}};
}

std::vector<std::string> RowText(const BenchReport& report,
                                 const BenchRow& row) {
  const double tokens = row.tokens / row.times.median;
  return {
      std::to_string(row.n),
      fmt::format("{:.3f}", row.times.median * 1e3),
      fmt::format("{:.3f}..{:.3f}", row.times.low * 1e3, row.times.high * 1e3),
      fmt::format("{:.2f}", Cost(report, row)),
      row.tokens == 0 ? "-" : fmt::format("{:.1f}", tokens),
      fmt::format("{:.1f}", row.bytes / 1e6),
      fmt::format("{:.2f}", Rate(row) / 1e9),
      fmt::format("{:.2f}", Rate(row) / report.read)};
}

}  // namespace

std::string BenchTable(const BenchReport& report) {
  std::string text = fmt::format(
      "{} of {} ({})\ncommit {}, {}, target {}, {} threads, context {}, "
      "medians of {}\nplain reading {:.2f} GB/s over {}\n\n",
      report.benchmark, report.model, report.type, AIO_COMMIT, CpuName(),
      kernels::TargetName(), report.threads, report.context, report.runs,
      report.read / 1e9,
      eval::BytesText(static_cast<double>(report.read_over)));
  std::vector<std::vector<std::string>> rows = {{report.unit, "ms",
                                                 "middle half", "c", "tokens/s",
                                                 "MB", "GB/s", "of reading"}};
  for (const BenchRow& row : report.rows) rows.push_back(RowText(report, row));
  text += eval::AlignColumns(rows, 0);
  for (const std::string& note : report.notes) text += note + "\n";
  if (report.logits_hash) {
    text += fmt::format("logits {:016x}\n", *report.logits_hash);
  }
  return text;
}

json::object BenchJson(const BenchReport& report) {
  const BenchRow& row = report.rows[report.headline];
  json::array rows;
  for (const BenchRow& r : report.rows) rows.push_back(RowJson(report, r));
  json::object out = {{"benchmark", report.benchmark},
                      {"model", report.model},
                      {"type", report.type},
                      {"threads", report.threads},
                      {"runs", report.runs},
                      {"context", report.context},
                      {"commit", AIO_COMMIT},
                      {"cpu", CpuName()},
                      {"target", kernels::TargetName()},
                      {"n", row.n},
                      {"seconds", row.times.median},
                      {"seconds_low", row.times.low},
                      {"seconds_high", row.times.high},
                      {"bytes", row.bytes},
                      {"tokens_per_second", TokensPerSecond(row)},
                      {"gigabytes_per_second", Rate(row) / 1e9},
                      {"read_gigabytes_per_second", report.read / 1e9},
                      {"read_bytes", report.read_over},
                      {"share_of_read_bandwidth", Rate(row) / report.read},
                      {"unit", report.unit},
                      {"columns", std::move(rows)}};
  out["logits_hash"] = nullptr;
  if (report.logits_hash) {
    out["logits_hash"] = fmt::format("{:016x}", *report.logits_hash);
  }
  for (const auto& [key, value] : report.more) out[key] = value;
  return out;
}

int PrintBench(const BenchReport& report, bool as_json) {
  if (as_json) {
    std::cout << json::serialize(BenchJson(report)) << "\n";
  } else {
    std::cout << BenchTable(report);
  }
  if (std::cout.flush()) return 0;
  std::cerr << "aio bench: cannot write the report\n";
  return 1;
}

std::string PrintProfile(std::vector<model::StageTime> stages) {
  std::ranges::stable_sort(stages, std::greater(), &model::StageTime::seconds);
  double total = 0;
  for (const model::StageTime& s : stages) total += s.seconds;
  std::vector<std::vector<std::string>> rows = {{"stage", "ms", "share"}};
  for (const model::StageTime& s : stages) {
    rows.push_back({s.name, fmt::format("{:.3f}", s.seconds * 1e3),
                    eval::PercentText(total > 0 ? s.seconds / total : 0)});
  }
  return eval::AlignColumns(rows, 1);
}

}  // namespace aio::cli
