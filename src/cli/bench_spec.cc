// SPDX-License-Identifier: Apache-2.0
//
// aio bench spec: what speculation gains on recorded texts. The sampler returns
// the recorded tokens whatever the weights say, so that on a file of a real
// shape what matches, what is kept and what a column costs are all real, for
// that text. Each pair is the same requests twice, without drafts and with.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "base/asio_executor.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/median.h"
#include "base/metrics.h"
#include "base/random.h"
#include "cli/bench_engine.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/recorded_texts.h"
#include "engine/engine.h"
#include "engine/measure_steps.h"
#include "eval/statistics.h"
#include "model/config.h"
#include "model/cpu_forward.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

struct SpecFlags {
  EngineFlags engine;
  std::string texts;
  std::vector<int> batches = {1, 2, 4, 8};
  int tokens = 96;
  std::string strategy = "auto";
  std::string draft;        // a GGUF file; empty: none drafts
  double acceptance = 0.7;  // scripted, of its tokens
};

using TextsByKind = std::map<std::string, std::vector<RecordedText>>;

// Waits for its first token, and for its end.
class SpecSink : public core::Sink {
 public:
  void OnStart(const core::Served&) override {}
  void OnDelta(core::Delta delta) override { text += delta.text; }
  void OnDone(Result<core::Done> result) override { done = std::move(result); }
  std::string text;
  std::optional<Result<core::Done>> done;
};

// What some requests together took behind their prompts.
struct Took {
  double seconds = 0;
  int tokens = 0;
  int drafted = 0, accepted = 0;
  std::vector<std::string> texts;
};

class SpecBench {
 public:
  static Result<std::unique_ptr<SpecBench>> Open(const SpecFlags& flags);

  const TextsByKind& texts() const { return texts_; }
  const cost::StepTable& table() const { return table_; }
  Result<Took> Run(const std::vector<const RecordedText*>& texts,
                   core::Strategy strategy);

 private:
  Result<void> ReadTexts(const SpecFlags& flags, const engine::Model& model);
  Result<engine::Model> Load(const SpecFlags& flags, const std::string& path);
  int32_t Scripted(std::span<const int32_t> text, double acceptance) const;

  std::unique_ptr<ThreadPool> pool_;
  boost::asio::io_context io_;
  AsioExecutor clock_{io_.get_executor()};  // for the time alone
  Metrics metrics_;
  TextsByKind texts_;
  cost::StepTable table_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<const RecordedText*> running_;
  int asked_ = 0;
};

Result<void> SpecBench::ReadTexts(const SpecFlags& flags,
                                  const engine::Model& model) {
  RecordedTextOptions options;
  options.output_max = flags.tokens;
  options.context_max =
      std::min(flags.engine.context, model.forward->context_tokens_max());
  options.field = "force-output";
  ASSIGN_OR_RETURN(
      std::vector<RecordedText> texts,
      ReadRecordedTexts(flags.texts, *model.tokenizer, options));
  for (RecordedText& text : texts) {
    texts_[text.kind].push_back(std::move(text));
  }
  return {};
}

Result<engine::Model> SpecBench::Load(const SpecFlags& flags,
                                      const std::string& path) {
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(path));
  engine::Model model;
  ASSIGN_OR_RETURN(model.tokenizer, tokenizer::Tokenizer::Load(file));
  const int sequences = *std::ranges::max_element(flags.batches);
  model.sched.sequences_max = sequences;
  model::CpuOptions options;
  options.pool = pool_.get();
  options.logits_max = sequences + model.speculation.drafts_max;
  options.context_max = flags.engine.context;
  options.pages =
      (sequences + 1) * (flags.engine.context / model::kPageTokens + 1);
  options.tiles.progress = ShowLoading("weights");
  RETURN_IF_ERROR(CheckFits(file, options));
  ASSIGN_OR_RETURN(model.forward, model::LoadCpuForward(file, options));
  engine::MeasureOptions measure;
  measure.cache_bytes = ReadMachine().cache_bytes;
  measure.logits_max = options.logits_max;
  ASSIGN_OR_RETURN(
      const engine::MeasuredSteps steps,
      engine::MeasureSteps(model.forward.get(), measure, NowSeconds));
  model.sched.step_table = steps.table;
  return model;
}

