// SPDX-License-Identifier: Apache-2.0
#include "cli/forecasts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace aio::cli {
namespace {

namespace json = boost::json;

struct Spread {
  double ratio = 1;               // in the middle
  double error = 0, error95 = 0;  // how far off, of half and of 95 % at most
};

double AtMost(std::vector<double> values, double share) {
  const auto at = static_cast<size_t>(
      std::ceil(share * static_cast<double>(values.size())));
  const size_t index = std::max<size_t>(at, 1) - 1;
  std::ranges::nth_element(values,
                           values.begin() + static_cast<ptrdiff_t>(index));
  return values[index];
}

Spread SpreadOf(const std::vector<double>& ratios) {
  std::vector<double> errors;
  for (const double r : ratios) errors.push_back(std::abs(r - 1));
  return {AtMost(ratios, 0.5), AtMost(errors, 0.5), AtMost(errors, 0.95)};
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
    const Spread s = SpreadOf(ratios);
    return fmt::format("{:.0f} %/{:.0f} %", 100 * s.error, 100 * s.error95);
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
    const Spread s = SpreadOf(ratios);
    return json::object{{"n", ratios.size()},
                        {"ratio_p50", s.ratio},
                        {"error_p50", s.error},
                        {"error_p95", s.error95}};
  };
  for (const auto& [name, ratios] : ratios_) {
    out[name] = {{"ttft", of(ratios.ttft)}, {"tpot", of(ratios.token)}};
  }
  return out;
}

}  // namespace aio::cli
