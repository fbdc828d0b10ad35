// SPDX-License-Identifier: Apache-2.0
#include "cli/load_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/nearest.h"
#include "cli/cache_file.h"
#include "cli/clock.h"
#include "cli/progress.h"
#include "cli/step_cache.h"
#include "engine/measure_steps.h"
#include "engine/memory_plan.h"
#include "gguf/gguf.h"
#include "kernels/attention.h"
#include "kernels/target.h"
#include "model/config.h"
#include "model/cpu_forward.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/thinking.h"
#include "tokenizer/tokenizer.h"

namespace aio::cli {
namespace {

// Of openPangu-Embedded, the 7B thinks and the 1B, of 26 layers, does not;
// neither's file says so.
constexpr int kPanguThinkingLayers = 34;

using Variants = std::vector<std::pair<std::string, config::Variant>>;

// A model file on its way to the engine, and the variants that it serves, which
// differ in their names and views at most.
struct Candidate {
  Variants variants;
  std::shared_ptr<const gguf::File> file;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::shared_ptr<const tokenizer::ChatTemplate> chat_template;
  tokenizer::ThinkingStyle thinking;
  model::CpuOptions options;
  engine::MemoryNeed need;

  const config::Variant& settings() const { return variants.front().second; }
  std::string name() const {
    std::string all;
    for (const auto& [name, unused] : variants) {
      all += (all.empty() ? "" : ", ") + name;
    }
    return all;
  }
  bool names_view() const {
    return std::ranges::any_of(
        variants, [](const auto& v) { return v.second.view.has_value(); });
  }
};

Error About(const Candidate& c, Error error) {
  error.message = fmt::format("variant '{}' ({}): {}", c.name(),
                              c.settings().model, error.message);
  return error;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  std::error_code error;  // of a file that is not there, opening will tell
  return a == b || std::filesystem::equivalent(a, b, error);
}

// What variants that share weights must have alike, since it is of the copy.
Result<void> CheckAlike(const Candidate& c) {
  const config::Variant& a = c.settings();
  for (const auto& [name, b] : c.variants) {
    const char* key = a.context_max != b.context_max ? "context_max"
                      : a.kv_memory != b.kv_memory   ? "kv_memory"
                      : a.draft != b.draft           ? "draft"
                                                     : nullptr;
    if (key == nullptr) continue;
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("'{}' is served from the same weights as '{}', so "
                             "'{}' must be the same for both",
                             name, c.variants.front().first, key),
                 key};
  }
  return {};
}

// Variants of one file share its weights if one of them names a view.
Result<std::vector<Candidate>> Grouped(const Variants& variants) {
  std::vector<Candidate> made;
  const auto shares = [&](const std::string& file) {
    return std::ranges::any_of(variants, [&](const auto& v) {
      return v.second.view && IsSameFile(v.second.model, file);
    });
  };
  for (const auto& variant : variants) {
    const std::string& file = variant.second.model;
    const auto same = std::ranges::find_if(made, [&](const Candidate& c) {
      return IsSameFile(c.settings().model, file);
    });
    if (same != made.end() && shares(file)) {
      same->variants.push_back(variant);
    } else {
      made.emplace_back().variants.push_back(variant);
    }
  }
  for (const Candidate& c : made) {
    const auto alike = CheckAlike(c);
    if (!alike) return About(c, alike.error());
  }
  return made;
}

// The text of a special token, "" if the file has none.
std::string PieceOf(const tokenizer::Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? "" : std::string(tokenizer.Piece(id));
}

Result<void> LoadText(Candidate* c) {
  ASSIGN_OR_RETURN(c->tokenizer, tokenizer::Tokenizer::Load(*c->file));
  ASSIGN_OR_RETURN(const std::string source,
                   c->file->String("tokenizer.chat_template", ""));
  if (source.empty()) return {};
  tokenizer::TemplateOptions options;
  options.bos = PieceOf(*c->tokenizer, c->tokenizer->bos());
  options.eos = PieceOf(*c->tokenizer, c->tokenizer->eos());
  ASSIGN_OR_RETURN(auto parsed,
                   tokenizer::ChatTemplate::Parse(source, options));
  c->chat_template =
      std::make_shared<tokenizer::ChatTemplate>(std::move(parsed));
  c->thinking = tokenizer::ThinkingOf(*c->chat_template, source);
  return {};
}

kernels::KvType KvOf(config::KvType type) {
  switch (type) {
    case config::KvType::kF32:
      return kernels::KvType::kF32;
    case config::KvType::kF16:
      return kernels::KvType::kF16;
    case config::KvType::kQ8:
      return kernels::KvType::kQ8;
  }
  return kernels::KvType::kF16;
}

Result<void> Inspect(const config::Device& device, ThreadPool* pool,
                     Candidate* c) {
  const config::Variant& settings = c->settings();
  ASSIGN_OR_RETURN(gguf::File file, gguf::File::Open(settings.model));
  c->file = std::make_shared<gguf::File>(std::move(file));
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadConfig(*c->file));
  RETURN_IF_ERROR(LoadText(c));
  if (config.family == model::Family::kPanguEmbedded &&
      config.layers >= kPanguThinkingLayers) {
    c->thinking = tokenizer::PanguThinking(*c->tokenizer);
  }
  if (c->tokenizer->vocabulary() > config.vocabulary) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("the tokenizer has {} tokens, the model {}",
                             c->tokenizer->vocabulary(), config.vocabulary),
                 ""};
  }
  c->options.pool = pool;
  c->options.kv = KvOf(device.kv_type);
  c->options.columns_max = std::max(device.columns_max, device.sequences_max);
  c->options.logits_max =
      device.sequences_max + sched::SpeculationOptions().drafts_max;
  c->options.context_max = settings.context_max;
  c->options.nest = c->names_view();
  ASSIGN_OR_RETURN(const model::MemoryNeeds needs,
                   model::PlanMemory(*c->file, c->options));
  if (c->names_view() && !needs.nested) {
    return Error{
        ErrorCode::kInvalidArgument,
        "view: its weights have one precision only; those of F32, "
        "F16, BF16 and Q8_0 files have views, and those that `aio pack "
        "--nest` makes",
        "view"};
  }
  c->need.variant = c->name();
  c->need.weight_bytes = needs.weight_bytes;
  c->need.scratch_bytes = needs.scratch_bytes;
  c->need.page_bytes = needs.page_bytes;
  c->need.context_tokens = config.context_length;
  if (settings.context_max > 0) {
    c->need.context_tokens =
        std::min(c->need.context_tokens, settings.context_max);
  }
  c->need.kv_bytes = settings.kv_memory;
  return {};
}

