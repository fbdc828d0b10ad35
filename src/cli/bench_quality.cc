// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/machine.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/quality_models.h"
#include "eval/statistics.h"
#include "eval/task.h"
#include "tokenizer/tokenizer.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string model;
  std::string tasks;
  int tokens = 30000;
  int threads = 0;
  int draws = 0;
  bool as_json = false;
};

constexpr int kTextTokensMax = 512;
constexpr int kTextTokensMin = 8;

using Text = std::vector<int32_t>;

// Messages and answers of tasks, each task a text.
Result<std::vector<Text>> LoadTexts(const Flags& flags,
                                    const tokenizer::Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const auto tasks, eval::LoadTasks(flags.tasks));
  std::vector<Text> texts;
  for (const eval::Task& task : tasks) {
    std::string text;
    for (const core::Message& m : task.messages) text += m.content + "\n";
    text += task.reference;
    Text ids = tokenizer.Encode(
        {tokenizer::Span{.text = std::move(text), .trusted = false}}, true);
    if (ids.size() > kTextTokensMax) ids.resize(kTextTokensMax);
    if (ids.size() >= kTextTokensMin) texts.push_back(std::move(ids));
  }
  // In an order that mixes the kinds, and as many as were asked for.
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < texts.size(); ++i) {
    order.emplace_back(RandomBits(1, 0, i), i);
  }
  std::ranges::sort(order);
  std::vector<Text> some;
  int64_t tokens = 0;
  for (const auto& [key, i] : order) {
    if (tokens >= flags.tokens) break;
    tokens += static_cast<int64_t>(texts[i].size()) - 1;
    some.push_back(std::move(texts[i]));
  }
  return some;
}

// Sums over the positions of one text.
struct Sums {
  double loss = 0;        // -log of what came next
  double divergence = 0;  // from F32
  int64_t same = 0;       // the most probable token is that of F32
};

double LogSum(std::span<const float> logits) {
  const double most = std::ranges::max(logits);
  double sum = 0;
  for (const float v : logits) sum += std::exp(v - most);
  return most + std::log(sum);
}

size_t Best(std::span<const float> logits) {
  return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

// Of the distributions after one token.
void Compare(std::span<const float> exact, std::span<const float> got,
             int32_t next, Sums* sums) {
  const double norm = LogSum(exact), own = LogSum(got);
  double divergence = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double p = exact[i] - norm;
    divergence += std::exp(p) * (p - (got[i] - own));
  }
  sums->loss += own - got[static_cast<size_t>(next)];
  sums->divergence += divergence;
  sums->same += Best(exact) == Best(got);
}

void StepText(const Text& text, const std::vector<int32_t>& pages,
              const QualityModel& m) {
  std::vector<model::Column> columns;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    columns.push_back({text[i], static_cast<int32_t>(i), pages, true, m.bits});
  }
  m.forward->Step(columns);
}

// One text through all models: [models].
std::vector<Sums> Measure(const Text& text, const std::vector<int32_t>& pages,
                          const std::vector<QualityModel>& models) {
  std::vector<Sums> sums(models.size());
  std::vector<std::vector<float>> exact;
  for (size_t m = 0; m < models.size(); ++m) {
    StepText(text, pages, models[m]);
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      const auto logits = models[m].forward->Logits(static_cast<int>(i));
      if (m == 0) exact.emplace_back(logits.begin(), logits.end());
      Compare(exact[i], logits, text[i + 1], &sums[m]);
    }
  }
  return sums;
}

struct Figures {
  std::string name;
  double perplexity = 0, divergence = 0, same = 0;
  // Of the divergence, and of its ratio to that of Q8_0.
  eval::Interval interval, ratio_interval;
  double ratio = 0;
};

eval::Interval Middle95(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return {values[n / 40], values[n - 1 - n / 40]};
}

// [draws][texts][models]
using AllSums = std::vector<std::vector<std::vector<Sums>>>;

// Draws and texts are taken with replacement, the same for the model and for
// Q8_0.
void Bootstrap(const AllSums& sums, const std::vector<int64_t>& tokens,
               size_t m, Figures* out) {
  constexpr uint64_t kRounds = 2000;
  std::vector<double> means, ratios;
  for (uint64_t round = 0; round < kRounds; ++round) {
    double own = 0, q8 = 0, count = 0;
    for (uint64_t d = 0; d < sums.size(); ++d) {
      const auto& draw = sums[RandomBits(2, round, d) % sums.size()];
      for (uint64_t i = 0; i < tokens.size(); ++i) {
        const size_t t = RandomBits(3, round, i) % tokens.size();
        own += draw[t][m].divergence;
        q8 += draw[t][1].divergence;
        count += static_cast<double>(tokens[t]);
      }
    }
    means.push_back(own / count);
    ratios.push_back(own / q8);
  }
  out->interval = Middle95(std::move(means));
  out->ratio_interval = Middle95(std::move(ratios));
}

