// SPDX-License-Identifier: Apache-2.0
#include "sim/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <utility>

namespace aio::sim {
namespace {

namespace json = boost::json;

// The value that `share` of the sorted ones are not above.
double Quantile(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(share * last + 0.5)];
}

json::object ToJson(const Spread& s) {
  return {{"p50", s.p50}, {"p95", s.p95}, {"p99", s.p99}, {"mean", s.mean}};
}

double PerToken(const ReportRow& row) {
  return row.output_tokens == 0 ? 0
                                : (row.weight_bytes + row.kv_bytes) /
                                      static_cast<double>(row.output_tokens);
}

json::object ToJson(const ReportRow& row) {
  json::object out = {{"name", row.name},
                      {"requests", row.requests},
                      {"finished", row.finished},
                      {"cancelled", row.cancelled},
                      {"rejected", row.rejected},
                      {"failed", row.failed},
                      {"share", row.share},
                      {"prompt_tokens", row.prompt_tokens},
                      {"cached_tokens", row.cached_tokens},
                      {"output_tokens", row.output_tokens},
                      {"drafted_tokens", row.drafted_tokens},
                      {"accepted_tokens", row.accepted_tokens},
                      {"tokens_per_second", row.tokens_per_second},
                      {"ttft_seconds", ToJson(row.ttft)},
                      {"tpot_seconds", ToJson(row.tpot)},
                      {"total_seconds", ToJson(row.total)},
                      {"queueing_seconds", ToJson(row.queueing)},
                      {"busy_seconds", row.busy_seconds},
                      {"utilisation", row.utilisation},
                      {"bytes_per_token", PerToken(row)}};
  out["quality"] = row.quality < 0 ? json::value() : json::value(row.quality);
  return out;
}

std::string Percent(double share) {
  return fmt::format("{:.1f}%", 100 * share);
}

// One line of the table; its head has the same widths.
std::string Line(const std::array<std::string, 12>& cells) {
  constexpr std::array kWidths = {0, 9, 7, 9, 7, 10, 27, 27, 10, 8, 10, 9};
  std::string out = fmt::format("{:<14}", cells[0]);
  for (size_t i = 1; i < cells.size(); ++i) {
    out += fmt::format("{:>{}}", cells[i], kWidths[i]);
  }
  return out + "\n";
}

// Of all devices, the worst; nothing if one of them was never compared.
std::optional<FigureErrors> ErrorsOf(const Report& report) {
  FigureErrors out;
  for (const DeviceRow& device : report.devices) {
    if (!device.errors) return std::nullopt;
    for (const auto figure :
         {&FigureErrors::tokens_per_second, &FigureErrors::total,
          &FigureErrors::ttft_p50, &FigureErrors::ttft_p99,
          &FigureErrors::tpot_p50}) {
      out.*figure = std::max(out.*figure, (*device.errors).*figure);
    }
  }
  return out;
}

// What stands under the figures of all.
std::string ErrorLine(const Report& report) {
  const auto errors = ErrorsOf(report);
  if (!errors) {
    const std::string no = "uncalibrated";
    return Line({"off by", "", "", "", "", "?", no, no, "?", "?", "", ""});
  }
  const auto text = [](double share) {
    return fmt::format("{:.0f}%", 100 * share);
  };
  return Line({"off by up to", "", "", "", "", text(errors->tokens_per_second),
               text(errors->ttft_p50) + "/?/" + text(errors->ttft_p99),
               text(errors->tpot_p50) + "/?/?", "?", "?", "", ""});
}

json::value ToJson(const std::optional<FigureErrors>& errors) {
  if (!errors) return nullptr;
  return json::object{{"tokens_per_second", errors->tokens_per_second},
                      {"total_mean", errors->total},
                      {"ttft_p50", errors->ttft_p50},
                      {"ttft_p99", errors->ttft_p99},
                      {"tpot_p50", errors->tpot_p50}};
}

std::string TimeText(double seconds) {
  return seconds < 0.1   ? fmt::format("{:.1f}ms", 1e3 * seconds)
         : seconds < 100 ? fmt::format("{:.2f}s", seconds)
                         : fmt::format("{:.0f}s", seconds);
}

std::string LineOf(const ReportRow& row) {
  const auto spread = [](const Spread& s) {
    return s.count == 0 ? "-"
                        : fmt::format("{}/{}/{}", TimeText(s.p50),
                                      TimeText(s.p95), TimeText(s.p99));
  };
  return Line(
      {row.name, std::to_string(row.requests), Percent(row.share),
       std::to_string(row.rejected), std::to_string(row.cancelled + row.failed),
       fmt::format("{:.1f}", row.tokens_per_second), spread(row.ttft),
       spread(row.tpot), TimeText(row.queueing.mean), Percent(row.utilisation),
       fmt::format("{:.3g}G", PerToken(row) / 1e9),
       row.quality < 0 ? "-" : Percent(row.quality)});
}

}  // namespace

