// SPDX-License-Identifier: Apache-2.0
//
// `aio calibrate`: what a deployment measures before it trusts routing, in one
// command that may be killed and run again. See docs/calibrate.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/log.h"
#include "cli/calibrate_report.h"
#include "cli/commands.h"
#include "cli/evaluation.h"
#include "cli/probe_fit.h"
#include "config/calibration.h"

namespace aio::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kCommand[] = "aio calibrate";

struct Flags {
  std::string config;
  std::vector<std::string> sets;
  std::string tasks;
  std::string prompts;
  std::string out;
  int limit = 0;
  int parallel = 4;
  int max_tokens = 256;
  bool anew = false;
  bool restart = false;
  bool unsafe_python = false;
  bool margins = false;
  bool as_json = false;
};

int Fail(const Error& error) {
  std::cerr << kCommand << ": " << error.message << "\n";
  return 1;
}

// Without the tables that are about to be measured, which may not be there.
Result<config::Config> ReadConfig(const Flags& flags) {
  std::vector<std::string> sets = flags.sets;
  sets.insert(sets.end(), {"policy.calibration=", "policy.quality_table="});
  ASSIGN_OR_RETURN(config::Config config, FindConfig(flags.config, sets));
  for (auto& [name, device] : config.devices) device.step_anew = flags.anew;
  return config;
}

Result<std::string> MakeFolder(const Flags& flags) {
  const fs::path folder =
      flags.out.empty() ? fs::path(flags.config).parent_path() / "calibration"
                        : fs::path(flags.out);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return WriteError(folder.string(), error.value());
  return folder.string();
}

std::vector<std::pair<std::string, cost::StepTable>> StepsOf(
    const Graph& graph, const std::vector<core::Variant>& variants) {
  std::vector<std::pair<std::string, cost::StepTable>> out;
  const orchestrator::Costs& costs = graph.costs();
  for (size_t i = 0; i < variants.size(); ++i) {
    const auto& at = costs.variants[i];
    if (!at) continue;
    const cost::StepCost& steps = costs.devices[at->device][at->model].steps;
    out.emplace_back(variants[i].name,
                     at->coarse && steps.coarse ? *steps.coarse : steps.table);
  }
  return out;
}

// What the guard would compare with; empty if no size is known.
std::string ReferenceOf(const config::Config& config,
                        const std::vector<core::Variant>& variants) {
  if (!config.policy.large.empty()) return config.policy.large;
  const core::Variant* largest = nullptr;
  for (const core::Variant& v : variants) {
    if (v.bytes_per_token <= 0) continue;
    if (!largest || v.bytes_per_token > largest->bytes_per_token) largest = &v;
  }
  return largest == nullptr ? "" : largest->name;
}

// One run of the command; its methods are its steps, in order.
class Calibration {
 public:
  Calibration(const Flags& flags, std::string folder, Evaluation* evaluation,
              std::vector<probe::LabelledPrompt> prompts)
      : flags_(flags),
        folder_(std::move(folder)),
        evaluation_(*evaluation),
        prompts_(std::move(prompts)) {
    report_.folder = folder_;
  }

  // The exit code.
  Result<int> Run() {
    RETURN_IF_ERROR(Steps());
    ASSIGN_OR_RETURN(const int code, Tasks());
    if (code != 0) return code;
    RETURN_IF_ERROR(Probes());
    RETURN_IF_ERROR(WriteFolder());
    std::cout << (flags_.as_json ? Json(report_) : Text(report_)) << std::flush;
    if (!std::cout) return Error{ErrorCode::kUnavailable, "cannot write", ""};
    return 0;
  }

 private:
  // Measured as the engines start, or read from the cache.
  Result<void> Steps() {
    std::cerr << "1/3 steps\n";
    RETURN_IF_ERROR(evaluation_.Load(
        [](const std::string& line) { std::cerr << line << std::endl; }));
    report_.steps = StepsOf(evaluation_.graph(), Variants());
    return {};
  }

  Result<int> Tasks() {
    std::cerr << "2/3 tasks\n";
    const Result<void> ran = evaluation_.Ask();
    report_.tasks = evaluation_.Report();
    const int code = evaluation_.Explain(ran, report_.tasks);
    if (code != 0) return code;
    report_.reference = ReferenceOf(evaluation_.config(), Variants());
    report_.agreement = AgreementsOf(evaluation_.records(), report_.reference);
    report_.margins = MarginsOf(evaluation_.records(), report_.reference);
    return 0;
  }

  Result<void> Probes() {
    const config::Probe& config = evaluation_.config().probe;
    const std::vector<ProbePrompt> prompts =
        flags_.prompts.empty() ? PromptsOf(evaluation_.tasks())
                               : PromptsOf(prompts_);
    if (!config.text.empty()) {
      ASSIGN_OR_RETURN(const auto text, probe::TextProbe::Load(config.text));
      report_.text = FitText(*text, prompts);
    }
    if (config.model.empty()) {
      std::cerr << "3/3 probes: the config has no model probe\n";
      return {};
    }
    std::cerr << "3/3 probes\n";
    return ModelProbe(config, prompts);
  }

