// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

struct Flags {
  std::string model;
  std::string prompt;
  int max_tokens = 256;
  core::Sampling sampling;
  std::string kv = "f16";
  std::string view;  // of nested weights; empty: the file's own
  int threads = 0;
  std::string speculation = "off";
  std::string draft;  // a GGUF file
  bool as_json = false;
};

std::string_view FinishText(core::FinishReason reason) {
  return reason == core::FinishReason::kStop ? "stop" : "length";
}

json::object ToJson(const Answer& a) {
  const core::Usage& u = a.done.usage;
  const double decode = Seconds(a.total - a.to_first_token);
  return {
      {"text", a.text},
      {"finish_reason", FinishText(a.done.finish.at(0))},
      {"seed", a.served.seed ? boost::json::value(*a.served.seed) : nullptr},
      {"fingerprint", a.served.fingerprint},
      {"usage",
       {{"prompt_tokens", u.prompt_tokens},
        {"completion_tokens", u.completion_tokens},
        {"drafted_tokens", u.drafted_tokens},
        {"accepted_tokens", u.accepted_tokens},
        {"bytes_read", u.bytes_read}}},
      {"seconds_to_first_token", Seconds(a.to_first_token)},
      {"seconds", Seconds(a.total)},
      {"decode_tokens_per_second",
       decode > 0 ? (u.completion_tokens - 1) / decode : 0.0}};
}

int Fail(const Error& error) {
  std::cerr << "aio generate: " << error.message << "\n";
  return 1;
}

int Generate(const Flags& flags) {
  SetLogLevel(LogLevel::kWarning);
  config::Config config = ConfigOfModel(flags.model);
  config::Device& device = config.devices.begin()->second;
  device.threads = flags.threads;
  // The command line has checked the name.
  device.kv_type = config::KvTypeNamed(flags.kv).value_or(device.kv_type);
  device.sequences_max = 1;
  // By default nothing is measured: that takes longer than most answers.
  device.step_table = flags.speculation == "auto";
  config.variants.front().second.view = core::ViewNamed(flags.view);
  if (!flags.draft.empty()) {
    config::Variant draft = config.variants.front().second;
    draft.model = flags.draft;
    config.variants.emplace_back("draft", draft);
    config.variants.front().second.draft = "draft";
  }
  auto graph = Graph::Build(config, [](const std::string&) {});
  if (!graph) return Fail(graph.error());
  auto request = std::make_shared<core::Request>();
  request->id = "generate";
  request->model = "auto";
  request->chat = false;
  request->prompt = flags.prompt;
  request->max_tokens = flags.max_tokens;
  request->sampling = flags.sampling;
  request->hints.strategy = core::SpeculationNamed(flags.speculation);
  const auto answer =
      RunOne(graph->get(), request, [&](const core::Delta& delta) {
        if (!flags.as_json) std::cout << delta.text << std::flush;
      });
  if (!answer) return Fail(answer.error());
  if (flags.as_json) {
    std::cout << json::serialize(ToJson(*answer)) << "\n";
  } else {
    std::cout << "\n";
  }
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddGenerate(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "generate", "Continue a prompt with a model file, without a server");
  c->add_option("--model,-m", flags->model, "GGUF file")->required();
  c->add_option("--prompt,-p", flags->prompt,
                "Text to continue, as it is (special tokens are parsed)")
      ->required();
  c->add_option("--max-tokens,-n", flags->max_tokens, "Tokens at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--temperature", flags->sampling.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  c->add_option("--top-k", flags->sampling.top_k, "0: no limit")
      ->check(CLI::NonNegativeNumber);
  c->add_option("--top-p", flags->sampling.top_p, "Nucleus; 1: off")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--min-p", flags->sampling.min_p, "0: off")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--repetition-penalty", flags->sampling.repetition_penalty,
                "1: off")
      ->check(CLI::Range(0.1, 10.0));
  c->add_option("--seed", flags->sampling.seed, "Absent: drawn and printed");
  c->add_option("--kv", flags->kv, "Type of the KV cache")
      ->check(CLI::IsMember({"f32", "f16", "q8"}))
      ->capture_default_str();
  c->add_option("--view", flags->view,
                "Bits of each weight, of a file that is nested or of Q8_0")
      ->check(CLI::IsMember({"4", "8"}));
  c->add_option("--threads", flags->threads, "0: what the cgroup allows")
      ->check(CLI::NonNegativeNumber);
  c->add_option(
       "--speculation", flags->speculation,
       "Drafts of the text so far or of a draft model: the same "
       "answer, in fewer steps; auto: where it pays, as measured first")
      ->check(CLI::IsMember(core::kSpeculationNames))
      ->capture_default_str();
  c->add_option("--draft", flags->draft,
                "A smaller GGUF file with the same tokens, to draft");
  c->add_flag("--json", flags->as_json, "One JSON object with the timings");
  c->callback([flags, exit_code] { *exit_code = Generate(*flags); });
}

}  // namespace aio::cli
