// SPDX-License-Identifier: Apache-2.0
#include "cli/forecasts.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "sim/report.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

// How far off they were.
sim::Spread ErrorsOf(const std::vector<double>& ratios) {
  std::vector<double> errors;
  for (const double r : ratios) errors.push_back(std::abs(r - 1));
  return sim::SpreadOf(std::move(errors));
}

}  // namespace

void Forecasts::Add(const cost::Price& said, const json::object& outcome) {
  if (!outcome.at("error").as_string().empty() ||
      outcome.at("attempts").to_number<int>() != 1) {
    return;
  }
  const auto seconds = [&](const char* name) {
    return outcome.at(name).to_number<double>() / 1e9;
  };
  const double ttft = seconds("to_first_token_ns");
  const double rest = seconds("attempt_ns") - ttft;
  const double tokens = outcome.at("completion_tokens").to_number<double>();
  for (const std::string& name :
       {std::string(outcome.at("variant").as_string()), std::string("all")}) {
    Ratios& ratios = ratios_[name];
    if (said.ttft > 0 && ttft > 0) ratios.ttft.push_back(ttft / said.ttft);
    if (said.token > 0 && tokens > 1) {
      ratios.token.push_back(rest / (tokens - 1) / said.token);
    }
  }
}

std::string Forecasts::Table() const {
  std::string out =
      fmt::format("{:<24}{:>9}{:>26}{:>26}\n", "said of", "requests",
                  "TTFT off by p50/p95", "TPOT off by p50/p95");
  const auto cell = [](const std::vector<double>& ratios) -> std::string {
    if (ratios.empty()) return "-";
    const sim::Spread s = ErrorsOf(ratios);
    return fmt::format("{:.0f} %/{:.0f} %", 100 * s.p50, 100 * s.p95);
  };
  for (const auto& [name, ratios] : ratios_) {
    out += fmt::format("{:<24}{:>9}{:>26}{:>26}\n", name, ratios.ttft.size(),
                       cell(ratios.ttft), cell(ratios.token));
  }
  return out;
}

json::object Forecasts::ToJson() const {
  json::object out;
  const auto of = [](const std::vector<double>& ratios) -> json::value {
    if (ratios.empty()) return nullptr;
    const sim::Spread s = ErrorsOf(ratios);
    return json::object{{"n", ratios.size()},
                        {"ratio_p50", sim::SpreadOf(ratios).p50},
                        {"error_p50", s.p50},
                        {"error_p95", s.p95}};
  };
  for (const auto& [name, ratios] : ratios_) {
    out[name] = {{"ttft", of(ratios.ttft)}, {"tpot", of(ratios.token)}};
  }
  return out;
}

}  // namespace aio::cli
