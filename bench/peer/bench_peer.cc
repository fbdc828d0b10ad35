// SPDX-License-Identifier: Apache-2.0
//
// The same file through our forward pass and through llama.cpp, in turns, with
// the same number of threads: how many times as fast are we?
//
//   bench_peer --node NODE --script their_side.mjs [--threads N] [--pairs N]
//              [--ask QUESTION,...] [--json] FILE...
//
// Both keep the model loaded. A pair is one measurement of each, a second or
// so together, by turns ours and theirs first; only one side runs at a time.
// `make bench-peer` finds or makes all that this needs. See docs/bench.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <csignal>
#include <ctime>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "base/machine.h"
#include "bench/peer/their_side.h"
#include "cli/bench_engine.h"
#include "cli/progress.h"
#include "eval/statistics.h"
#include "eval/table.h"
#include "kernels/target.h"

namespace aio::peer {
namespace {

namespace json = boost::json;

constexpr int kSteps = 8;
constexpr int kChunk = 512;
constexpr uint64_t kSeed = 1;

// A prompt of `prompt` tokens, or `steps` steps of `sequences` sequences with
// `context` tokens each before them.
struct Question {
  std::string name;
  int sequences = 1;
  int context = 0;
  int steps = 0;
  int prompt = 0;

  int tokens() const { return prompt > 0 ? prompt : sequences * steps; }
};

std::vector<Question> AllQuestions() {
  return {{"decode-64", 1, 64, kSteps, 0},
          {"decode-2048", 1, 2048, kSteps, 0},
          {"decode-8x64", 8, 64, kSteps, 0},
          {"prefill-512", 1, 0, 0, kChunk}};
}

struct Flags {
  std::string node, script;
  int threads = 1;
  int pairs = 20;
  bool as_json = false;
  std::vector<std::string> ask;
  std::vector<std::string> files;
};

struct Answer {
  Question question;
  std::string settings;  // theirs
  std::vector<double> ours, theirs;
  // CPU that the side whose turn it was not used, as a share of the time.
  double ours_idle = 0, theirs_idle = 0;
};

double OwnCpuSeconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double Sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

// ---- One file ---------------------------------------------------------------

class Comparison {
 public:
  Comparison(const Flags& flags, std::vector<Question> questions)
      : flags_(flags), questions_(std::move(questions)) {}

  Result<void> Run(const std::string& path) {
    cli::EngineFlags ours;
    ours.model = path;
    cli::BenchSize size;
    size.columns_max = kChunk;
    for (const Question& q : questions_) {
      size.sequences = std::max(size.sequences, q.sequences);
      size.positions =
          std::max({size.positions, q.context + q.steps, q.prompt});
    }
    size.logits_max = size.sequences;
    ASSIGN_OR_RETURN(cli::BenchFile file, cli::BenchFile::Open(ours));
    type_ = cli::TypeOf(*file.file);
    ASSIGN_OR_RETURN(
        engine_, cli::BenchEngine::Open(std::move(file), flags_.threads, size));
    ASSIGN_OR_RETURN(theirs_,
                     TheirSide::Start({flags_.node, flags_.script, path,
                                       std::to_string(flags_.threads)}));
    ASSIGN_OR_RETURN(about_, theirs_->Ask({{"do", "about"}}));
    for (const Question& q : questions_) RETURN_IF_ERROR(AnswerOf(q));
    return {};
  }

  const std::vector<Answer>& answers() const { return answers_; }
  const std::string& type() const { return type_; }
  std::string About(const char* key) const {
    return json::value_to<std::string>(about_.at(key));
  }

 private:
  void RunOurs(const Question& q) {
    if (q.prompt > 0) return engine_->Prefill(0, 0, q.prompt);
    for (int i = 0; i < q.steps; ++i) {
      engine_->Decode(q.sequences, q.context + i);
    }
  }

  void MeasureOurs(Answer* answer) {
    const double cpu = theirs_->CpuSeconds();
    const double begin = cli::NowSeconds();
    RunOurs(answer->question);
    answer->ours.push_back(cli::NowSeconds() - begin);
    answer->theirs_idle += theirs_->CpuSeconds() - cpu;
  }

  Result<void> MeasureTheirs(Answer* answer) {
    const double cpu = OwnCpuSeconds();
    ASSIGN_OR_RETURN(
        const auto said,
        theirs_->Ask({{"do", "run"}, {"name", answer->question.name}}));
    answer->theirs.push_back(json::value_to<double>(said.at("seconds")));
    answer->ours_idle += OwnCpuSeconds() - cpu;
    return {};
  }

  Result<void> AnswerOf(const Question& q) {
    Answer answer;
    answer.question = q;
    ASSIGN_OR_RETURN(const auto opened,
                     theirs_->Ask({{"do", "open"},
                                   {"name", q.name},
                                   {"sequences", q.sequences},
                                   {"context", q.context},
                                   {"steps", q.steps},
                                   {"prompt", q.prompt}}));
    answer.settings = json::value_to<std::string>(opened.at("settings"));
    for (int i = 0; i < q.sequences; ++i) engine_->Prefill(i, 0, q.context);
    RunOurs(q);  // for warmth; theirs had theirs when it chose its settings
    cli::Progress progress(0, flags_.pairs);
    for (int pair = 0; pair < flags_.pairs; ++pair) {
      if (pair % 2 == 0) MeasureOurs(&answer);
      RETURN_IF_ERROR(MeasureTheirs(&answer));
      if (pair % 2 == 1) MeasureOurs(&answer);
      progress.Step("pairs of " + q.name);
    }
    answer.ours_idle /= Sum(answer.theirs);
    answer.theirs_idle /= Sum(answer.ours);
    answers_.push_back(std::move(answer));
    return {};
  }

