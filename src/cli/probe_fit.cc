// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <exception>
#include <iostream>
#include <span>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "cli/ask_probe.h"
#include "cli/cache_file.h"
#include "cli/progress.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

constexpr int kFolds = 5;
// Prompts whose answers are kept together: what a kill can lose.
constexpr size_t kChunk = 64;
constexpr char kKind[] = "logits";

using Prompts = std::span<const ProbePrompt>;

// What the logits depend on: the model, the question, and the prompts.
std::string KeyOf(const Graph& graph, const config::Probe& config,
                  Prompts prompts) {
  const auto print = graph.fingerprints().find(config.model);
  std::string key =
      fmt::format("{} {} '{}' {}", config.model,
                  print == graph.fingerprints().end() ? "" : print->second,
                  config.suffix, config.tokens_max);
  for (const auto& [label, token] : config.labels) {
    key += " " + label + "='" + token + "'";
  }
  uint64_t hash = prompts.size();
  const auto add = [&hash](std::string_view text) {
    hash = Mix(hash ^ text.size());
    for (const char c : text) hash = Mix(hash ^ static_cast<uint8_t>(c));
  };
  for (const ProbePrompt& prompt : prompts) {
    for (const core::Message& m : prompt.messages) {
      add(core::Name(m.role));
      add(m.content);
    }
  }
  return key + fmt::format(" {:016x}", hash);
}

probe::Logits LogitsOf(const std::vector<float>& numbers) {
  probe::Logits logits{};
  std::copy_n(numbers.begin(), std::min(numbers.size(), logits.size()),
              logits.begin());
  return logits;
}

// Boost.JSON throws what does not have the expected shape.
ProbeSaid SaidOf(const json::object& kept) {
  ProbeSaid said;
  said.prior = json::value_to<probe::Logits>(kept.at("prior"));
  for (const json::value& v : kept.at("logits").as_array()) {
    said.logits.emplace_back(json::value_to<probe::Logits>(v));
  }
  return said;
}

// kNotFound, kCorrupt.
Result<ProbeSaid> ReadKept(const std::string& folder, const std::string& key,
                           size_t prompts) {
  ASSIGN_OR_RETURN(const json::object kept, ReadCache(folder, kKind, key));
  try {
    ProbeSaid said = SaidOf(kept);
    if (said.logits.size() == prompts) return said;
  } catch (const std::exception&) {
  }
  return Error{ErrorCode::kCorrupt,
               CacheFile(folder, kKind, key) + ": no answers of a probe", ""};
}

// REQUIRES: every prompt was answered.
Result<void> Keep(const std::string& folder, const std::string& key,
                  const ProbeSaid& said) {
  json::array logits;
  for (const auto& l : said.logits) {
    logits.push_back(json::value_from(*l));
  }
  return WriteCache(
      folder, kKind, key,
      {{"prior", json::value_from(said.prior)}, {"logits", std::move(logits)}});
}

std::shared_ptr<const core::Request> RequestOf(const ProbePrompt& prompt,
                                               size_t number) {
  auto request = std::make_shared<core::Request>();
  request->id = fmt::format("calibrate-{}", number);
  request->model = "auto";
  request->messages = prompt.messages;
  return request;
}

Result<ProbeSaid> AskChunk(Graph* graph, const config::Probe& config,
                           Prompts prompts, const AskOptions& options) {
  std::vector<std::shared_ptr<const core::Request>> requests;
  for (const ProbePrompt& prompt : prompts) {
    requests.push_back(RequestOf(prompt, requests.size()));
  }
  ASSIGN_OR_RETURN(const ProbeAnswers answers,
                   AskProbe(graph, config, requests, options));
  ProbeSaid said;
  said.prior = LogitsOf(answers.prior);
  for (const ProbeAnswer& answer : answers.requests) {
    auto& logits = said.logits.emplace_back();
    if (answer.scores) {
      logits = LogitsOf(answer.scores->logits);
    } else if (said.failure.empty()) {
      said.failure = answer.scores.error().message;
    }
  }
  return said;
}

