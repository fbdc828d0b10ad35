// SPDX-License-Identifier: Apache-2.0
#include "upstream/engine_metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace aio::upstream {
namespace {

struct Sample {
  std::string_view name;
  double value = 0;
};

// `name{labels} value [time]`. Label values may hold escaped quotes and braces.
std::optional<Sample> SampleOf(std::string_view line) {
  const size_t end = line.find_first_of("{ \t");
  if (line.empty() || line[0] == '#' || end == std::string_view::npos) {
    return std::nullopt;
  }
  Sample sample;
  sample.name = line.substr(0, end);
  line.remove_prefix(end);
  if (line[0] == '{') {
    bool quoted = false;
    size_t at = 1;
    for (; at < line.size() && (quoted || line[at] != '}'); ++at) {
      if (line[at] == '\\') {
        ++at;
      } else if (line[at] == '"') {
        quoted = !quoted;
      }
    }
    if (at >= line.size()) return std::nullopt;
    line.remove_prefix(at + 1);
  }
  const size_t from = line.find_first_not_of(" \t");
  if (from == std::string_view::npos) return std::nullopt;
  line.remove_prefix(from);
  const auto [rest, error] =
      std::from_chars(line.data(), line.data() + line.size(), sample.value);
  const bool good =
      error == std::errc() && std::isfinite(sample.value) && sample.value >= 0;
  if (!good) return std::nullopt;
  return sample;
}

bool Is(std::string_view name, std::string_view end) {
  if (!name.ends_with(end)) return false;
  const size_t before = name.size() - end.size();
  return before == 0 || name[before - 1] == ':' || name[before - 1] == '_';
}

void Add(double value, std::optional<double>* sum) {
  *sum = sum->value_or(0) + value;
}

}  // namespace

EngineMetrics ReadEngineMetrics(std::string_view text) {
  constexpr std::array<std::string_view, 4> kRunning = {
      "num_requests_running", "num_running_reqs", "requests_processing",
      "engine_running"};
  constexpr std::array<std::string_view, 4> kWaiting = {
      "num_requests_waiting", "num_queue_reqs", "requests_deferred",
      "engine_queued"};
  constexpr std::array<std::string_view, 3> kUsed = {
      "kv_cache_usage_perc", "gpu_cache_usage_perc", "token_usage"};
  const auto any = [](const auto& ends, std::string_view name) {
    return std::ranges::any_of(
        ends, [&](std::string_view end) { return Is(name, end); });
  };
  EngineMetrics metrics;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto sample = SampleOf(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!sample) continue;
    if (any(kRunning, sample->name)) {
      Add(sample->value, &metrics.running);
    } else if (any(kWaiting, sample->name)) {
      Add(sample->value, &metrics.waiting);
    } else if (any(kUsed, sample->name)) {
      metrics.kv_used = std::max(metrics.kv_used.value_or(0), sample->value);
    } else if (Is(sample->name, "spec_decode_num_draft_tokens_total")) {
      Add(sample->value, &metrics.drafted);
    } else if (Is(sample->name, "spec_decode_num_accepted_tokens_total")) {
      Add(sample->value, &metrics.accepted);
    }
  }
  return metrics;
}

}  // namespace aio::upstream