  Result<void> ModelProbe(const config::Probe& config,
                          const std::vector<ProbePrompt>& prompts) {
    ProbeAskOptions options;
    options.folder = folder_ + "/probe";
    options.restart = flags_.restart;
    options.parallel = flags_.parallel;
    ASSIGN_OR_RETURN(const ProbeSaid said,
                     AskAll(&evaluation_.graph(), config, prompts, options));
    ASSIGN_OR_RETURN(report_.probe, FitProbe(prompts, said));
    report_.probe_variant = config.model;
    const auto failed =
        static_cast<int>(prompts.size()) - report_.probe->prompts;
    if (failed > 0) {
      std::cerr << fmt::format(
          "{} of {} prompts had no answer of the probe: {}\n", failed,
          prompts.size(), said.failure);
    }
    return {};
  }

  // All at the end: until then a config reads what an earlier run wrote.
  Result<void> WriteFolder() const {
    RETURN_IF_ERROR(
        Write(config::kQualityFile, eval::QualityTableJson(report_.tasks)));
    RETURN_IF_ERROR(
        Write(config::kLengthsFile, eval::LengthsJson(report_.tasks)));
    if (report_.text) {
      RETURN_IF_ERROR(Write(config::kTextFile, TextFitJson(*report_.text)));
    }
    if (!report_.probe) return {};
    const std::string& suffix = evaluation_.config().probe.suffix;
    return Write(config::kProbeFile, ProbeFitJson(report_, suffix));
  }

  Result<void> Write(const char* name, const std::string& text) const {
    return WriteWhole(folder_ + "/" + name, text);
  }
  const std::vector<core::Variant>& Variants() {
    return evaluation_.graph().orchestrator().variants();
  }

  const Flags& flags_;
  const std::string folder_;
  Evaluation& evaluation_;
  const std::vector<probe::LabelledPrompt> prompts_;
  CalibrationReport report_;
};

Result<int> Calibrate(const Flags& flags) {
  // What is wrong with files is told before minutes of loading.
  ASSIGN_OR_RETURN(std::vector<eval::Task> tasks, eval::LoadTasks(flags.tasks));
  std::vector<probe::LabelledPrompt> prompts;
  if (!flags.prompts.empty()) {
    ASSIGN_OR_RETURN(prompts, probe::ReadLabelledPrompts(flags.prompts));
  }
  ASSIGN_OR_RETURN(config::Config config, ReadConfig(flags));
  ASSIGN_OR_RETURN(std::string folder, MakeFolder(flags));
  std::vector<Contender> contenders;
  for (const auto& [name, unused] : config.variants) {
    contenders.push_back({name, name});
  }
  EvaluationOptions options;
  options.command = kCommand;
  options.limit = flags.limit;
  options.parallel = flags.parallel;
  options.max_tokens = flags.max_tokens;
  options.unsafe_python = flags.unsafe_python;
  options.margins = flags.margins;
  options.out = folder + "/answers.jsonl";
  options.restart = flags.restart;
  Evaluation evaluation(options, std::move(config), std::move(contenders),
                        std::move(tasks));
  return Calibration(flags, std::move(folder), &evaluation, std::move(prompts))
      .Run();
}

}  // namespace

void AddCalibrate(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "calibrate",
      "Measure what routing needs to know: steps, quality, lengths, probe");
  c->add_option("--config,-c", flags->config, "YAML file; default ./aio.yaml");
  c->add_option("--set", flags->sets, "key.path=value, over the file");
  c->add_option("--tasks,-t", flags->tasks, "Labelled tasks, as for `aio eval`")
      ->required();
  c->add_option("--prompts", flags->prompts,
                "JSON lines with id, text, label and source, to fit the model "
                "probe on; default: the tasks");
  c->add_option("--out,-o", flags->out,
                "Folder of the results; default calibration/ beside the "
                "config. Goes on where an earlier run stopped");
  c->add_option("--limit", flags->limit,
                "This many tasks, taken in turn from each intent; 0: all")
      ->check(CLI::NonNegativeNumber);
  c->add_option("--parallel,-j", flags->parallel, "Requests at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--max-tokens,-n", flags->max_tokens,
                "Of an answer, where the task does not say")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_flag("--anew", flags->anew, "Measure step tables again");
  c->add_flag("--restart", flags->restart, "Ask tasks and prompts again");
  c->add_flag("--margins", flags->margins,
              "Say how sure right and wrong answers were, for "
              "policy.escalation_margin");
  c->add_flag("--unsafe-python", flags->unsafe_python,
              "Run Python tests even without isolation");
  c->add_flag("--json", flags->as_json, "The report as JSON");
  c->callback([flags, exit_code] {
    SetLogLevel(LogLevel::kWarning);
    const auto code = Calibrate(*flags);
    *exit_code = code ? *code : Fail(code.error());
  });
}

}  // namespace aio::cli