Result<std::unique_ptr<SpecBench>> SpecBench::Open(const SpecFlags& flags) {
  auto bench = std::make_unique<SpecBench>();
  bench->pool_ = std::make_unique<ThreadPool>(flags.engine.threads);
  ASSIGN_OR_RETURN(engine::Model model, bench->Load(flags, flags.engine.model));
  model.views = {{.variant = "model"}};
  RETURN_IF_ERROR(bench->ReadTexts(flags, model));
  bench->table_ = *model.sched.step_table;
  std::vector<engine::Model> models;
  if (!flags.draft.empty()) {
    ASSIGN_OR_RETURN(engine::Model draft, bench->Load(flags, flags.draft));
    if (draft.forward->vocabulary() != model.forward->vocabulary()) {
      return Error{ErrorCode::kInvalidArgument,
                   flags.draft + " has another number of tokens", "draft"};
    }
    model.draft = "draft";
    draft.views = {{.variant = model.draft}};
    model.draft_script = [bench = bench.get(),
                          a = flags.acceptance](std::span<const int32_t> text) {
      return bench->Scripted(text, a);
    };
    models.push_back(std::move(draft));
  }
  models.push_back(std::move(model));
  bench->engine_ = std::make_unique<engine::Engine>(
      std::move(models), engine::Options(), &bench->clock_, &bench->metrics_);
  return bench;
}

// The token that is recorded behind `text`, as often as is to be accepted.
int32_t SpecBench::Scripted(std::span<const int32_t> text,
                            double acceptance) const {
  for (const RecordedText* t : running_) {
    const size_t prompt = t->prompt.size();
    if (text.size() < prompt || text.size() >= prompt + t->output.size() ||
        !std::equal(t->prompt.begin(), t->prompt.end(), text.begin())) {
      continue;
    }
    const int32_t right = t->output[text.size() - prompt];
    const bool kept =
        RandomUnit(1, static_cast<uint64_t>(right), text.size()) < acceptance;
    return kept ? right : (right + 1) % 256;
  }
  return 0;
}

// From where all have their first token to where all are done.
Result<Took> SpecBench::Run(const std::vector<const RecordedText*>& texts,
                            core::Strategy strategy) {
  std::vector<std::shared_ptr<SpecSink>> sinks;
  running_ = texts;
  for (const RecordedText* text : texts) {
    auto request = std::make_shared<core::Request>();
    request->id = fmt::format("spec-{}", asked_++);
    request->sampling.forced = text->output;
    request->max_tokens = static_cast<int>(text->output.size());
    sinks.push_back(std::make_shared<SpecSink>());
    core::Plan plan;
    plan.variant = "model";
    plan.strategy = strategy;
    plan.seed = 1;
    RETURN_IF_ERROR(engine_->Submit(engine::GenerateJob{
        std::move(request), std::move(plan), text->prompt, sinks.back()}));
  }
  const auto waiting = [&](const auto& is_there) {
    return !std::ranges::all_of(sinks, is_there);
  };
  while (waiting([](const auto& s) { return !s->text.empty() || s->done; })) {
    engine_->Step();
  }
  Took took;
  const double begin = NowSeconds();
  while (waiting([](const auto& s) { return s->done.has_value(); })) {
    engine_->Step();
  }
  took.seconds = NowSeconds() - begin;
  for (const auto& sink : sinks) {
    ASSIGN_OR_RETURN(const core::Done done, std::move(*sink->done));
    took.tokens += done.usage.completion_tokens;
    took.drafted += done.usage.drafted_tokens;
    took.accepted += done.usage.accepted_tokens;
    took.texts.push_back(std::move(sink->text));
  }
  return took;
}

// Of one kind of texts at one number of sequences.
struct SpecRow {
  std::string kind;
  int batch = 1;
  std::vector<double> ratios, plain, drafted_rate;
  int tokens = 0, drafted = 0, accepted = 0;
};

Result<SpecRow> MeasureRow(const SpecFlags& flags, const std::string& kind,
                           int batch, SpecBench* bench, Progress* progress) {
  const std::vector<RecordedText>& texts = bench->texts().at(kind);
  const core::Strategy strategy = *core::SpeculationNamed(flags.strategy);
  SpecRow row;
  row.kind = kind;
  row.batch = batch;
  size_t next = 0;
  std::vector<const RecordedText*> some;
  for (int run = 0; run < flags.engine.runs; ++run) {
    if (run % 2 == 0) {  // two pairs of the same texts, in either order
      some.clear();
      while (static_cast<int>(some.size()) < batch) {
        some.push_back(&texts[next++ % texts.size()]);
      }
      // Their prompts, so that neither of the two computes them.
      RETURN_IF_ERROR(bench->Run(some, core::Strategy::kPlain));
    }
    Took plain, with;
    for (const bool drafts : {run % 2 == 0, run % 2 != 0}) {
      ASSIGN_OR_RETURN(
          (drafts ? with : plain),
          bench->Run(some, drafts ? strategy : core::Strategy::kPlain));
    }
    if (plain.texts != with.texts) {
      return Error{ErrorCode::kInternal, "drafts have changed a text", ""};
    }
    row.ratios.push_back(plain.seconds / with.seconds);
    row.plain.push_back(plain.tokens / plain.seconds);
    row.drafted_rate.push_back(with.tokens / with.seconds);
    row.tokens += with.tokens;
    row.drafted += with.drafted;
    row.accepted += with.accepted;
    progress->Step("pairs");
  }
  return row;
}