std::string CalibratedText(const DeviceRow& device) {
  if (!device.errors) return "uncalibrated";
  const FigureErrors& e = *device.errors;
  return fmt::format(
      "calibrated: off by up to {:.0f} % in tokens/s, {:.0f} % in TTFT p50 and "
      "{:.0f} % in its p99, {:.0f} % in TPOT p50",
      100 * e.tokens_per_second, 100 * e.ttft_p50, 100 * e.ttft_p99,
      100 * e.tpot_p50);
}

Spread SpreadOf(std::vector<double> values) {
  Spread out;
  out.count = static_cast<int64_t>(values.size());
  if (values.empty()) return out;
  std::ranges::sort(values);
  out.p50 = Quantile(values, 0.5);
  out.p95 = Quantile(values, 0.95);
  out.p99 = Quantile(values, 0.99);
  for (const double v : values) out.mean += v;
  out.mean /= static_cast<double>(values.size());
  return out;
}

std::string ReportTable(const Report& report) {
  std::string out =
      fmt::format("{} under {}, seed {}: {:.1f} s of virtual time\n",
                  report.workload, report.policy, report.seed, report.seconds);
  out += Line({"variant", "requests", "share", "rejected", "lost", "tokens/s",
               "TTFT p50/p95/p99", "TPOT p50/p95/p99", "queueing", "busy",
               "bytes/tok", "quality"});
  for (const ReportRow& row : report.variants) out += LineOf(row);
  out += LineOf(report.all);
  out += ErrorLine(report);
  for (const DeviceRow& d : report.devices) {
    out += fmt::format(
        "device {}: {} busy, {} steps of {:.1f} columns, {} paused, {}\n",
        d.name, Percent(d.utilisation), d.steps,
        d.steps == 0
            ? 0.0
            : static_cast<double>(d.columns) / static_cast<double>(d.steps),
        d.paused, CalibratedText(d));
  }
  if (report.model_probes > 0) {
    out += fmt::format(
        "model probe: asked of {} of {} requests, {} of them too late\n",
        report.model_probes, report.all.requests, report.model_probes_late);
  }
  if (report.all.drafted_tokens > 0) {
    out += fmt::format("drafts: {} tokens, {} of them accepted\n",
                       report.all.drafted_tokens,
                       Percent(static_cast<double>(report.all.accepted_tokens) /
                               static_cast<double>(report.all.drafted_tokens)));
  }
  if (report.ceiling > 0) {
    out += fmt::format(
        "ceiling: with {:.0f} % of the traffic on the smaller model this "
        "device can gain at most {:.2f}x, one sequence at a time\n",
        100 * report.ceiling_share, report.ceiling);
  }
  for (const std::string& note : report.notes) out += note + "\n";
  return out;
}

json::object ReportJson(const Report& report) {
  json::array variants, devices, notes;
  for (const ReportRow& row : report.variants) variants.push_back(ToJson(row));
  for (const DeviceRow& d : report.devices) {
    devices.push_back(json::object{{"name", d.name},
                                   {"calibrated", d.errors.has_value()},
                                   {"errors", ToJson(d.errors)},
                                   {"busy_seconds", d.busy_seconds},
                                   {"utilisation", d.utilisation},
                                   {"steps", d.steps},
                                   {"columns", d.columns},
                                   {"paused", d.paused}});
  }
  for (const std::string& note : report.notes) {
    notes.push_back(json::value(note));
  }
  return {{"workload", report.workload},
          {"policy", report.policy},
          {"seed", report.seed},
          {"seconds", report.seconds},
          {"events", report.events},
          {"model_probes", report.model_probes},
          {"model_probes_late", report.model_probes_late},
          {"all", ToJson(report.all)},
          {"variants", std::move(variants)},
          {"devices", std::move(devices)},
          {"ceiling", report.ceiling},
          {"ceiling_share", report.ceiling_share},
          {"notes", std::move(notes)}};
}

}  // namespace aio::sim
