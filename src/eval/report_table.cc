// SPDX-License-Identifier: Apache-2.0
//
// The readable half of report.h.
#include <string>
#include <string_view>
#include <vector>

#include "eval/report.h"
#include "eval/table.h"

namespace aio::eval {
namespace {

std::vector<std::string> Row(const std::string& name, std::string_view intent,
                             const Cell& c) {
  const Interval interval = c.interval();
  return {name,
          std::string(intent),
          std::to_string(c.tasks),
          PercentText(c.accuracy()),
          Format("%.1f-%.1f", 100 * interval.low, 100 * interval.high),
          std::to_string(c.errors),
          std::to_string(c.completion_tokens),
          Format("%.2f", c.seconds),
          Format("%.1f", c.tokens_per_second()),
          BytesText(c.weight_bytes_per_token()),
          c.sensed == 0
              ? "-"
              : PercentText(static_cast<double>(c.sensed_right) / c.sensed)};
}

// What no row can say: where a policy sent its requests, and the whole time.
std::string Notes(const ContenderReport& c, int tasks) {
  std::string out;
  const Cell& all = c.all;
  if (all.tasks == 0) return c.name + ": no results\n";
  if (c.name.starts_with("policy:")) {
    out += c.name + " sent";
    std::string_view comma = " ";
    for (const auto& [variant, count] : all.served) {
      out += std::string(comma) +
             PercentText(static_cast<double>(count) / all.tasks) + " to " +
             variant;
      comma = ", ";
    }
    out +=
        Format("; probes took %.2f ms a request (%.1f %%)\n",
               1e3 * all.probe_seconds / all.tasks,
               all.seconds > 0 ? 100 * all.probe_seconds / all.seconds : 0.0);
  }
  out +=
      c.name + ": " +
      Format("%.1f s of wall clock, %.1f tokens/s in all", c.wall_seconds,
             c.wall_seconds > 0
                 ? static_cast<double>(all.completion_tokens) / c.wall_seconds
                 : 0.0);
  if (all.cut > 0) {
    out += Format("; %d answers were cut at max_tokens", all.cut);
  }
  if (all.tasks < tasks) {
    out += Format("; %d of %d tasks, the rest has not run", all.tasks, tasks);
  }
  return out + "\n";
}

}  // namespace

std::string ReportTable(const Report& report) {
  std::vector<std::vector<std::string>> rows = {
      {"contender", "intent", "n", "accuracy", "95 %", "errors", "tokens",
       "seconds", "tok/s", "weights/tok", "intent told"}};
  std::string notes;
  for (const ContenderReport& c : report.contenders) {
    rows.push_back(Row(c.name, "all", c.all));
    for (size_t i = 0; i < core::kLabels; ++i) {
      if (c.by_intent[i].tasks == 0) continue;
      rows.push_back(Row("", core::kLabelNames[i], c.by_intent[i]));
    }
    notes += Notes(c, report.tasks);
  }
  return AlignColumns(rows, 2) + "\n" + notes;
}

}  // namespace aio::eval
