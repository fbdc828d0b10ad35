// SPDX-License-Identifier: Apache-2.0
#include "cli/eval_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <utility>

namespace aio::cli {

Result<std::unique_ptr<eval::PythonRunner>> MakePython(
    const std::vector<eval::Task>& tasks, bool unsafe) {
  const bool needed =
      std::any_of(tasks.begin(), tasks.end(), [](const eval::Task& task) {
        return task.checker == eval::Checker::kPythonTests;
      });
  std::unique_ptr<eval::PythonRunner> python;
  if (!needed) return python;
  eval::PythonRunner::Options options;
  options.allow_unisolated = unsafe;
  auto made = eval::PythonRunner::Make(std::move(options));
  if (!made) {
    Error error = std::move(made).error();
    error.message =
        "the tasks have Python tests, which run what the model wrote: " +
        error.message;
    if (!unsafe) {
      error.message +=
          "; --unsafe-python runs them all the same, as this user, with "
          "limits of time and memory only";
    }
    return error;
  }
  python = *std::move(made);
  if (python->isolation() == eval::Isolation::kNone) {
    std::cerr << "warning: Python tests run without isolation: what the model "
                 "writes can read, write and send what this user can\n";
  }
  return python;
}

std::map<std::string, std::string> VariantFingerprints(
    const config::Config& config, const Graph& graph) {
  std::map<std::string, std::string> out = graph.fingerprints();
  for (const auto& [name, variant] : config.variants) {
    if (variant.upstream.empty()) continue;
    out[name] = variant.upstream.front() + " " +
                (variant.model.empty() ? "auto" : variant.model);
  }
  return out;
}

std::string PolicyFingerprint(const config::Config& config,
                              const Graph& graph) {
  std::string text;
  for (const auto& [name, print] : VariantFingerprints(config, graph)) {
    text += name + ": " + print + "; ";
  }
  const config::Policy& p = config.policy;
  text += fmt::format("small {}; large {}; entropy_max {}; context {}",
                      p.small.empty() ? "auto" : p.small,
                      p.large.empty() ? "auto" : p.large, p.entropy_max,
                      p.context_tokens_max);
  if (!config.probe.text.empty()) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(config.probe.text, error);
    text += fmt::format("; text probe of {} bytes", error ? 0 : bytes);
  }
  if (!config.probe.model.empty()) {
    text += "; model probe " + config.probe.model + " '" + config.probe.suffix +
            "'";
  }
  return text;
}

}  // namespace aio::cli