void PrintHead(const cost::StepTable& table) {
  std::cout << "c(n), a step of n columns over one:";
  for (const int n : {2, 3, 4, 5, 6, 8, 9, 12, 16, 24, 32}) {
    std::cout << fmt::format(" {}: {:.2f}", n, table.C(n));
  }
  std::cout << "\nplain/drafts: ratio of times, median and 95 % interval; "
               "drafted: per token of the text\n"
            << fmt::format("{:<20}{:>6}{:>22}{:>11}{:>11}{:>10}{:>10}\n",
                           "kind", "batch", "plain/drafts", "plain", "drafts",
                           "drafted", "kept")
            << std::flush;
}

void PrintRow(const SpecRow& row) {
  const eval::Ratio ratio = eval::CompareRatios(row.ratios, 1);
  const std::string text = fmt::format("{:.2f} [{:.2f}-{:.2f}]", ratio.median,
                                       ratio.interval.low, ratio.interval.high);
  std::cout << fmt::format(
                   "{:<20}{:>6}{:>22}{:>11}{:>11}{:>10.2f}{:>9.0f}%\n",
                   row.kind, row.batch, text,
                   fmt::format("{:.1f}/s", Median(row.plain)),
                   fmt::format("{:.1f}/s", Median(row.drafted_rate)),
                   static_cast<double>(row.drafted) / row.tokens,
                   row.drafted == 0 ? 0.0 : 100.0 * row.accepted / row.drafted)
            << std::flush;
}

json::object ToJson(const SpecFlags& flags, const std::vector<SpecRow>& rows) {
  json::array list;
  for (const SpecRow& row : rows) {
    const eval::Ratio ratio = eval::CompareRatios(row.ratios, 1);
    list.push_back(
        json::object{{"kind", row.kind},
                     {"batch", row.batch},
                     {"pairs", row.ratios.size()},
                     {"ratio", ratio.median},
                     {"ratio_95", {ratio.interval.low, ratio.interval.high}},
                     {"plain_tokens_per_second", Median(row.plain)},
                     {"tokens_per_second", Median(row.drafted_rate)},
                     {"plain_rates", json::value_from(row.plain)},
                     {"rates", json::value_from(row.drafted_rate)},
                     {"tokens", row.tokens},
                     {"drafted", row.drafted},
                     {"accepted", row.accepted}});
  }
  return {{"benchmark", "spec"},
          {"model", flags.engine.model},
          {"threads", flags.engine.threads},
          {"strategy", flags.strategy},
          {"rows", std::move(list)}};
}

Result<void> Measure(const SpecFlags& flags) {
  ASSIGN_OR_RETURN(const auto bench, SpecBench::Open(flags));
  Progress progress(
      0, static_cast<int>(bench->texts().size() * flags.batches.size()) *
             flags.engine.runs);
  std::vector<SpecRow> rows;
  if (!flags.engine.as_json) PrintHead(bench->table());
  for (const auto& [kind, texts] : bench->texts()) {
    for (const int batch : flags.batches) {
      ASSIGN_OR_RETURN(SpecRow row,
                       MeasureRow(flags, kind, batch, bench.get(), &progress));
      if (!flags.engine.as_json) PrintRow(row);
      rows.push_back(std::move(row));
    }
  }
  if (flags.engine.as_json) {
    std::cout << json::serialize(ToJson(flags, rows)) << "\n";
  }
  return {};
}

int Run(const SpecFlags& flags) {
  SetLogLevel(LogLevel::kWarning);
  const auto measured = Measure(flags);
  if (!measured) {
    std::cerr << "aio bench spec: " << measured.error().message << "\n";
    return measured.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddBenchSpec(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<SpecFlags>();
  flags->engine.context = 1024;
  flags->engine.runs = 20;
  CLI::App* c = bench.add_subcommand(
      "spec", "What drafts gain on recorded texts, at a model's real cost");
  AddEngineFlags(c, &flags->engine);
  c->get_option("--model")->required();
  c->remove_option(c->get_option("--type"));
  c->get_option("--context")->description("Tokens of a text at most");
  c->add_option("--force-output", flags->texts,
                "Texts: lines of {\"kind\", \"prompt\", \"output\"}")
      ->required();
  c->add_option("--batch", flags->batches, "Sequences together")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--tokens", flags->tokens, "Of an output at most")
      ->check(CLI::Range(8, 1 << 16))
      ->capture_default_str();
  c->add_option("--strategy", flags->strategy, "Of the run with drafts")
      ->check(CLI::IsMember(core::kSpeculationNames))
      ->capture_default_str();
  c->add_option("--draft", flags->draft,
                "A GGUF file that drafts: its steps are real, its tokens are "
                "scripted");
  c->add_option("--acceptance", flags->acceptance,
                "How many of its tokens are those of the text")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->callback([flags, exit_code] { *exit_code = Run(*flags); });
}

}  // namespace aio::cli
