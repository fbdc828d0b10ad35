// SPDX-License-Identifier: Apache-2.0
#include "cli/upstream_options.h"

#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/nearest.h"
#include "cost/learned_steps.h"
#include "sim/profiles.h"

namespace aio::cli {

Result<upstream::Upstream::Options> UpstreamOptions(
    const std::string& name, const config::Variant& settings) {
  const config::Upstream& remote = settings.remote;
  upstream::Upstream::Options options;
  options.urls = settings.upstream;
  options.places = remote.replicas_max;
  options.variant = name;
  upstream::OpenAiBackend::Options& backend = options.backend;
  backend.thinking = settings.thinking;
  backend.variants[name] = settings.model.empty() ? "auto" : settings.model;
  backend.prefix_cache = remote.prefix_cache;
  if (!settings.api_key_env.empty()) {
    const char* key = std::getenv(settings.api_key_env.c_str());
    const std::string at = "variants." + name + ".api_key_env";
    if (key == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   at + " names '" + settings.api_key_env +
                       "', which is not set in the environment",
                   at};
    }
    backend.api_key = key;
  }
  if (!remote.tls_ca.empty()) {
    ASSIGN_OR_RETURN(backend.tls, upstream::MakeTls(remote.tls_ca));
  }
  upstream::Replica::Options& replica = backend.replica;
  replica.requests_max = remote.requests_max;
  if (remote.health != "off") replica.health_path = remote.health;
  if (remote.metrics != "off") replica.metrics_path = remote.metrics;
  replica.health_every = replica.health_timeout = remote.health_every;
  replica.limits.connect_timeout = remote.connect_timeout;
  replica.limits.first_byte_timeout = remote.first_byte_timeout;
  replica.limits.idle_timeout = remote.idle_timeout;
  replica.limits.total_timeout = remote.total_timeout;
  return options;
}

upstream::Process::Options ProcessOptions(const std::string& name,
                                          const config::Process& settings) {
  upstream::Process::Options options;
  options.name = name;
  options.command = settings.command;
  options.port = settings.port;
  options.ready = settings.ready;
  options.ready_timeout = settings.ready_timeout;
  options.stop_timeout = settings.stop;
  return options;
}

namespace {

Error NoSuch(const std::string& key, const std::string& value,
             const std::vector<std::string_view>& known) {
  const std::vector<std::string> names(known.begin(), known.end());
  return {ErrorCode::kInvalidArgument,
          key + ": '" + value + "' is not known" + DidYouMean(value, names),
          key};
}

}  // namespace

Result<UpstreamGuess> GuessOf(const std::string& name,
                              const config::Variant& settings) {
  const config::Upstream& remote = settings.remote;
  const std::string at = "variants." + name + ".";
  UpstreamGuess guess;
  guess.steps = cost::UnknownSteps();
  if (remote.profile.empty() && remote.shape.empty()) return guess;
  if (remote.profile.empty() || remote.shape.empty()) {
    return Error{
        ErrorCode::kInvalidArgument,
        at + "profile and " + at + "shape say only together what a step takes",
        at + (remote.shape.empty() ? "shape" : "profile")};
  }
  // The stack that most run.
  const std::string profile_name = remote.profile == "ascend-910b"
                                       ? "ascend-910b/vllm-graph"
                                       : remote.profile;
  const sim::Profile* profile = sim::FindProfile(profile_name);
  if (profile == nullptr) {
    return NoSuch(at + "profile", remote.profile, sim::ProfileNames());
  }
  const auto shape = sim::FindShape(remote.shape);
  if (!shape) return NoSuch(at + "shape", remote.shape, sim::ShapeNames());
  guess.steps = sim::CostOf(*profile, *shape);
  guess.bytes_per_token = sim::WeightBytes(*profile, *shape);
  return guess;
}

}  // namespace aio::cli
