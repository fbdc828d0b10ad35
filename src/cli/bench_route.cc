// SPDX-License-Identifier: Apache-2.0
//
// aio bench route: routers on questions of which the truth about a weak and a
// strong model is known.
#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/routing_contenders.h"
#include "cli/routing_report.h"
#include "eval/routing_data.h"
#include "probe/normalize.h"
#include "probe/text_probe.h"

namespace aio::cli {
namespace {

// GSM8K has no subjects: pieces of neighbours stand for them.
constexpr size_t kPieces = 10;

struct Flags {
  std::string data;
  std::string text_probe = "models/intent.ftz";
  std::string split = "subjects";
  int folds = 10;
  uint64_t seed = 1;
  bool as_json = false;
};

using Chosen = std::vector<size_t>;

Chosen QuestionsOf(const eval::RoutingData& data, eval::RoutingSource source) {
  Chosen chosen;
  for (size_t i = 0; i < data.questions.size(); ++i) {
    if (data.questions[i].source == source) chosen.push_back(i);
  }
  return chosen;
}

// [question]; numbers from 0.
std::vector<int> GroupsOf(const eval::RoutingData& data,
                          const std::string& split) {
  std::vector<int> groups(data.questions.size());
  std::map<std::string, int> subjects;
  const Chosen gsm8k = QuestionsOf(data, eval::RoutingSource::kGsm8k);
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto [at, added] = subjects.emplace(
        data.questions[i].subject, static_cast<int>(subjects.size()));
    groups[i] = split == "questions" ? static_cast<int>(i) : at->second;
  }
  if (split == "questions") return groups;
  for (size_t k = 0; k < gsm8k.size(); ++k) {
    groups[gsm8k[k]] =
        static_cast<int>(subjects.size() + k * kPieces / gsm8k.size());
  }
  return groups;
}

int SubjectsOf(const eval::RoutingData& data) {
  std::map<std::string, int> subjects;
  for (const auto& q : data.questions) ++subjects[q.subject];
  return static_cast<int>(subjects.size());
}

RoutingQuestions Read(const eval::RoutingData& data,
                      const std::vector<int>& groups,
                      const probe::TextProbe& probe) {
  RoutingQuestions questions;
  for (size_t i = 0; i < data.questions.size(); ++i) {
    const eval::RoutingQuestion& q = data.questions[i];
    questions.items.push_back({groups[i], q.weak_right, q.strong_right});
    questions.lines.push_back(probe::Line(probe::Normalize(q.prompt)));
    questions.intents.push_back(probe.ClassifyText(q.prompt));
    questions.bytes.push_back(static_cast<double>(q.prompt.size()));
  }
  return questions;
}

Result<RoutingResult> Route(const Flags& flags) {
  ASSIGN_OR_RETURN(const auto probe, probe::TextProbe::Load(flags.text_probe));
  ASSIGN_OR_RETURN(const auto data, eval::LoadRoutingData(flags.data));
  const auto questions = Read(data, GroupsOf(data, flags.split), *probe);
  const Chosen mmlu = QuestionsOf(data, eval::RoutingSource::kMmlu);
  const Chosen gsm8k = QuestionsOf(data, eval::RoutingSource::kGsm8k);
  const bool both = !mmlu.empty() && !gsm8k.empty();
  Progress progress(0, flags.folds + (both ? 2 : 0));
  const auto step = [&progress] { progress.Step("folds"); };
  ASSIGN_OR_RETURN(
      const Scores scores,
      ScoreByFold(questions, eval::FoldsOfGroups(questions.items, flags.folds),
                  flags.seed, step));
  RoutingResult result{data.weak,   data.strong, flags.split, SubjectsOf(data),
                       flags.folds, flags.seed,  {}};
  const auto add = [&](const std::string& name, const Scores& by,
                       const Chosen& chosen) -> Result<void> {
    if (chosen.empty()) return {};
    ASSIGN_OR_RETURN(auto section,
                     SectionOf(name, questions, by, chosen, flags.seed));
    result.sections.push_back(std::move(section));
    return {};
  };
  RETURN_IF_ERROR(add("MMLU", scores, mmlu));
  RETURN_IF_ERROR(add("GSM8K", scores, gsm8k));
  if (!both) return result;
  // Each source by what the other one teaches.
  std::vector<int> apart(questions.items.size(), 0);
  for (const size_t i : gsm8k) apart[i] = 1;
  ASSIGN_OR_RETURN(const Scores taught,
                   ScoreByFold(questions, apart, flags.seed, step));
  RETURN_IF_ERROR(add("GSM8K, learned from MMLU only", taught, gsm8k));
  Chosen all(questions.items.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  RETURN_IF_ERROR(add("Together", scores, all));
  return result;
}

int Main(const Flags& flags) {
  const auto result = Route(flags);
  if (!result) {
    std::cerr << "aio bench route: " << result.error().message << "\n";
    return 1;
  }
  if (flags.as_json) {
    std::cout << boost::json::serialize(RoutingJson(*result)) << "\n";
  } else {
    std::cout << RoutingTable(*result);
  }
  if (std::cout.flush()) return 0;
  std::cerr << "aio bench route: cannot write the report\n";
  return 1;
}

}  // namespace

void AddBenchRoute(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand(
      "route",
      "How good routing by the prompt alone is, where it is known which of two "
      "models answers rightly");
  c->add_option("--data", flags->data,
                "A folder as RouteLLM publishes it: mmlu/*.csv, "
                "gsm8k_responses.csv")
      ->required();
  c->add_option("--text-probe", flags->text_probe, "A .ftz file")
      ->capture_default_str();
  c->add_option("--folds", flags->folds, "Of the cross-validation")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  c->add_option("--split", flags->split,
                "What is never on both sides: subjects; or only questions, "
                "which flatters what is learned")
      ->check(CLI::IsMember({"subjects", "questions"}))
      ->capture_default_str();
  c->add_option("--seed", flags->seed, "Of the resamples and the training")
      ->capture_default_str();
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
