// SPDX-License-Identifier: Apache-2.0
//
// A grid as a page: for each figure a chart with a line a contender, and the
// tables. No script, nothing from elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "sim/grid.h"
#include "sim/html.h"

namespace aio::sim {
namespace {

constexpr int kWidth = 620, kHeight = 260, kLeft = 60, kBottom = 40;

// Of Okabe and Ito, told apart by most eyes; the lines behind differ in dashes.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#8a97a6"};
constexpr const char* kDashes[] = {"", "6 3", "2 3"};

struct Line {
  std::string name;
  std::vector<double> values;
};

std::string Style(size_t i) {
  const size_t colours = std::size(kColours);
  return fmt::format("stroke=\"{}\" stroke-dasharray=\"{}\"",
                     kColours[i % colours],
                     kDashes[i / colours % std::size(kDashes)]);
}

// `names` stand under the points; from zero upwards.
std::string Chart(const std::string& title,
                  const std::vector<std::string>& names,
                  const std::vector<Line>& lines) {
  double most = 0;
  for (const Line& line : lines) {
    for (const double v : line.values) most = std::max(most, v);
  }
  if (most <= 0 || names.size() < 2) return "";
  const auto x = [&](size_t i) {
    return kLeft + static_cast<double>(i) * kWidth /
                       static_cast<double>(names.size() - 1);
  };
  const auto y = [&](double v) { return 10 + kHeight * (1 - v / most); };
  const int width = kLeft + kWidth + 220;
  std::string out = fmt::format(
      "<h3>{0}</h3>\n<svg width=\"100%\" viewBox=\"0 0 {1} {2}\" role=\"img\" "
      "aria-label=\"{0}\" fill=\"none\" stroke-width=\"2\">\n",
      Escaped(title), width,
      std::max(kHeight + kBottom + 10,
               20 * static_cast<int>(lines.size()) + 10));
  const auto text = [](double at, double down, const std::string& what,
                       const char* anchor) {
    return fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"currentColor\" "
        "font-size=\"12\" text-anchor=\"{}\">{}</text>",
        at, down, anchor, Escaped(what));
  };
  for (const double share : {0.0, 0.5, 1.0}) {
    out += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>{}\n", kLeft,
                       y(share * most), kLeft + kWidth,
                       text(kLeft - 6, y(share * most) + 4,
                            fmt::format("{:.3g}", share * most), "end"));
  }
  for (size_t i = 0; i < names.size(); ++i) {
    out += text(x(i), kHeight + 28, names[i], "middle");
  }
  for (size_t l = 0; l < lines.size(); ++l) {
    std::string path;
    for (size_t i = 0; i < lines[l].values.size(); ++i) {
      path += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x(i),
                          y(lines[l].values[i]));
    }
    const double at = 16 + 20.0 * static_cast<double>(l);
    out += fmt::format("\n<path {} d=\"{}\"><title>{}</title></path>", Style(l),
                       path, Escaped(lines[l].name));
    out += fmt::format(
        "<path {} d=\"M{} {:.1f}h24\"/>{}", Style(l), kLeft + kWidth + 20, at,
        text(kLeft + kWidth + 50, at + 4, lines[l].name, "start"));
  }
  return out + "\n</svg>\n";
}

// One figure over the loads of one kind.
std::string Figure(const Grid& grid, const std::string& title,
                   const std::function<bool(const GridLoad&)>& of_kind,
                   const std::function<double(const Report&)>& value) {
  std::vector<std::string> names;
  std::vector<size_t> loads;
  for (size_t l = 0; l < grid.loads.size(); ++l) {
    if (!of_kind(grid.loads[l])) continue;
    loads.push_back(l);
    names.push_back(grid.loads[l].clients > 0
                        ? fmt::format("{}", grid.loads[l].clients)
                        : fmt::format("{:g}", grid.loads[l].share));
  }
  std::vector<Line> lines;
  for (size_t c = 0; c < grid.contenders.size(); ++c) {
    Line line = {grid.contenders[c].name, {}};
    for (const size_t l : loads)
      line.values.push_back(value(grid.reports[l][c]));
    lines.push_back(std::move(line));
  }
  return Chart(title, names, lines);
}

double TokensPerSecond(const Report& r) { return r.all.tokens_per_second; }
double Quality(const Report& r) { return 100 * std::max(0.0, r.all.quality); }
double Ttft(const Report& r) { return r.all.ttft.p99; }
double Total(const Report& r) { return r.all.total.mean; }

std::string Page(const Grid& grid) {
  const auto closed = [](const GridLoad& l) { return l.clients > 0; };
  const auto poisson = [](const GridLoad& l) {
    return l.clients == 0 && !l.bursts;
  };
  const auto bursts = [](const GridLoad& l) { return l.bursts; };
  std::string out = fmt::format("<h2>{} on {}</h2>\n", Escaped(grid.workload),
                                Escaped(grid.device));
  out += Figure(grid, "Tokens a second, by clients at once", closed,
                TokensPerSecond);
  out +=
      Figure(grid, "Expected quality, %, by clients at once", closed, Quality);
  out += Figure(grid, "Time to the first token, p99, s, by clients at once",
                closed, Ttft);
  out += Figure(grid,
                "Seconds a request, mean, by load (Poisson, 1 is what "
                "static large does with 16 clients)",
                poisson, Total);
  out += Figure(grid, "Seconds a request, mean, by load (bursts of a trace)",
                bursts, Total);
  return out + "<pre>" + Escaped(GridTable(grid)) + "</pre>\n";
}

}  // namespace

std::string GridHtml(const std::vector<Grid>& grids) {
  std::string out = HtmlHead("A-IO: contenders compared");
  out += "<h1>Contenders compared, simulated</h1>\n";
  for (const Grid& grid : grids) out += Page(grid);
  return out + "</html>\n";
}

}  // namespace aio::sim
