// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string model;
  std::string variant = "auto";
  std::string system;
  int max_tokens = 512;
  double temperature = 0.7;
};

int Fail(const Error& error) {
  std::cerr << "aio chat: " << error.message << "\n";
  return 1;
}

// One exchange; the answer joins the conversation.
Result<void> Exchange(Graph* graph, const Flags& flags, int turn,
                      std::vector<core::Message>* messages) {
  auto request = std::make_shared<core::Request>();
  request->id = "chat-" + std::to_string(turn);
  request->model = flags.variant;
  request->messages = *messages;
  request->thinking = core::ThinkingSaid(messages->back().content);
  request->thinking_in_text = true;
  request->max_tokens = flags.max_tokens;
  request->sampling.temperature = static_cast<float>(flags.temperature);
  auto answer = RunOne(graph, request, [](const core::Delta& delta) {
    std::cerr << delta.reasoning << std::flush;
    std::cout << delta.text << std::flush;
  });
  if (!answer) return answer.error();
  std::cout << "\n";
  std::cerr << "[" << answer->served.variant << ": " << answer->served.reason
            << "; " << answer->done.usage.completion_tokens << " tokens in "
            << static_cast<int>(1000 * Seconds(answer->total)) << " ms]\n";
  messages->push_back({core::Role::kAssistant, answer->text});
  return {};
}

int Chat(const Flags& flags) {
  SetLogLevel(LogLevel::kWarning);
  auto config = flags.model.empty()
                    ? FindConfig(flags.config, flags.sets)
                    : Result<config::Config>(ConfigOfModel(flags.model));
  if (!config) return Fail(config.error());
  auto graph = Graph::Build(
      *config, [](const std::string& line) { std::cerr << line << "\n"; });
  if (!graph) return Fail(graph.error());
  std::cerr << "Type a message; /reset forgets, /quit or Ctrl-D leaves.\n";
  std::vector<core::Message> messages;
  const auto reset = [&] {
    messages.clear();
    if (!flags.system.empty()) {
      messages.push_back({core::Role::kSystem, flags.system});
    }
  };
  reset();
  for (int turn = 1;; ++turn) {
    std::cerr << "> ";
    std::string line;
    if (!std::getline(std::cin, line) || line == "/quit") break;
    if (line.empty()) continue;
    if (line == "/reset") {
      reset();
      continue;
    }
    messages.push_back({core::Role::kUser, line});
    const auto done = Exchange(graph->get(), flags, turn, &messages);
    if (!done) {
      std::cerr << "error: " << done.error().message << "\n";
      messages.pop_back();
    }
  }
  return 0;
}

}  // namespace

void AddChat(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand("chat", "Talk in the terminal");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--model,-m", flags->model, "A GGUF file instead of a config");
  c->add_option("--variant", flags->variant, "auto, or a variant's name");
  c->add_option("--system", flags->system, "System message");
  c->add_option("--max-tokens,-n", flags->max_tokens)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--temperature", flags->temperature)
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Chat(*flags); });
}

}  // namespace aio::cli
