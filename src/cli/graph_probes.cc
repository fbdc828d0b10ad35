// SPDX-License-Identifier: Apache-2.0
//
// The probes that the config names, as the functions the orchestrator calls.
#include <memory>
#include <optional>
#include <utility>

#include "cli/graph.h"
#include "probe/meaning.h"
#include "probe/model_probe.h"
#include "probe/text_probe.h"

namespace aio::cli {
namespace {

Error About(const std::string& key, Error error) {
  error.message = key + ": " + error.message;
  error.param = key;
  return error;
}

// What it says, or what it means by that where it was measured.
Result<orchestrator::TextProbe> TextProbeOf(
    std::shared_ptr<const probe::TextProbe> text, const config::Probe& config) {
  const std::string& measured = config.text_fingerprint;
  if (!measured.empty() && measured != text->fingerprint()) {
    return Error{
        ErrorCode::kInvalidArgument,
        "policy.calibration: it was made with another text probe than " +
            config.text + ": calibrate anew",
        "policy.calibration"};
  }
  return orchestrator::TextProbe(
      [text, meant = config.text_meant](const core::Request& request) {
        core::Intent intent = text->Classify(request);
        if (meant && intent.source == core::IntentSource::kText) {
          intent.probabilities = probe::Meant(*meant, intent.probabilities);
        }
        return intent;
      });
}

}  // namespace

probe::ModelProbe::Options ProbeOptions(const config::Probe& config) {
  probe::ModelProbe::Options options;
  options.variant = config.model;
  options.suffix = config.suffix;
  options.tokens_max = config.tokens_max;
  options.temperature = config.temperature;
  options.prior = config.prior;
  for (const auto& [name, token] : config.labels) {
    const auto label = core::LabelNamed(name);
    if (label) options.labels[static_cast<size_t>(*label)] = token;
  }
  return options;
}

Result<void> Graph::AddProbes(const config::Config& config,
                              orchestrator::Parts* parts) {
  if (!config.probe.text.empty()) {
    auto loaded = probe::TextProbe::Load(config.probe.text);
    if (!loaded) return About("probe.text", loaded.error());
    ASSIGN_OR_RETURN(parts->text_probe, TextProbeOf(*loaded, config.probe));
  }
  if (config.probe.model.empty()) return {};
  for (const core::Variant& variant : variants_) {
    if (variant.name != config.probe.model) continue;
    auto made = probe::ModelProbe::Make(variant.backend, &worker_,
                                        ProbeOptions(config.probe));
    if (!made) return About("probe", made.error());
    model_probe_ = *made;
  }
  parts->model_probe_variant = config.probe.model;
  parts->model_probe_tokens_max = config.probe.tokens_max;
  parts->model_probe = [probe = model_probe_](auto request, auto prepared,
                                              Time deadline, auto done) {
    probe->Ask(std::move(request), std::move(prepared), deadline,
               std::move(done));
  };
  return {};
}

// Labels that are no single tokens of the variant are an error at load, not at
// the first request.
Result<void> Graph::PrepareProbe() {
  if (model_probe_ == nullptr) return {};
  std::optional<Result<void>> prepared;
  io_.restart();
  const auto guard = boost::asio::make_work_guard(io_);
  model_probe_->Prepare(worker_.Now() + std::chrono::seconds(60),
                        [&](Result<void> result) {
                          strand_.Post([&, result] {
                            prepared = result;
                            io_.stop();
                          });
                        });
  io_.run();
  if (!prepared) {
    return Error{ErrorCode::kCancelled, "stopped while preparing the probe",
                 ""};
  }
  if (!*prepared) return About("probe.model", prepared->error());
  return {};
}

}  // namespace aio::cli
