// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/machine.h"
#include "base/nearest.h"
#include "cli/sim_calibration.h"
#include "engine/memory_plan.h"
#include "sim/profiles.h"

namespace aio::cli {
namespace {

// More would only make the scheduler's lists longer.
constexpr int64_t kPagesMost = 1 << 16;

std::vector<std::string> Strings(const std::vector<std::string_view>& names) {
  return {names.begin(), names.end()};
}

Error NoSuch(const std::string& what, const std::string& name,
             const std::vector<std::string_view>& known) {
  return {ErrorCode::kNotFound,
          fmt::format("there is no {} '{}'{} ({})", what, name,
                      DidYouMean(name, Strings(known)), fmt::join(known, ", ")),
          what};
}

}  // namespace

Result<sim::SimModel> SimModelOf(const engine::Model& model) {
  const auto steps = StepCostOf(model);
  if (!steps) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("the steps of '{}' have not been measured; is "
                             "step_table off?",
                             model.views.front().variant),
                 ""};
  }
  const model::Forward& forward = *model.forward;
  sim::SimModel out;
  for (const engine::ModelView& view : model.views) {
    out.views.push_back({view.variant, view.view, 0, view.speculation});
  }
  out.cost = *steps;
  out.known = {model.sched.step_table, model.coarse_step_table};
  out.layers = forward.layers();
  out.sched = model.sched;
  out.sched.pages = forward.pages();
  out.sched.page_tokens = model::kPageTokens;
  out.sched.columns_max = forward.columns_max();
  out.context_tokens_max = forward.context_tokens_max();
  out.weight_bytes = forward.weight_bytes();
  out.coarse_weight_bytes = forward.coarse_weight_bytes();
  out.kv_bytes_per_token = forward.kv_bytes_per_token();
  out.speculation = model.speculation;
  out.draft = model.draft;
  return out;
}

namespace {

// What tells the tables of one model from those of others and elsewhere.
std::string KeyOf(const engine::Model& model, int threads) {
  return fmt::format("simulator {} threads of '{}' {} pages {}", threads,
                     ReadMachine().cpu_name, model.views.front().fingerprint,
                     model.forward->pages());
}

}  // namespace

Result<SimSetup> SetupOfConfig(config::Config config, const Say& say) {
  SimSetup out;
  for (auto& [name, settings] : config.variants) {
    if (!settings.upstream.empty()) {
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("'{}' is an upstream, whose steps are not known", name),
          "variants." + name};
    }
    out.variants.push_back(name);
  }
  for (auto& [name, device] : config.devices) {
    device.step_table = true;
    ASSIGN_OR_RETURN(DeviceModels models, LoadModels(name, config, say));
    if (models.pool == nullptr) continue;
    sim::SimDevice made;
    made.name = name;
    made.price = device.price;
    std::string keys;
    for (auto& resident : models.loaded.residents) {
      ASSIGN_OR_RETURN(sim::SimModel model, SimModelOf(resident.model));
      made.models.push_back(std::move(model));
      if (!out.tokenizer) out.tokenizer = resident.model.tokenizer;
      const int tokens = resident.model.forward->vocabulary();
      out.vocabulary =
          out.vocabulary == 0 ? tokens : std::min(out.vocabulary, tokens);
      keys += KeyOf(resident.model, models.pool->threads()) + ";";
    }
    if (const auto found = ReadCalibration(keys)) Apply(*found, &made);
    out.devices.push_back(std::move(made));
    out.keys.push_back(std::move(keys));
  }
  return out;
}

Result<SimSetup> SetupOfProfile(const std::string& profile,
                                const std::vector<std::string>& shapes,
                                int64_t memory_bytes) {
  const sim::Profile* device = sim::FindProfile(profile);
  if (device == nullptr) {
    return NoSuch("device", profile, sim::ProfileNames());
  }
  SimSetup out;
  sim::SimDevice made;
  made.name = profile;
  int64_t left = memory_bytes;
  for (const std::string& name : shapes) {
    const auto shape = sim::FindShape(name);
    if (!shape) return NoSuch("model", name, sim::ShapeNames());
    sim::SimModel model;
    model.views = {{name}};
    model.cost = sim::CostOf(*device, *shape);
    model.weight_bytes = sim::WeightBytes(*device, *shape);
    model.kv_bytes_per_token = shape->kv_bytes_per_token;
    model.first_step_seconds = device->first_step_seconds;
    model.sched.sequences_max = device->sequences_max;
    model.sched.queue_max = 1 << 20;  // such stacks refuse nobody
    if (device->columns_max > 0) model.sched.columns_max = device->columns_max;
    left -= model.weight_bytes;
    out.variants.push_back(name);
    if (const auto known = sim::PublishedQuality(name)) {
      out.quality[name] = *known;
    }
    made.models.push_back(std::move(model));
  }
  if (left <= 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the weights of {} do not fit {}",
                             fmt::join(shapes, " and "),
                             engine::BytesText(memory_bytes)),
                 "memory"};
  }
  for (sim::SimModel& model : made.models) {
    const int64_t each = left / static_cast<int64_t>(made.models.size());
    const int64_t page = model.kv_bytes_per_token * model.sched.page_tokens;
    model.sched.pages = static_cast<int>(std::min(kPagesMost, each / page));
    model.context_tokens_max = std::min(
        model.context_tokens_max, model.sched.pages * model.sched.page_tokens);
  }
  out.devices.push_back(std::move(made));
  return out;
}

Result<std::vector<sim::WorkloadOptions::TraceLine>> ReadTrace(
    const std::string& path, const std::string& field) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + path, field};
  auto trace =
      sim::ParseTrace(std::string{std::istreambuf_iterator<char>(in), {}});
  if (trace) return trace;
  return Error{trace.error().code, path + ", " + trace.error().message, field};
}

}  // namespace aio::cli
