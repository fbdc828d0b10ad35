// SPDX-License-Identifier: Apache-2.0
//
// The page: a table and, for each figure, a bar a row. No script, nothing from
// elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "sim/html.h"
#include "sim/report.h"

namespace aio::sim {
namespace {

std::vector<const ReportRow*> Rows(const Report& report) {
  std::vector<const ReportRow*> rows;
  for (const ReportRow& row : report.variants) rows.push_back(&row);
  rows.push_back(&report.all);
  return rows;
}

std::string Bars(const Report& report, const std::string& title,
                 const std::function<double(const ReportRow&)>& value,
                 const std::string& unit) {
  constexpr int kWidth = 560, kRow = 24, kText = 150;
  const auto rows = Rows(report);
  double most = 0;
  for (const ReportRow* row : rows) most = std::max(most, value(*row));
  std::string out = fmt::format(
      "<h3>{}</h3>\n<svg width=\"100%\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">\n",
      Escaped(title), kText + kWidth + 120, kRow * rows.size(), Escaped(title));
  for (size_t i = 0; i < rows.size(); ++i) {
    const double v = value(*rows[i]);
    const double width = most > 0 ? v / most * kWidth : 0;
    const size_t y = i * kRow;
    out += fmt::format(
        "<text x=\"0\" y=\"{}\" fill=\"currentColor\">{}</text>"
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"16\"/>"
        "<text x=\"{:.1f}\" y=\"{}\" fill=\"currentColor\">{:.4g} {}</text>\n",
        y + 17, Escaped(rows[i]->name), rows[i] == &report.all ? "all" : "bar",
        kText, y + 4, width, kText + width + 6, y + 17, v, unit);
  }
  return out + "</svg>\n";
}

std::string Table(const Report& report) {
  std::string out =
      "<table><tr><th>variant<th>requests<th>share<th>rejected<th>tokens/s"
      "<th>TTFT p50<th>p99<th>TPOT p50<th>p99<th>busy<th>quality</tr>\n";
  for (const ReportRow* row : Rows(report)) {
    out += fmt::format(
        "<tr><td>{}<td>{}<td>{:.1f} %<td>{}<td>{:.1f}<td>{:.3f} s<td>{:.3f} s"
        "<td>{:.1f} ms<td>{:.1f} ms<td>{:.1f} %<td>{}</tr>\n",
        Escaped(row->name), row->requests, 100 * row->share, row->rejected,
        row->tokens_per_second, row->ttft.p50, row->ttft.p99,
        1e3 * row->tpot.p50, 1e3 * row->tpot.p99, 100 * row->utilisation,
        row->quality < 0 ? "–" : fmt::format("{:.1f} %", 100 * row->quality));
  }
  return out + "</table>\n";
}

}  // namespace

std::string ReportHtml(const std::vector<Report>& reports) {
  std::string out = HtmlHead("A-IO simulation");
  out += "<h1>A-IO simulation</h1>\n";
  for (const Report& report : reports) {
    out += fmt::format(
        "<h2>{} under {}</h2>\n<p>{:.1f} s of virtual time, "
        "seed {}.",
        Escaped(report.workload), Escaped(report.policy), report.seconds,
        report.seed);
    for (const DeviceRow& d : report.devices) {
      out += fmt::format(" Device {}: {:.1f} % busy, {}.", Escaped(d.name),
                         100 * d.utilisation, CalibratedText(d));
    }
    if (report.ceiling > 0) {
      out += fmt::format(
          " At {:.0f} % on the smaller model routing can gain "
          "at most {:.2f}x.",
          100 * report.ceiling_share, report.ceiling);
    }
    out += "</p>\n" + Table(report);
    out += Bars(
        report, "Tokens a second",
        [](const ReportRow& r) { return r.tokens_per_second; }, "");
    out += Bars(
        report, "Time to first token, p99",
        [](const ReportRow& r) { return r.ttft.p99; }, "s");
    out += Bars(
        report, "Time per token, p99",
        [](const ReportRow& r) { return 1e3 * r.tpot.p99; }, "ms");
    for (const std::string& note : report.notes) {
      out += "<p>" + Escaped(note) + "</p>\n";
    }
  }
  return out + "</html>\n";
}

}  // namespace aio::sim
