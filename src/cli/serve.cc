// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "server/server.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string config;
  std::string listen;
  std::vector<std::string> sets;
};

int Fail(const Error& error) {
  std::cerr << "aio serve: " << error.message << "\n";
  return 1;
}

// What a newcomer pastes into a second terminal.
std::string Invitation(const std::string& address, bool keys) {
  return fmt::format(
      "listening on http://{0}\n"
      "try it from a second terminal:\n\n"
      "  curl -N http://{0}/v1/chat/completions "
      "-H 'content-type: application/json' {1}-d '{{\"model\": \"auto\", "
      "\"stream\": true, \"max_tokens\": 120, \"messages\": [{{\"role\": "
      "\"user\", \"content\": \"What is the capital of "
      "Kenya?\"}}]}}'\n",
      address, keys ? "-H \"authorization: Bearer $KEY\" " : "");
}

// SIGTERM or SIGINT lets running requests finish; a second one does not wait.
// SIGHUP reads again what may change while it runs.
class Signals {
 public:
  Signals(boost::asio::io_context* io, server::Server* server)
      : io_(io),
        server_(server),
        set_(*io, SIGINT, SIGTERM),
        hangup_(*io, SIGHUP) {
    Wait();
    WaitForHangup();
  }

 private:
  void Wait() {
    set_.async_wait([this](auto error, int) {
      if (error) return;
      if (draining_) {
        Log(LogLevel::kWarning, "stopping at once");
        io_->stop();
        return;
      }
      draining_ = true;
      Log(LogLevel::kInfo, "draining; a second signal stops at once");
      server_->Drain([this] { io_->stop(); });
      Wait();
    });
  }

  void WaitForHangup() {
    hangup_.async_wait([this](auto error, int) {
      if (error) return;
      // What is wrong is in the log; nobody waits here for the result.
      (void)server_->ReloadKeys();
      WaitForHangup();
    });
  }

  boost::asio::io_context* io_;
  server::Server* server_;
  boost::asio::signal_set set_;
  boost::asio::signal_set hangup_;
  bool draining_ = false;
};

int Serve(const Flags& flags) {
  std::vector<std::string> sets = flags.sets;
  if (!flags.listen.empty()) sets.push_back("server.listen=" + flags.listen);
  auto config = FindConfig(flags.config, sets);
  if (!config) return Fail(config.error());
  const auto level = ParseLogLevel(config->log.level);
  if (!level) return Fail(level.error());
  SetLogLevel(*level);
  const auto say = [](const std::string& line) {
    std::cout << line << std::endl;
  };
  auto graph = Graph::Build(*config, say, {}, /*guarded=*/true);
  if (!graph) return Fail(graph.error());
  std::atomic<bool> ready{false};
  server::Parts parts;
  parts.io = (*graph)->io().get_executor();
  parts.threads = false;  // this one
  parts.workers = (*graph)->workers();
  parts.orchestrator = &(*graph)->orchestrator();
  parts.metrics = &(*graph)->metrics();
  parts.ready = [&ready] { return ready.load(); };
  parts.log_prompts = config->log.prompts;
  server::Server server(std::move(parts), config->server);
  const auto started = server.Start();
  if (!started) return Fail(started.error());
  Signals signals(&(*graph)->io(), &server);
  const auto warm = (*graph)->WarmUp();
  if (!warm) {
    (*graph)->StopProcesses();
    return Fail(warm.error());
  }
  ready = true;
  std::cout << Invitation(server.address(), !config->server.api_keys.empty())
            << std::endl;
  (*graph)->io().restart();
  (*graph)->io().run();
  (*graph)->StopProcesses();
  return 0;
}

}  // namespace

void AddServe(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c =
      app.add_subcommand("serve", "Serve the OpenAI API from a config");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--listen,-l", flags->listen, "HOST:PORT, over the file");
  c->add_option("--set", flags->sets,
                "key.path=value, over the file; may be repeated");
  c->callback([flags, exit_code] { *exit_code = Serve(*flags); });
}

}  // namespace aio::cli
