// SPDX-License-Identifier: Apache-2.0
//
// The text and the JSON of mixed.h.
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/json_text.h"
#include "eval/mixed.h"
#include "eval/table.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

std::string ClaimName(Claim claim) {
  switch (claim) {
    case Claim::kTooFewPairs:
      return "too few pairs to claim";
    case Claim::kNoDifference:
      return "no difference shown";
    case Claim::kDifference:
      return "differs";
  }
  return "";
}

std::string RatioText(const Ratio& r) {
  return Format("%.2fx [%.2f-%.2f]", r.median, r.interval.low, r.interval.high);
}

std::vector<std::string> Row(const MixedRow& r, bool baseline) {
  return {r.name,
          Format("%.1f %% [%.1f-%.1f]", 100 * r.accuracy_share(),
                 100 * r.accuracy.low, 100 * r.accuracy.high),
          Format("%.1f", r.tokens_per_second),
          baseline ? "1" : RatioText(r.ratio),
          Format("%.2f", 1e3 * r.request_seconds),
          BytesText(r.weight_bytes_per_token),
          PercentText(r.small_share),
          r.sensed == 0
              ? "-"
              : PercentText(static_cast<double>(r.sensed_right) / r.sensed),
          Format("%.3f ms", 1e3 * r.probe_seconds),
          Format("%.2f %%", 100 * r.probe_share)};
}

std::string CeilingText(const Ceiling& c) {
  std::string text = Format(
      "What routing can gain here, in seconds a request: all small %.2fx of "
      "static large, whatever the accuracy;\n",
      c.all_small);
  text += Format(
      "with the router's %.0f %% on small, %.2fx for average "
      "requests",
      100 * c.share, c.same_share);
  if (c.best_choice > 0) {
    text += Format(" and %.2fx for those that gain most", c.best_choice);
  }
  return text + Format("; measured %.2fx.\n", c.router);
}

json::object RowJson(const MixedRow& r) {
  return {{"name", r.name},
          {"requests", r.requests},
          {"right", r.right},
          {"accuracy", r.accuracy_share()},
          {"low", r.accuracy.low},
          {"high", r.accuracy.high},
          {"tokens_per_second", r.tokens_per_second},
          {"ratio", r.ratio.median},
          {"ratio_low", r.ratio.interval.low},
          {"ratio_high", r.ratio.interval.high},
          {"pairs", r.ratio.pairs},
          {"claim", ClaimName(r.ratio.claim)},
          {"request_seconds", r.request_seconds},
          {"weight_bytes_per_token", r.weight_bytes_per_token},
          {"small_share", r.small_share},
          {"probe_seconds", r.probe_seconds},
          {"probe_share", r.probe_share},
          {"intent_told", r.sensed},
          {"intent_right", r.sensed_right}};
}

}  // namespace

std::string MixedTable(const MixedReport& report) {
  std::string mix;
  int requests = 0;
  for (const auto& [intent, count] : report.mix) {
    mix += (mix.empty() ? "" : ", ") + std::to_string(count) + " " + intent;
    requests += count;
  }
  std::string out = report.name + ": " + std::to_string(requests) +
                    " requests (" + mix + ") of " +
                    std::to_string(report.distinct) + " different tasks\n";
  std::vector<std::vector<std::string>> rows = {
      {"contender", "accuracy [95 %]", "tok/s", "x static large [95 %]",
       "ms/request", "weights/tok", "on small", "intent right", "probe",
       "of request"}};
  std::string claims;
  int pairs = 0;
  for (const MixedRow& row : report.rows) {
    const bool is_baseline = row.name == report.baseline;
    pairs = row.ratio.pairs;
    rows.push_back(Row(row, is_baseline));
    if (is_baseline) continue;
    claims += (claims.empty() ? "" : "; ") + row.name + ": " +
              ClaimName(row.ratio.claim);
  }
  return out + AlignColumns(rows, 1) + "tokens/s against " + report.baseline +
         Format(" over %d pairs: ", pairs) + claims + ".\n" +
         CeilingText(report.ceiling);
}

std::string MixedJson(const std::map<std::string, std::string>& settings,
                      const std::vector<MixedReport>& reports) {
  json::object set;
  for (const auto& [key, value] : settings) set[key] = value;
  json::array workloads;
  for (const MixedReport& report : reports) {
    json::object mix;
    for (const auto& [intent, count] : report.mix) mix[intent] = count;
    json::array contenders;
    for (const MixedRow& row : report.rows) contenders.push_back(RowJson(row));
    const Ceiling& c = report.ceiling;
    json::object ceiling = {{"all_small", c.all_small},
                            {"small_share", c.share},
                            {"same_share", c.same_share},
                            {"router", c.router}};
    if (c.best_choice > 0) ceiling["best_choice"] = c.best_choice;
    workloads.push_back({{"name", report.name},
                         {"mix", std::move(mix)},
                         {"distinct_tasks", report.distinct},
                         {"contenders", std::move(contenders)},
                         {"ceiling", std::move(ceiling)}});
  }
  return JsonText(json::object{{"format", 1},
                               {"settings", std::move(set)},
                               {"workloads", std::move(workloads)}});
}

}  // namespace aio::eval