// Changes with everything that may change an answer: build, file, instruction
// set, KV type, and the view of nested weights.
std::string Fingerprint(const gguf::File& file, kernels::KvType kv) {
  return fmt::format("aio-{}-{:016x}-{}-kv{}", AIO_VERSION, file.SampleHash(),
                     kernels::TargetName(), kernels::NameOf(kv));
}
std::string WithView(const std::string& fingerprint, core::View view) {
  return fmt::format("{}-view{}", fingerprint, core::Name(view));
}

int64_t CreatedAt(const std::string& path) {
  std::error_code error;
  const auto when = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::file_clock::to_sys(when).time_since_epoch())
      .count();
}

// What the wall clock shows in this machine's zone.
std::chrono::local_seconds LocalNow() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return std::chrono::local_seconds(
      std::chrono::seconds(now + local.tm_gmtoff));
}

uint64_t Secret() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

std::string PlanText(const std::string& device, int threads,
                     const engine::MemoryPlan& plan) {
  using engine::BytesText;
  std::string text =
      fmt::format("device {}: {} threads, {} of {}", device, threads,
                  BytesText(plan.total_bytes), BytesText(plan.limit_bytes));
  for (const engine::MemoryShare& s : plan.shares) {
    text += fmt::format(
        "\n  {:<12} weights {:>10}   KV {:>10} ({} pages)   scratch {:>10}",
        s.variant, BytesText(s.weight_bytes), BytesText(s.kv_bytes), s.pages,
        BytesText(s.scratch_bytes));
  }
  return text;
}

