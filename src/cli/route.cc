// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "server/route_json.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string prompt;
  std::string config;
  std::vector<std::string> sets;
  std::string model = "auto";
  std::string thinking;  // on, off; empty: as the prompt says, or not said
  int max_tokens = 0;
  bool as_json = false;
};

int Fail(const Error& error) {
  std::cerr << "aio route: " << error.message << "\n";
  return 1;
}

std::string Table(const orchestrator::Explanation& e) {
  const bool known = e.intent.source != core::IntentSource::kNone;
  std::string text = fmt::format(
      "{} because {}\n\nintent   {}, entropy {:.3f} nats, by probe state {}\n",
      e.variant.empty() ? "no variant" : e.variant, e.reason,
      e.intent.BestName(), e.intent.Entropy(), e.probe);
  if (known) {
    text += "        ";
    for (size_t i = 0; i < core::kLabels; ++i) {
      text += fmt::format(" {} {:.2f}", core::kLabelNames[i],
                          e.intent.probabilities[i]);
    }
    text += "\n";
  }
  text += fmt::format("\n{:<12} {:<5} {:>7} {:>8} {:>9} {:>10} {:>8}  {}\n",
                      "variant", "think", "prompt", "output", "seconds",
                      "MB read", "quality", "why");
  for (const auto& c : e.candidates) {
    text += fmt::format(
        "{:<12} {:<5} {:>7} {:>8.0f} {:>9.3f} {:>10.1f} {:>8}  {}\n", c.variant,
        c.thinking ? core::Name(*c.thinking) : "-", c.estimate.prompt_tokens,
        c.estimate.output_tokens, c.estimate.seconds,
        static_cast<double>(c.estimate.bytes_read) / 1e6,
        c.quality ? fmt::format("{:.3f}", *c.quality) : "-", c.why);
  }
  for (const auto& c : e.candidates) {
    if (!c.estimate.price) continue;
    const cost::Price& p = *c.estimate.price;
    text += fmt::format(
        "{}{:<12} now: device {:.3f} s{}, own {:.3f} s (first token {:.3f} s, "
        "then {:.1f} ms each), others wait {:.3f} s\n",
        &c == &e.candidates.front() ? "\n" : "", c.variant, p.system(),
        c.device_price == 1 ? "" : fmt::format(" at {:.3g}", c.device_price),
        p.own(), p.ttft, 1e3 * p.token, p.others);
  }
  text += fmt::format("decided in {:.0f} us\n", 1e6 * Seconds(e.deciding));
  return text;
}

int Route(const Flags& flags) {
  SetLogLevel(LogLevel::kWarning);
  auto config = FindConfig(flags.config, flags.sets);
  if (!config) return Fail(config.error());
  auto graph = Graph::Build(*config, [](const std::string&) {});
  if (!graph) return Fail(graph.error());
  auto request = std::make_shared<core::Request>();
  request->id = "route";
  request->model = flags.model;
  request->messages.push_back({core::Role::kUser, flags.prompt});
  request->thinking = core::ThinkingNamed(flags.thinking);
  if (flags.thinking.empty()) {
    request->thinking = core::ThinkingSaid(flags.prompt);
    request->thinking_in_text = true;
  }
  if (flags.max_tokens > 0) request->max_tokens = flags.max_tokens;
  const auto explanation = RouteOne(graph->get(), request);
  if (!explanation) return Fail(explanation.error());
  if (flags.as_json) {
    std::cout << server::RouteJson(*explanation) << "\n";
  } else {
    std::cout << Table(*explanation);
  }
  return explanation->variant.empty() ? 1 : 0;
}

}  // namespace

void AddRoute(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "route", "Explain where a prompt would go, and run nothing");
  c->add_option("prompt", flags->prompt, "The user's message")->required();
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--model,-m", flags->model, "auto, or a variant's name");
  c->add_option("--max-tokens,-n", flags->max_tokens)
      ->check(CLI::PositiveNumber);
  c->add_option("--thinking", flags->thinking,
                "on or off; else where a prompt would go is chosen with it")
      ->check(CLI::IsMember({"on", "off"}));
  c->add_flag("--json", flags->as_json, "The answer of POST /v1/route");
  c->callback([flags, exit_code] { *exit_code = Route(*flags); });
}

}  // namespace aio::cli
