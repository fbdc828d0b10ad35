// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_calibration.h"

#include <fmt/format.h>

#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <exception>
#include <utility>

#include "cli/cache_file.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr char kKind[] = "simulator";

}  // namespace

Result<Calibration> ReadCalibration(const std::string& key) {
  const std::string folder = CacheFolder();
  if (folder.empty()) return Error{ErrorCode::kNotFound, "no cache", ""};
  ASSIGN_OR_RETURN(const json::object kept, ReadCache(folder, kKind, key));
  try {
    const auto number = [&](const char* name) {
      return kept.at(name).to_number<double>();
    };
    Calibration out;
    out.step_seconds =
        json::value_to<std::vector<double>>(kept.at("step_seconds"));
    out.row_seconds =
        json::value_to<std::vector<double>>(kept.at("row_seconds"));
    out.tokens_per_second = number("tokens_per_second");
    out.ttft_p50 = number("ttft_p50");
    out.ttft_p99 = number("ttft_p99");
    out.tpot_p50 = number("tpot_p50");
    if (out.step_seconds.size() == out.row_seconds.size()) return out;
  } catch (const std::exception&) {
  }
  return Error{ErrorCode::kCorrupt,
               CacheFile(folder, kKind, key) + ": no calibration", ""};
}

Result<void> WriteCalibration(const std::string& key, const Calibration& c) {
  const std::string folder = CacheFolder();
  if (folder.empty()) {
    return Error{ErrorCode::kNotFound, "neither HOME nor XDG_CACHE_HOME", ""};
  }
  return WriteCache(folder, kKind, key,
                    {{"step_seconds", json::value_from(c.step_seconds)},
                     {"row_seconds", json::value_from(c.row_seconds)},
                     {"tokens_per_second", c.tokens_per_second},
                     {"ttft_p50", c.ttft_p50},
                     {"ttft_p99", c.ttft_p99},
                     {"tpot_p50", c.tpot_p50}});
}

void Apply(const Calibration& calibration, sim::SimDevice* device) {
  if (calibration.step_seconds.size() != device->models.size()) return;
  for (size_t i = 0; i < device->models.size(); ++i) {
    device->models[i].cost.step_seconds = calibration.step_seconds[i];
    device->models[i].cost.row_seconds = calibration.row_seconds[i];
  }
  device->calibrated = true;
  device->errors = fmt::format(
      "tokens/s {:.0f} %, TTFT p50 {:.0f} % and p99 {:.0f} %, TPOT p50 {:.0f} "
      "%",
      100 * calibration.tokens_per_second, 100 * calibration.ttft_p50,
      100 * calibration.ttft_p99, 100 * calibration.tpot_p50);
}

}  // namespace aio::cli
