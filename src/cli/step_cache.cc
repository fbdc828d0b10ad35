// SPDX-License-Identifier: Apache-2.0
#include "cli/step_cache.h"

#include <fmt/format.h>

#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <exception>
#include <utility>
#include <vector>

#include "cli/cache_file.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr char kKind[] = "steps";

// Throws what Boost throws if something is not there or of another type.
engine::MeasuredSteps FromJson(const json::object& object) {
  engine::MeasuredSteps steps;
  const auto number = [&](const char* key) {
    return object.at(key).to_number<double>();
  };
  steps.table.columns = json::value_to<std::vector<int>>(object.at("columns"));
  steps.table.seconds =
      json::value_to<std::vector<double>>(object.at("seconds"));
  steps.table.kv_seconds_per_context_token =
      number("kv_seconds_per_context_token");
  steps.table.prefill_seconds_per_token = number("prefill_seconds_per_token");
  steps.window = object.at("window").to_number<int>();
  steps.whole_ratio = number("whole_ratio");
  steps.seconds = number("measured_in_seconds");
  return steps;
}

}  // namespace

Result<engine::MeasuredSteps> ReadSteps(const std::string& folder,
                                        const std::string& key) {
  ASSIGN_OR_RETURN(const json::object kept, ReadCache(folder, kKind, key));
  const auto corrupt = [&](const std::string& why) {
    return Error{ErrorCode::kCorrupt,
                 CacheFile(folder, kKind, key) + ": " + why, ""};
  };
  try {
    engine::MeasuredSteps steps = FromJson(kept);
    auto checked = cost::Checked(std::move(steps.table));
    if (!checked) return corrupt(checked.error().message);
    steps.table = *std::move(checked);
    return steps;
  } catch (const std::exception&) {
    return corrupt("no step table");
  }
}

Result<void> WriteSteps(const std::string& folder, const std::string& key,
                        const engine::MeasuredSteps& steps) {
  if (!steps.steady()) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("the machine was busy while it was measured: one "
                             "whole step took {:.1f} times its estimate",
                             steps.whole_ratio),
                 ""};
  }
  json::object out;
  out["columns"] = json::value_from(steps.table.columns);
  out["seconds"] = json::value_from(steps.table.seconds);
  out["kv_seconds_per_context_token"] =
      steps.table.kv_seconds_per_context_token;
  out["prefill_seconds_per_token"] = steps.table.prefill_seconds_per_token;
  out["window"] = steps.window;
  out["whole_ratio"] = steps.whole_ratio;
  out["measured_in_seconds"] = steps.seconds;
  return WriteCache(folder, kKind, key, std::move(out));
}

}  // namespace aio::cli
