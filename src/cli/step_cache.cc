// SPDX-License-Identifier: Apache-2.0
#include "cli/step_cache.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/random.h"
#include "config/text_file.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Throws what Boost throws if something is not there or of another type.
engine::MeasuredSteps FromJson(const json::value& value) {
  engine::MeasuredSteps steps;
  const auto number = [&](const char* key) {
    return value.at(key).to_number<double>();
  };
  steps.table.columns = json::value_to<std::vector<int>>(value.at("columns"));
  steps.table.seconds =
      json::value_to<std::vector<double>>(value.at("seconds"));
  steps.table.kv_seconds_per_context_token =
      number("kv_seconds_per_context_token");
  steps.table.prefill_seconds_per_token = number("prefill_seconds_per_token");
  steps.window = value.at("window").to_number<int>();
  steps.whole_ratio = number("whole_ratio");
  steps.seconds = number("measured_in_seconds");
  return steps;
}

}  // namespace

std::string CacheFolder() {
  const std::string cache = Variable("XDG_CACHE_HOME");
  // The specification wants relative ones ignored.
  if (cache.starts_with('/')) return cache + "/aio";
  const std::string home = Variable("HOME");
  return home.empty() ? "" : home + "/.cache/aio";
}

std::string StepFile(const std::string& folder, const std::string& key) {
  uint64_t h = Mix(key.size());
  for (const char c : key) h = Mix(h ^ static_cast<unsigned char>(c));
  return fmt::format("{}/steps-{:016x}.json", folder, h);
}

Result<engine::MeasuredSteps> ReadSteps(const std::string& folder,
                                        const std::string& key) {
  const std::string file = StepFile(folder, key);
  ASSIGN_OR_RETURN(const std::string text, config::ReadTextFile(file));
  const auto corrupt = [&](const std::string& why) {
    return Error{ErrorCode::kCorrupt, file + ": " + why, ""};
  };
  try {
    const json::value value = json::parse(text);
    if (value.at("key").as_string() != key) {
      return corrupt("the step table of another model or machine");
    }
    engine::MeasuredSteps steps = FromJson(value);
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
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return WriteError(folder, error.value());
  json::object out;
  out["key"] = key;
  out["columns"] = json::value_from(steps.table.columns);
  out["seconds"] = json::value_from(steps.table.seconds);
  out["kv_seconds_per_context_token"] =
      steps.table.kv_seconds_per_context_token;
  out["prefill_seconds_per_token"] = steps.table.prefill_seconds_per_token;
  out["window"] = steps.window;
  out["whole_ratio"] = steps.whole_ratio;
  out["measured_in_seconds"] = steps.seconds;
  const std::string text = json::serialize(out) + "\n";
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(StepFile(folder, key)));
  RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(text))));
  return file.Commit();
}

}  // namespace aio::cli