Figures FiguresOf(const AllSums& sums, const std::vector<int64_t>& tokens,
                  const std::string& name, size_t m) {
  Figures f;
  f.name = name;
  Sums all;
  double q8 = 0;
  for (const auto& draw : sums) {
    for (const auto& text : draw) {
      all.loss += text[m].loss;
      all.divergence += text[m].divergence;
      all.same += text[m].same;
      q8 += text[1].divergence;
    }
  }
  const auto count = static_cast<double>(
      std::accumulate(tokens.begin(), tokens.end(), int64_t{0}) *
      static_cast<int64_t>(sums.size()));
  f.perplexity = std::exp(all.loss / count);
  f.divergence = all.divergence / count;
  f.same = static_cast<double>(all.same) / count;
  f.ratio = all.divergence / q8;
  Bootstrap(sums, tokens, m, &f);
  return f;
}

void PrintTable(const Flags& flags, const std::vector<Figures>& rows,
                int64_t tokens, size_t texts) {
  std::cout << fmt::format(
      "{} tokens of {} texts, {}; divergence from F32 in nats a token, 95 % "
      "intervals\n",
      tokens, texts,
      flags.draws > 0 ? fmt::format("{} draws of F32 weights", flags.draws)
                      : "F32 weights as the file says");
  std::cout << fmt::format("{:<18} {:>10} {:>11} {:>23} {:>22} {:>8}\n",
                           "weights", "perplexity", "divergence", "",
                           "times Q8_0's", "same top");
  for (const Figures& f : rows) {
    std::cout << fmt::format(
        "{:<18} {:>10.4f} {:>11.3e} [{:.3e}, {:.3e}] {:>7.3f} [{:.3f}, {:.3f}] "
        "{:>6.2f} %\n",
        f.name, f.perplexity, f.divergence, f.interval.low, f.interval.high,
        f.ratio, f.ratio_interval.low, f.ratio_interval.high, 100 * f.same);
  }
}

void PrintJson(const Flags& flags, const std::vector<Figures>& rows,
               int64_t tokens, size_t texts) {
  boost::json::array list;
  for (const Figures& f : rows) {
    list.push_back(
        {{"weights", f.name},
         {"perplexity", f.perplexity},
         {"divergence", f.divergence},
         {"divergence_95", {f.interval.low, f.interval.high}},
         {"ratio_to_q8_0", f.ratio},
         {"ratio_to_q8_0_95", {f.ratio_interval.low, f.ratio_interval.high}},
         {"same_top", f.same}});
  }
  std::cout << boost::json::object{{"model", flags.model},
                                   {"draws", flags.draws},
                                   {"tokens", tokens},
                                   {"texts", texts},
                                   {"rows", std::move(list)}}
            << "\n";
}

Result<void> Quality(const Flags& flags) {
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.model));
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(file));
  ASSIGN_OR_RETURN(const auto texts, LoadTexts(flags, *tokenizer));
  if (texts.size() < 2) {
    return Error{ErrorCode::kInvalidArgument,
                 flags.tasks + " has too few texts", "tasks"};
  }
  ThreadPool pool(flags.threads > 0 ? flags.threads : ReadMachine().cpus);
  QualityOptions options;
  options.pool = &pool;
  options.columns_max = kTextTokensMax;
  options.pages = kTextTokensMax / model::kPageTokens;
  std::vector<int32_t> pages(static_cast<size_t>(options.pages));
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<int64_t> tokens;
  for (const Text& text : texts) {
    tokens.push_back(static_cast<int64_t>(text.size()) - 1);
  }
  AllSums sums;
  std::vector<std::string> names;
  const int draws = std::max(1, flags.draws);
  Progress progress(0, draws * static_cast<int>(texts.size()));
  for (int draw = 0; draw < draws; ++draw) {
    options.unround = flags.draws > 0 ? static_cast<uint64_t>(draw) + 1 : 0;
    ASSIGN_OR_RETURN(const auto models, MakeQualityModels(file, options));
    sums.emplace_back();
    for (const Text& text : texts) {
      sums.back().push_back(Measure(text, pages, models));
      progress.Step("texts");
    }
    names.clear();
    for (const QualityModel& m : models) names.push_back(m.name);
  }
  std::vector<Figures> rows;
  for (size_t m = 0; m < names.size(); ++m) {
    rows.push_back(FiguresOf(sums, tokens, names[m], m));
  }
  const int64_t all = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
  if (flags.as_json) {
    PrintJson(flags, rows, all, texts.size());
  } else {
    PrintTable(flags, rows, all, texts.size());
  }
  return {};
}

int Main(const Flags& flags) {
  const auto done = Quality(flags);
  if (done) return 0;
  std::cerr << "aio bench quality: " << done.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchQuality(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = bench.add_subcommand(
      "quality",
      "What rounding a model's weights costs: perplexity, and divergence from "
      "F32, of each precision");
  c->add_option("--model,-m", flags->model, "A GGUF file")->required();
  c->add_option("--tasks,-t", flags->tasks,
                "Texts: messages and answers of tasks, a file or a folder")
      ->required();
  c->add_option("--tokens,-n", flags->tokens, "About so many")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  c->add_option("--threads", flags->threads, "Default: all")
      ->check(CLI::Range(0, 1024));
  c->add_option("--draws", flags->draws,
                "Of a Q8_0 file: compare with F32 weights that round to it, "
                "drawn so many times, since the real ones are not in it")
      ->check(CLI::Range(0, 1000));
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