  const Flags& flags_;
  const std::vector<Question> questions_;
  std::string type_;
  json::object about_;
  std::unique_ptr<cli::BenchEngine> engine_;
  std::unique_ptr<TheirSide> theirs_;
  std::vector<Answer> answers_;
};

// ---- What is printed --------------------------------------------------------

eval::Ratio RatioOf(const Answer& answer) {
  std::vector<double> ratios;
  for (size_t i = 0; i < answer.ours.size(); ++i) {
    ratios.push_back(answer.theirs[i] / answer.ours[i]);
  }
  return eval::CompareRatios(ratios, kSeed);
}

const char* ClaimText(eval::Claim claim) {
  switch (claim) {
    case eval::Claim::kTooFewPairs:
      return "too few pairs to claim";
    case eval::Claim::kNoDifference:
      return "no difference";
    case eval::Claim::kDifference:
      return "";
  }
  return "";
}

double TokensPerSecond(const Question& q, const std::vector<double>& seconds) {
  return q.tokens() / eval::Median(seconds);
}

std::string Table(const std::string& path, const Comparison& c,
                  const Flags& flags) {
  std::string text = fmt::format(
      "{} ({}), {} threads\nours: target {}; theirs: {}, {}, KV of F16 on both "
      "sides\n\n",
      path, c.type(), flags.threads, kernels::TargetName(), c.About("version"),
      c.About("backend"));
  std::vector<std::vector<std::string>> rows = {
      {"question", "their settings", "ours tok/s", "theirs tok/s", "ratio",
       "95 %", "pairs", "idle CPU", ""}};
  for (const Answer& a : c.answers()) {
    const eval::Ratio r = RatioOf(a);
    rows.push_back(
        {a.question.name, a.settings,
         fmt::format("{:.1f}", TokensPerSecond(a.question, a.ours)),
         fmt::format("{:.1f}", TokensPerSecond(a.question, a.theirs)),
         fmt::format("{:.2f}", r.median),
         fmt::format("{:.2f}..{:.2f}", r.interval.low, r.interval.high),
         std::to_string(r.pairs),
         fmt::format("{:.1f} / {:.1f} %", 100 * a.ours_idle,
                     100 * a.theirs_idle),
         ClaimText(r.claim)});
  }
  return text + eval::AlignColumns(rows, 2) + "\n";
}

json::object Json(const std::string& path, const Comparison& c,
                  const Flags& flags) {
  json::array answers;
  for (const Answer& a : c.answers()) {
    const eval::Ratio r = RatioOf(a);
    answers.push_back(json::object{
        {"question", a.question.name},
        {"their_settings", a.settings},
        {"our_tokens_per_second", TokensPerSecond(a.question, a.ours)},
        {"their_tokens_per_second", TokensPerSecond(a.question, a.theirs)},
        {"ratio", r.median},
        {"ratio_low", r.interval.low},
        {"ratio_high", r.interval.high},
        {"pairs", r.pairs},
        {"our_idle_cpu", a.ours_idle},
        {"their_idle_cpu", a.theirs_idle}});
  }
  return {{"model", path},
          {"type", c.type()},
          {"threads", flags.threads},
          {"target", kernels::TargetName()},
          {"peer", c.About("version")},
          {"peer_backend", c.About("backend")},
          {"questions", std::move(answers)}};
}

std::vector<Question> Asked(const std::vector<std::string>& names) {
  std::vector<Question> questions = AllQuestions();
  if (names.empty()) return questions;
  std::erase_if(questions, [&](const Question& q) {
    return std::ranges::find(names, q.name) == names.end();
  });
  return questions;
}

int Main(const Flags& flags) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that ended is an error, not our end
  for (const std::string& path : flags.files) {
    Comparison comparison(flags, Asked(flags.ask));
    if (const auto done = comparison.Run(path); !done) {
      std::cerr << "bench_peer: " << path << ": " << done.error().message
                << "\n";
      return 1;
    }
    if (flags.as_json) {
      std::cout << json::serialize(Json(path, comparison, flags)) << std::endl;
    } else {
      std::cout << Table(path, comparison, flags) << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace aio::peer

int main(int argc, char** argv) {
  aio::peer::Flags flags;
  flags.threads = aio::ReadMachine().cpus;
  std::vector<std::string> names;
  for (const auto& q : aio::peer::AllQuestions()) names.push_back(q.name);
  CLI::App app("Our forward pass and llama.cpp on the same files, in turns");
  app.add_option("--node", flags.node, "The node program")->required();
  app.add_option("--script", flags.script, "their_side.mjs, beside its package")
      ->required();
  app.add_option("--threads", flags.threads)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--pairs", flags.pairs, "Under 20 nothing may be claimed")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--ask", flags.ask, "Only these questions")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_flag("--json", flags.as_json, "A line of JSON for each file");
  app.add_option("files", flags.files, "GGUF files")
      ->required()
      ->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);
  return aio::peer::Main(flags);
}