// How well one way to treat the prior does.
FittedProbe Judge(const std::vector<ProbePrompt>& prompts,
                  const ProbeSaid& said, bool divide) {
  std::vector<probe::Logits> logits;
  std::vector<core::Label> labels;
  std::vector<int> folds;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!said.logits[i]) continue;
    probe::Logits l = *said.logits[i];
    for (size_t k = 0; divide && k < l.size(); ++k) l[k] -= said.prior[k];
    logits.push_back(l);
    labels.push_back(prompts[i].label);
    folds.push_back(probe::FoldOf(prompts[i].group, kFolds));
  }
  const auto judged = probe::CrossCalibrate(logits, labels, folds);
  FittedProbe fit;
  fit.prior = divide;
  fit.temperature = probe::FitTemperature(logits, labels);
  fit.prompts = static_cast<int>(labels.size());
  fit.error = probe::ReliabilityOf(judged, labels).error;
  for (size_t i = 0; i < labels.size(); ++i) {
    fit.accuracy += probe::Best(judged[i]) == labels[i] ? 1 : 0;
    fit.loss += probe::LossOf(judged[i], labels[i]);
  }
  fit.accuracy /= std::max<double>(1, fit.prompts);
  fit.loss /= std::max<double>(1, fit.prompts);
  return fit;
}

}  // namespace

std::vector<ProbePrompt> PromptsOf(const std::vector<eval::Task>& tasks) {
  std::vector<ProbePrompt> out;
  for (const eval::Task& task : tasks) {
    out.push_back({task.messages, task.intent, task.id});
  }
  return out;
}

std::vector<ProbePrompt> PromptsOf(
    const std::vector<probe::LabelledPrompt>& prompts) {
  std::vector<ProbePrompt> out;
  for (const probe::LabelledPrompt& p : prompts) {
    out.push_back({{{core::Role::kUser, p.text}}, p.label, p.group});
  }
  return out;
}

Result<ProbeSaid> AskAll(Graph* graph, const config::Probe& config,
                         const std::vector<ProbePrompt>& prompts,
                         const ProbeAskOptions& options) {
  ProbeSaid all;
  Progress progress(0, static_cast<int>(prompts.size()));
  for (size_t begin = 0; begin < prompts.size(); begin += kChunk) {
    const Prompts chunk = Prompts(prompts).subspan(
        begin, std::min(kChunk, prompts.size() - begin));
    const std::string key = KeyOf(*graph, config, chunk);
    Result<ProbeSaid> said = Error{ErrorCode::kNotFound, "", ""};
    if (!options.restart) said = ReadKept(options.folder, key, chunk.size());
    if (!said) {
      if (said.error().code == ErrorCode::kCorrupt) {
        Log(LogLevel::kWarning, "asking the probe again",
            {{"why", said.error().message}});
      }
      AskOptions ask;
      ask.in_flight = options.parallel;
      ask.progress = [&](int done) {
        progress.Reach(static_cast<int>(begin) + done, "asked");
      };
      said = AskChunk(graph, config, chunk, ask);
      RETURN_IF_ERROR(said);
      // Failures are not kept: what made them may have been mended.
      if (said->failure.empty()) {
        RETURN_IF_ERROR(Keep(options.folder, key, *said));
      }
    }
    progress.Reach(static_cast<int>(begin + chunk.size()), "asked");
    all.prior = said->prior;
    if (all.failure.empty()) all.failure = said->failure;
    all.logits.insert(all.logits.end(), said->logits.begin(),
                      said->logits.end());
  }
  return all;
}

Result<FittedProbe> FitProbe(const std::vector<ProbePrompt>& prompts,
                             const ProbeSaid& said) {
  FittedProbe divided = Judge(prompts, said, true);
  FittedProbe left = Judge(prompts, said, false);
  if (divided.prompts < kFitPromptsMin) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the model probe answered {} labelled prompts, "
                             "which is too few to fit it on{}{}",
                             divided.prompts, said.failure.empty() ? "" : ": ",
                             said.failure),
                 ""};
  }
  const bool divide = divided.loss <= left.loss;
  FittedProbe& best = divide ? divided : left;
  best.loss_other = divide ? left.loss : divided.loss;
  if (best.accuracy == 1) best.temperature = std::max(1.0, best.temperature);
  return best;
}

FittedText FitText(const probe::TextProbe& text,
                   const std::vector<ProbePrompt>& prompts) {
  std::vector<probe::Distribution> said;
  std::vector<core::Label> labels;
  std::vector<int> folds;
  for (const ProbePrompt& prompt : prompts) {
    const core::Intent intent = text.Classify(*RequestOf(prompt, said.size()));
    if (intent.source != core::IntentSource::kText) continue;
    said.push_back(intent.probabilities);
    labels.push_back(prompt.label);
    folds.push_back(probe::FoldOf(prompt.group, kFolds));
  }
  FittedText fitted;
  fitted.fingerprint = text.fingerprint();
  fitted.prompts = static_cast<int>(said.size());
  fitted.fit = probe::CrossFitMeaning(said, labels, folds);
  fitted.fit.helps = fitted.fit.helps && fitted.prompts >= kFitPromptsMin;
  return fitted;
}

}  // namespace aio::cli
