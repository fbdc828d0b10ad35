// SPDX-License-Identifier: Apache-2.0
//
// aio bench decide: what sensing and deciding take, a request: the text probe,
// estimates, prices, the device's plan and the policy. Not the peek, which
// tokenizes on a worker, and not the wait for the model probe.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/object.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/progress.h"
#include "eval/json_text.h"
#include "eval/task.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string tasks;
  int requests = 2000;
  int bytes_max = 2048;
  bool fill = false;
  bool as_json = false;
};

struct Decided {
  std::vector<double> seconds;  // ascending
  int prompts = 0;              // different ones
  double bytes = 0;             // of a prompt, mean
};

Result<std::vector<std::string>> PromptsOf(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<eval::Task> tasks,
                   eval::LoadTasks(flags.tasks));
  std::vector<std::string> prompts;
  for (const eval::Task& task : tasks) {
    if (task.messages.empty()) continue;
    const std::string& text = task.messages.back().content;
    const auto room = static_cast<size_t>(flags.bytes_max);
    if (text.empty() || text.size() > room) continue;
    std::string& prompt = prompts.emplace_back(text);
    while (flags.fill && prompt.size() + 1 + text.size() <= room) {
      prompt += "\n" + text;
    }
  }
  if (!prompts.empty()) return prompts;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} has no prompt of at most {} bytes", flags.tasks,
                           flags.bytes_max),
               "tasks"};
}

Result<Decided> Measure(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<std::string> prompts, PromptsOf(flags));
  ASSIGN_OR_RETURN(const config::Config config,
                   FindConfig(flags.config, flags.sets));
  ASSIGN_OR_RETURN(const auto graph,
                   Graph::Build(config, [](const std::string&) {}));
  RETURN_IF_ERROR(graph->WarmUp());
  Decided out;
  out.prompts = static_cast<int>(prompts.size());
  Progress progress(0, flags.requests);
  for (int i = 0; i < flags.requests; ++i) {
    const std::string& prompt =
        prompts[static_cast<size_t>(i) % prompts.size()];
    auto request = std::make_shared<core::Request>();
    request->id = fmt::format("decide-{}", i);
    request->model = "auto";
    request->messages.push_back({core::Role::kUser, prompt});
    ASSIGN_OR_RETURN(const orchestrator::Explanation explanation,
                     RouteOne(graph.get(), std::move(request)));
    out.seconds.push_back(Seconds(explanation.deciding));
    out.bytes += static_cast<double>(prompt.size()) / flags.requests;
    progress.Step("decisions");
  }
  std::ranges::sort(out.seconds);
  return out;
}

int Decide(const Flags& flags) {
  SetLogLevel(LogLevel::kError);
  const auto decided = Measure(flags);
  if (!decided) {
    std::cerr << "aio bench decide: " << decided.error().message << "\n";
    return decided.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  }
  const auto at = [&](double share) {
    const auto last = static_cast<double>(decided->seconds.size() - 1);
    return 1e6 * decided->seconds[static_cast<size_t>(share * last)];
  };
  if (flags.as_json) {
    std::cout << eval::JsonText(boost::json::object{
        {"benchmark", "decide"},
        {"requests", flags.requests},
        {"prompts", decided->prompts},
        {"prompt_bytes", decided->bytes},
        {"microseconds", boost::json::object{{"p50", at(0.5)},
                                             {"p95", at(0.95)},
                                             {"p99", at(0.99)},
                                             {"max", at(1)}}}});
  } else {
    std::cout << fmt::format(
        "{} decisions on {} prompts of {:.0f} bytes on average: p50 {:.0f} us, "
        "p95 {:.0f} us, p99 {:.0f} us, max {:.0f} us\n",
        flags.requests, decided->prompts, decided->bytes, at(0.5), at(0.95),
        at(0.99), at(1));
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddBenchDecide(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand(
      "decide", "What sensing and deciding take, without the model probe");
  c->add_option("--tasks,-t", flags->tasks,
                "JSONL file, published benchmark file, or a folder of them")
      ->required();
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--requests,-n", flags->requests)
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  c->add_option("--bytes", flags->bytes_max, "Of a prompt, at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_flag("--fill", flags->fill,
              "Say each prompt again until it has so many bytes");
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Decide(*flags); });
}

}  // namespace aio::cli