// What a step takes depends on all of it.
std::string StepKey(const Machine& machine, const Candidate& c, bool coarse) {
  const std::string view =
      c.names_view() ? fmt::format(" {} bits", coarse ? 4 : 8) : "";
  return fmt::format("{} cpu '{}' threads {} columns {} logits {} pages {}{}",
                     Fingerprint(*c.file, c.options.kv), machine.cpu_name,
                     c.options.pool->threads(), c.options.columns_max,
                     c.options.logits_max, c.options.pages, view);
}

std::string StepsText(const std::string& variant,
                      const engine::MeasuredSteps& steps, bool kept) {
  const cost::StepTable& table = steps.table;
  const double prefill = table.prefill_seconds_per_token;
  std::string text = fmt::format(
      "{}: a step takes {:.3g} ms, 8 columns {:.2f}x, prefill {:.0f} "
      "tokens/s, ",
      variant, 1e3 * table.Seconds(1, 0), table.C(8),
      prefill > 0 ? 1 / prefill : 0.0);
  text += kept ? "as measured before"
               : fmt::format("measured in {:.2f} s", steps.seconds);
  if (steps.whole_ratio > 0 && std::abs(steps.whole_ratio - 1) > 0.05) {
    text += fmt::format(" (one whole step: {:+.0f} %)",
                        100 * (steps.whole_ratio - 1));
  }
  return text;
}

// Other work on the machine only adds: a step that is quicker now says that
// the table is of a busy minute. One that is slower says nothing. Steps so long
// that a start would wait for them are believed.
bool StillHolds(const cost::StepTable& table, model::Forward* forward,
                const engine::MeasureOptions& options) {
  constexpr double kQuicker = 1.3, kSecondsMost = 0.2;
  const double kept = table.Seconds(1, 0);
  return kept > kSecondsMost ||
         kept < kQuicker * engine::StepSeconds(forward, options, NowSeconds);
}

// From the cache, or measured and kept there. Without a table the scheduler
// goes by a fixed width, so nothing here is worth not starting for. `coarse`:
// of steps whose columns have 4 bits of nested weights.
std::optional<cost::StepTable> StepTableOf(
    const config::Device& device, const Machine& machine, const Candidate& c,
    bool coarse, model::Forward* forward,
    const std::function<void(const std::string&)>& say) {
  const std::string key = StepKey(machine, c, coarse);
  const std::string name =
      fmt::format("variant {}{}", c.name(), coarse ? " at 4 bits" : "");
  const std::string folder = device.step_cache == "auto"  ? CacheFolder()
                             : device.step_cache == "off" ? ""
                                                          : device.step_cache;
  engine::MeasureOptions options;
  options.cache_bytes = machine.cache_bytes;
  options.logits_max = c.options.logits_max;
  options.bits = coarse ? 4 : 8;
  if (!folder.empty() && !device.step_anew) {
    const auto kept = ReadSteps(folder, key);
    if (kept && StillHolds(kept->table, forward, options)) {
      say(StepsText(name, *kept, true));
      return kept->table;
    }
    if (kept) {
      say(name + ": steps are quicker than when they were measured");
    } else if (kept.error().code != ErrorCode::kNotFound) {
      Log(LogLevel::kWarning, "measuring anew",
          {{"why", kept.error().message}});
    }
  }
  const auto steps = engine::MeasureSteps(forward, options, NowSeconds);
  if (!steps) {
    Log(LogLevel::kWarning, "no step table", {{"why", steps.error().message}});
    return std::nullopt;
  }
  say(StepsText(name, *steps, false));
  if (folder.empty()) return steps->table;
  const auto written = WriteSteps(folder, key, *steps);
  if (!written) {
    Log(LogLevel::kWarning, "the step table is not kept",
        {{"why", written.error().message}});
  }
  return steps->table;
}

