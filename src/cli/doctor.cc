// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <memory>
#include <utility>

#include "base/asio_executor.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/graph.h"
#include "cli/upstream_options.h"
#include "openai/json.h"
#include "upstream/openai_backend.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr int kTokens = 32;  // that time per token is taken over
constexpr Duration kPatience = std::chrono::seconds(60);

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  bool as_json = false;
};

// One answer, kept whole.
struct Kept : core::Sink {
  void OnStart(const core::Served&) override {}
  void OnDelta(core::Delta delta) override {
    const Time now = std::chrono::steady_clock::now();
    if (!first) first = now;
    last = now;
    text += delta.text;
    calls += delta.tool_calls;
    for (const auto& token : delta.logprobs) tops += token.top.size();
  }
  void OnDone(Result<core::Done> result) override { done = std::move(result); }

  std::optional<Time> first, last;
  std::string text, calls;
  size_t tops = 0;  // alternatives that tokens came with
  std::optional<Result<core::Done>> done;
};

// Asks one server of one variant.
class Patient {
 public:
  Patient(std::string variant, std::string url)
      : clock_(io_.get_executor()),
        variant_(std::move(variant)),
        url_(std::move(url)) {}

  Result<void> Open(const config::Variant& settings) {
    config::Variant one = settings;
    one.upstream = {url_};
    ASSIGN_OR_RETURN(auto options, UpstreamOptions(variant_, one));
    options.backend.url = url_;
    ASSIGN_OR_RETURN(endpoint_, upstream::ParseEndpoint(url_));
    model_ = options.backend.variants.begin()->second;
    ASSIGN_OR_RETURN(backend_, upstream::OpenAiBackend::Make(
                                   options.backend, io_.get_executor(),
                                   &clock_));
    RunUntil([&] { return backend_->View(variant_).present; });
    return {};
  }

  Result<std::string> Get(const std::string& path) {
    std::optional<Result<std::string>> got;
    backend_->Get(path, [&](Result<std::string> answer) {
      got = std::move(answer);
    });
    RunUntil([&] { return got.has_value(); });
    if (got) return *std::move(got);
    return Error{ErrorCode::kDeadline, "no answer in time", ""};
  }

  std::shared_ptr<Kept> Ask(const std::string& body) {
    auto request = std::make_shared<core::Request>();
    request->id = fmt::format("doctor-{}", ++asked_);
    request->raw_json = body;
    request->messages = {{core::Role::kUser, "?"}};
    const auto kept = std::make_shared<Kept>();
    core::Plan plan;
    plan.variant = variant_;
    backend_->Start(request, plan, kept);
    RunUntil([&] { return kept->done.has_value(); });
    return kept;
  }

  Finding Found(std::string check, Verdict verdict, std::string text) const {
    return {variant_, url_, std::move(check), verdict, std::move(text)};
  }
  const std::string& model() const { return model_; }
  const std::string& variant() const { return variant_; }
  const std::string& url() const { return url_; }
  const upstream::Endpoint& endpoint() const { return endpoint_; }

 private:
  void RunUntil(const std::function<bool()>& condition) {
    const Time end = std::chrono::steady_clock::now() + kPatience;
    const auto guard = boost::asio::make_work_guard(io_);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io_.run_one_for(std::chrono::milliseconds(100));
    }
  }

  boost::asio::io_context io_;
  AsioExecutor clock_;
  const std::string variant_, url_;
  std::string model_;
  upstream::Endpoint endpoint_;
  std::shared_ptr<upstream::OpenAiBackend> backend_;
  int asked_ = 0;
};

Finding Reach(Patient* patient) {
  const auto models = patient->Get("/models");
  if (!models) {
    return patient->Found("reachable", Verdict::kError,
                          models.error().message);
  }
  const auto parsed = openai::ParseJson(*models);
  const json::value* data = nullptr;
  if (parsed && parsed->is_object()) {
    data = openai::Find(parsed->get_object(), "data");
  }
  if (data == nullptr || !data->is_array()) {
    return patient->Found("model present", Verdict::kUnknown,
                          "it lists no models");
  }
  std::string names;
  for (const json::value& model : data->get_array()) {
    if (!model.is_object()) continue;
    const std::string name(openai::StringAt(model.get_object(), "id"));
    if (name == patient->model()) {
      return patient->Found("model present", Verdict::kOk, name);
    }
    names += (names.empty() ? "" : ", ") + name;
  }
  return patient->Found("model present", Verdict::kError,
                        fmt::format("it has no '{}', only {}",
                                    patient->model(), names));
}

