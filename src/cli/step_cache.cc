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

}  // namespace

json::object ToJson(const cost::StepTable& table) {
  return {{"columns", json::value_from(table.columns)},
          {"seconds", json::value_from(table.seconds)},
          {"kv_seconds_per_context_token", table.kv_seconds_per_context_token},
          {"prefill_seconds_per_token", table.prefill_seconds_per_token},
          {"pair_seconds", table.pair_seconds}};
}

Result<cost::StepTable> StepTableOf(const json::object& object) {
  try {
    const auto number = [&](const char* key) {
      return object.at(key).to_number<double>();
    };
    cost::StepTable table;
    table.columns = json::value_to<std::vector<int>>(object.at("columns"));
    table.seconds = json::value_to<std::vector<double>>(object.at("seconds"));
    table.kv_seconds_per_context_token = number("kv_seconds_per_context_token");
    table.prefill_seconds_per_token = number("prefill_seconds_per_token");
    table.pair_seconds = number("pair_seconds");
    auto checked = cost::Checked(std::move(table));
    if (checked) return checked;
    return Error{ErrorCode::kCorrupt, checked.error().message, ""};
  } catch (const std::exception&) {
    return Error{ErrorCode::kCorrupt, "no step table", ""};
  }
}

Result<engine::MeasuredSteps> ReadSteps(const std::string& folder,
                                        const std::string& key) {
  ASSIGN_OR_RETURN(const json::object kept, ReadCache(folder, kKind, key));
  const auto corrupt = [&](const std::string& why) {
    return Error{ErrorCode::kCorrupt,
                 CacheFile(folder, kKind, key) + ": " + why, ""};
  };
  engine::MeasuredSteps steps;
  auto table = StepTableOf(kept);
  if (!table) return corrupt(table.error().message);
  steps.table = *std::move(table);
  try {
    steps.window = kept.at("window").to_number<int>();
    steps.whole_ratio = kept.at("whole_ratio").to_number<double>();
    steps.seconds = kept.at("measured_in_seconds").to_number<double>();
    steps.wide = kept.at("wide").as_bool();
  } catch (const std::exception&) {
    return corrupt("no step table");
  }
  if (steps.steady()) return steps;
  return corrupt("the machine was busy while it was measured");
}

Result<void> WriteSteps(const std::string& folder, const std::string& key,
                        const engine::MeasuredSteps& steps) {
  if (!steps.steady()) {
    return Error{ErrorCode::kUnavailable,
                 steps.wide
                     ? fmt::format("the machine was busy while it was "
                                   "measured: one whole step took {:.1f} times "
                                   "its estimate, and half of all steps {:.1f} "
                                   "times the best",
                                   steps.whole_ratio, steps.spread)
                     : "there was no time for steps of prompts",
                 ""};
  }
  json::object out = ToJson(steps.table);
  out["window"] = steps.window;
  out["whole_ratio"] = steps.whole_ratio;
  out["wide"] = steps.wide;
  out["measured_in_seconds"] = steps.seconds;
  return WriteCache(folder, kKind, key, std::move(out));
}

}  // namespace aio::cli