// Of the steps that the model's views can have.
void AddStepTables(const config::Device& device, const Machine& machine,
                   const Candidate& c,
                   const std::function<void(const std::string&)>& say,
                   engine::Model* model) {
  if (!device.step_table) return;
  bool fine = false, coarse = false;
  for (const engine::ModelView& view : model->views) {
    (view.view == core::View::k8 ? fine : coarse) = true;
  }
  const auto table = [&](bool of_coarse) {
    return StepTableOf(device, machine, c, of_coarse, model->forward.get(),
                       say);
  };
  if (fine) model->sched.step_table = table(false);
  if (coarse) model->coarse_step_table = table(true);
}

// The file that keeps the tiles, "" if none shall.
std::string TileFile(const std::string& cache, const gguf::File& file) {
  if (cache == "off") return "";
  if (cache == "auto") return file.path() + ".tiles";
  std::error_code error;  // writing will tell
  std::filesystem::create_directories(cache, error);
  return fmt::format("{}/{}-{:016x}.tiles", cache,
                     std::filesystem::path(file.path()).filename().string(),
                     file.SampleHash());
}

// With progress, and a line at the end.
Result<std::unique_ptr<model::Forward>> LoadForward(
    const config::Device& device, const Candidate& c,
    const std::function<void(const std::string&)>& say) {
  const double begin = NowSeconds();
  double ready = begin;  // when all tiles were in memory
  model::TileReport report;
  model::CpuOptions options = c.options;
  options.tiles.cache = TileFile(device.tile_cache, *c.file);
  options.tiles.report = &report;
  options.tiles.progress = [&, show = ShowLoading(c.name())](
                               int64_t done, int64_t total) mutable {
    show(done, total);
    ready = NowSeconds();
  };
  ASSIGN_OR_RETURN(auto forward, model::LoadCpuForward(*c.file, options));
  for (const std::string& warning : report.warnings) {
    Log(LogLevel::kWarning, "tile cache",
        {{"variant", c.name()}, {"why", warning}});
  }
  const double bytes = static_cast<double>(report.bytes);
  std::string text = fmt::format(
      "variant {}: {:.1f} MB of weights {} in {:.2f} s, {:.2f} GB/s", c.name(),
      bytes / 1e6,
      report.from_cache ? "read from " + options.tiles.cache : "packed",
      ready - begin, bytes / 1e9 / (ready - begin));
  if (report.kept) {
    text += fmt::format("; kept in {} ({:.2f} s)", options.tiles.cache,
                        NowSeconds() - ready);
  }
  say(text);
  return forward;
}

// What the model serves: to the engine a view, to a policy a variant.
void AddVariants(const Candidate& c, const core::ThinkingModes& thinking,
                 engine::Model* model, std::vector<core::Variant>* out) {
  const model::Forward& forward = *model->forward;
  const std::string fingerprint = Fingerprint(*c.file, c.options.kv);
  for (const auto& [name, settings] : c.variants) {
    const core::View view = settings.view.value_or(core::View::k8);
    model->views.push_back(
        {name, forward.nested() ? WithView(fingerprint, view) : fingerprint,
         view, settings.speculation});
    core::Variant variant;
    variant.name = name;
    variant.context_tokens_max = forward.context_tokens_max();
    variant.bytes_per_token = forward.WeightBytes(view != core::View::k8);
    variant.created = CreatedAt(settings.model);
    variant.deterministic = view != core::View::kAuto;
    variant.resumes = true;
    variant.thinking = thinking;
    out->push_back(std::move(variant));
  }
}