// A minute of prose, greedy: logprobs and the time per token.
void AskForTokens(Patient* patient, std::optional<double> said,
                  std::vector<Finding>* findings) {
  const auto kept = patient->Ask(fmt::format(
      R"({{"messages":[{{"role":"user","content":"Count from one to fifty in )"
      R"(words."}}],"temperature":0,"max_tokens":{},"logprobs":true,)"
      R"("top_logprobs":5}})",
      kTokens));
  if (!kept->done || !*kept->done) {
    const std::string why =
        kept->done ? kept->done->error().message : "no answer in time";
    findings->push_back(patient->Found("answers", Verdict::kError, why));
    return;
  }
  findings->push_back(patient->Found(
      "logprobs", kept->tops > 0 ? Verdict::kOk : Verdict::kWarning,
      kept->tops > 0
          ? "top_logprobs come with tokens"
          : "none come: it cannot be a model probe; features: { logprobs: "
            "false }"));
  const int tokens = (*kept->done)->usage.completion_tokens;
  if (tokens < 2 || !kept->first) return;
  Finding time = JudgeTokenTime(
      Seconds(*kept->last - *kept->first) / (tokens - 1), said);
  time.variant = patient->variant();
  time.where = patient->url();
  findings->push_back(std::move(time));
}

constexpr char kCanary[] =
    R"({"messages":[{"role":"user","content":"What is the weather in Oslo and )"
    R"(in Nairobi, in celsius? Call the tool for both."}],"temperature":0,)"
    R"("max_tokens":200,"tools":[{"type":"function","function":{"name":)"
    R"("get_weather","parameters":{"type":"object","properties":{"city":)"
    R"({"type":"string"},"unit":{"type":"string","enum":["celsius",)"
    R"("fahrenheit"]}},"required":["city","unit"]}}}]})";

// Of variants that serve the same model: what a tool call looks like on each.
class Canary {
 public:
  void Ask(Patient* patient, const config::Variant& settings,
           std::vector<Finding>* findings) {
    if ((settings.remote.features & core::Bit(core::Feature::kTools)) == 0) {
      return;
    }
    const std::string& of =
        settings.remote.shape.empty() ? settings.model : settings.remote.shape;
    const auto kept = patient->Ask(kCanary);
    if (!kept->done || !*kept->done) return;  // it takes no tools: not ours
    const auto [first, is_first] =
        seen_.try_emplace(of, patient->variant(), kept->calls);
    if (is_first || first->second.first == patient->variant()) return;
    Finding finding =
        JudgeCanary(first->second.first, first->second.second, kept->calls);
    finding.variant = patient->variant();
    finding.where = patient->url();
    findings->push_back(std::move(finding));
  }

 private:
  std::map<std::string, std::pair<std::string, std::string>> seen_;
};

std::vector<Finding> Examine(const config::Config& config) {
  std::vector<Finding> findings = JudgeStreams(config);
  Canary canary;
  for (const auto& [name, settings] : config.variants) {
    const auto guess = GuessOf(name, settings);
    if (!guess) {
      findings.push_back(
          {name, "", "config", Verdict::kError, guess.error().message});
      continue;
    }
    std::optional<double> said;
    if (guess->bytes_per_token > 0) {
      said = guess->steps.Seconds(cost::StepSize());
    }
    for (const std::string& url : settings.upstream) {
      Patient patient(name, url);
      if (const auto opened = patient.Open(settings); !opened) {
        findings.push_back(patient.Found("config", Verdict::kError,
                                         opened.error().message));
        continue;
      }
      findings.push_back(Reach(&patient));
      if (findings.back().check == "reachable") continue;
      const core::Features chats = core::Bit(core::Feature::kChat);
      if ((settings.remote.features & chats) == 0) continue;
      AskForTokens(&patient, said, &findings);
      canary.Ask(&patient, settings, &findings);
    }
  }
  return findings;
}

json::object ToJson(const Finding& f) {
  return {{"variant", f.variant},
          {"where", f.where},
          {"check", f.check},
          {"verdict", Name(f.verdict)},
          {"text", f.text}};
}

int Doctor(const Flags& flags) {
  SetLogLevel(LogLevel::kError);
  const auto config = FindConfig(flags.config, flags.sets);
  if (!config) {
    std::cerr << "aio doctor: " << config.error().message << "\n";
    return 1;
  }
  const std::vector<Finding> findings = Examine(*config);
  bool bad = false;
  json::array list;
  for (const Finding& f : findings) {
    bad = bad || f.verdict == Verdict::kError;
    if (flags.as_json) {
      list.push_back(ToJson(f));
      continue;
    }
    std::cout << fmt::format("{:<8} {:<12} {:<28} {}: {}\n", Name(f.verdict),
                             f.variant, f.where, f.check, f.text);
  }
  if (flags.as_json) std::cout << json::serialize(list) << "\n";
  if (!flags.as_json && findings.empty()) {
    std::cout << "the config is well, and names no upstream to examine\n";
  }
  return bad ? 1 : 0;
}

}  // namespace

void AddDoctor(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "doctor", "Examine a config and the upstreams it names");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_flag("--json", flags->as_json, "One array of findings");
  c->callback([flags, exit_code] { *exit_code = Doctor(*flags); });
}

}  // namespace aio::cli
