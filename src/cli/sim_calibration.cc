// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_calibration.h"

#include <boost/json/array.hpp>
#include <exception>
#include <utility>

#include "cli/cache_file.h"
#include "cli/step_cache.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr char kKind[] = "simulator";

// Throws what Boost throws if something is not there or of another type.
Result<Calibration> FromJson(const json::object& kept) {
  const auto number = [&](const char* name) {
    return kept.at(name).to_number<double>();
  };
  Calibration out;
  for (const json::value& model : kept.at("models").as_array()) {
    cost::StepCost cost;
    ASSIGN_OR_RETURN(cost.table, StepTableOf(model.at("table").as_object()));
    if (const json::value& coarse = model.at("coarse"); coarse.is_object()) {
      ASSIGN_OR_RETURN(cost.coarse, StepTableOf(coarse.as_object()));
    }
    out.costs.push_back(std::move(cost));
  }
  out.request_seconds = number("request_seconds");
  out.errors.tokens_per_second = number("tokens_per_second");
  out.errors.total = number("total");
  out.errors.ttft_p50 = number("ttft_p50");
  out.errors.ttft_p99 = number("ttft_p99");
  out.errors.tpot_p50 = number("tpot_p50");
  return out;
}

}  // namespace

Result<Calibration> ReadCalibration(const std::string& key) {
  const std::string folder = CacheFolder();
  if (folder.empty()) return Error{ErrorCode::kNotFound, "no cache", ""};
  ASSIGN_OR_RETURN(const json::object kept, ReadCache(folder, kKind, key));
  try {
    auto out = FromJson(kept);
    if (out) return out;
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
  json::array models;
  for (const cost::StepCost& cost : c.costs) {
    json::object model = {{"table", ToJson(cost.table)}};
    model["coarse"] =
        cost.coarse ? json::value(ToJson(*cost.coarse)) : json::value();
    models.push_back(std::move(model));
  }
  return WriteCache(folder, kKind, key,
                    {{"models", std::move(models)},
                     {"request_seconds", c.request_seconds},
                     {"tokens_per_second", c.errors.tokens_per_second},
                     {"total", c.errors.total},
                     {"ttft_p50", c.errors.ttft_p50},
                     {"ttft_p99", c.errors.ttft_p99},
                     {"tpot_p50", c.errors.tpot_p50}});
}

void Apply(const Calibration& calibration, sim::SimDevice* device) {
  if (calibration.costs.size() != device->models.size()) return;
  for (size_t i = 0; i < device->models.size(); ++i) {
    device->models[i].cost = calibration.costs[i];
  }
  device->options.request_seconds = calibration.request_seconds;
  device->errors = calibration.errors;
}

}  // namespace aio::cli