Result<void> LoadOne(const config::Device& device, const Candidate& c,
                     const std::function<void(const std::string&)>& say,
                     LoadedDevice* out) {
  engine::LocalBackend::Resident resident;
  engine::Model& model = resident.model;
  ASSIGN_OR_RETURN(model.forward, LoadForward(device, c, say));
  model.tokenizer = c.tokenizer;
  model.sched.sequences_max = device.sequences_max;
  model.sched.queue_max = device.queue_max;
  model.sched.prefix_cache = device.prefix_cache;
  model.sched.secret = Secret();
  model.draft = c.settings().draft;
  resident.prompts.tokenizer = c.tokenizer;
  resident.prompts.chat_template = c.chat_template;
  resident.prompts.context_tokens_max = model.forward->context_tokens_max();
  resident.prompts.now = LocalNow;
  resident.prompts.thinking = c.thinking;
  AddVariants(c, resident.prompts.modes(), &model, &out->variants);
  out->residents.push_back(std::move(resident));
  return {};
}

// Why `draft` cannot draft for `c`; empty: it can.
std::string WhyNotDraft(const Candidate& c, const Candidate& draft) {
  const std::string& name = c.settings().draft;
  if (&c == &draft) return "'" + name + "' is served from the same weights";
  if (!draft.settings().draft.empty()) {
    return "'" + name + "' has a draft model itself";
  }
  const tokenizer::Tokenizer &a = *c.tokenizer, &b = *draft.tokenizer;
  bool same = a.vocabulary() == b.vocabulary();
  for (int32_t id = 0; same && id < a.vocabulary(); ++id) {
    same = a.Piece(id) == b.Piece(id) && a.IsEnd(id) == b.IsEnd(id);
  }
  return same ? "" : "'" + name + "' has other tokens";
}

Result<void> CheckDraft(const std::vector<Candidate>& candidates,
                        const Candidate& c) {
  const std::string& draft = c.settings().draft;
  if (draft.empty()) return {};
  std::vector<std::string> names;
  std::string why;
  bool found = false;
  for (const Candidate& other : candidates) {
    for (const auto& [name, unused] : other.variants) {
      names.push_back(name);
      if (name != draft) continue;
      found = true;
      why = WhyNotDraft(c, other);
    }
  }
  if (!found) {
    why = "there is no variant '" + draft + "' on its device" +
          DidYouMean(draft, names);
  }
  if (why.empty()) return {};
  return Error{ErrorCode::kInvalidArgument, "draft: " + why, "draft"};
}

}  // namespace

Result<LoadedDevice> LoadDevice(
    const std::string& name, const config::Device& device,
    const std::vector<std::pair<std::string, config::Variant>>& variants,
    const Machine& machine, ThreadPool* pool,
    const std::function<void(const std::string&)>& say) {
  ASSIGN_OR_RETURN(std::vector<Candidate> candidates, Grouped(variants));
  std::vector<engine::MemoryNeed> needs;
  for (Candidate& c : candidates) {
    const auto inspected = Inspect(device, pool, &c);
    if (!inspected) return About(c, inspected.error());
    needs.push_back(c.need);
  }
  for (const Candidate& c : candidates) {
    const auto checked = CheckDraft(candidates, c);
    if (!checked) return About(c, checked.error());
  }
  const int64_t all = device.memory_limit > 0 ? device.memory_limit
                                              : machine.memory_bytes / 5 * 4;
  const int64_t limit = std::max<int64_t>(all - device.memory_taken, 0);
  ASSIGN_OR_RETURN(const engine::MemoryPlan plan,
                   engine::PlanMemory(limit, device.sequences_max, needs));
  say(PlanText(name, pool->threads(), plan));
  LoadedDevice out;
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].options.pages = plan.shares[i].pages;
    const auto loaded = LoadOne(device, candidates[i], say, &out);
    if (!loaded) return About(candidates[i], loaded.error());
    AddStepTables(device, machine, candidates[i], say,
                  &out.residents.back().model);
  }
  for (core::Variant& v : out.variants) v.device_price = device.price;
  return out;
}

}  // namespace aio::cli
