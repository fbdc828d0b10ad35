// SPDX-License-Identifier: Apache-2.0
#include "policy/policies.h"

#include "base/nearest.h"
#include "policy/marginal.h"
#include "policy/paper.h"
#include "policy/random.h"
#include "policy/static.h"

namespace aio::policy {
namespace {

Error Wrong(const char* key, std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), key};
}

Error NoVariants() {
  return Wrong("variants", "a policy needs at least one variant");
}

Result<std::string> Known(const std::string& name, const Options& options,
                          const char* key) {
  std::vector<std::string> names;
  for (const Options::Variant& v : options.variants) {
    if (v.name == name) return name;
    names.push_back(v.name);
  }
  const std::string nearest = Nearest(name, names);
  return Wrong(key, std::string(key) + ": there is no variant '" + name + "'" +
                        (nearest.empty() ? "" : "; nearest: " + nearest));
}

// The smallest or the largest variant: the named one, or by size.
Result<std::string> Pick(const std::string& named, bool largest,
                         const Options& options) {
  const char* key = largest ? "policy.large" : "policy.small";
  if (!named.empty()) return Known(named, options, key);
  const Options::Variant* best = &options.variants.front();
  for (const Options::Variant& v : options.variants) {
    if (v.bytes_per_token <= 0 && options.variants.size() > 1) {
      return Wrong(key, std::string(key) +
                            " must name a variant: the size of '" + v.name +
                            "' is not known");
    }
    const bool better = largest ? v.bytes_per_token > best->bytes_per_token
                                : v.bytes_per_token < best->bytes_per_token;
    if (better) best = &v;
  }
  return best->name;
}

Result<std::shared_ptr<const Policy>> MakePaper(const Options& options) {
  PaperPolicy::Options paper;
  ASSIGN_OR_RETURN(const Ends ends, EndsOf(options));
  paper.small = ends.small;
  paper.large = ends.large;
  // Written so that a NaN fails too.
  if (!(options.entropy_max >= 0)) {
    return Wrong("policy.entropy_max", "policy.entropy_max must be 0 or more");
  }
  if (options.context_tokens_max < 0) {
    return Wrong("policy.context_tokens_max",
                 "policy.context_tokens_max must be 0 or more");
  }
  paper.entropy_max = options.entropy_max;
  paper.context_tokens_max = options.context_tokens_max;
  return std::shared_ptr<const Policy>(
      std::make_shared<PaperPolicy>(std::move(paper)));
}

constexpr std::string_view kNoPlan = "own+system+others";

Result<MarginalPolicy::Weights> WeightsOf(const std::string& objective) {
  // A user feels own and others' seconds, a device its own.
  if (objective == "latency") return MarginalPolicy::Weights{0, 1, 1};
  if (objective == "throughput") return MarginalPolicy::Weights{1, 0, 0};
  if (objective == "tradeoff") return MarginalPolicy::Weights{1, 1, 1};
  // For comparisons: what each term is worth.
  if (objective == "own") return MarginalPolicy::Weights{0, 1, 0};
  if (objective == "own+system") return MarginalPolicy::Weights{1, 1, 0};
  if (objective == kNoPlan) return MarginalPolicy::Weights{1, 1, 1};
  return Wrong("policy.objective",
               "policy.objective: '" + objective +
                   "' is none of latency, throughput, tradeoff");
}

// "marginal", or "marginal:own" for another objective.
Result<std::shared_ptr<const Policy>> MakeMarginal(std::string_view kind,
                                                   const Options& options) {
  MarginalPolicy::Options marginal;
  marginal.name = kind;
  const size_t colon = kind.find(':');
  const std::string objective = colon == std::string_view::npos
                                    ? options.objective
                                    : std::string(kind.substr(colon + 1));
  ASSIGN_OR_RETURN(marginal.weights, WeightsOf(objective));
  marginal.plan = objective.substr(0, 3) != "own";  // the ablations have none
  // Written so that a NaN fails too.
  if (!(options.quality_floor >= 0 && options.quality_floor <= 1)) {
    return Wrong("policy.quality_floor",
                 "policy.quality_floor must be between 0 and 1");
  }
  marginal.quality_floor = options.quality_floor;
  ASSIGN_OR_RETURN(marginal.fallback, MakePaper(options));
  return std::shared_ptr<const Policy>(
      std::make_shared<MarginalPolicy>(std::move(marginal)));
}

}  // namespace

Result<Ends> EndsOf(const Options& options) {
  if (options.variants.empty()) return NoVariants();
  Ends ends;
  ASSIGN_OR_RETURN(ends.small, Pick(options.small, false, options));
  ASSIGN_OR_RETURN(ends.large, Pick(options.large, true, options));
  return ends;
}

Result<std::shared_ptr<const Policy>> Make(std::string_view kind,
                                           const Options& options) {
  constexpr std::string_view kStatic = "static:";
  if (options.variants.empty()) return NoVariants();
  if (kind == "paper") return MakePaper(options);
  if (kind == "marginal" || kind.substr(0, 9) == "marginal:") {
    return MakeMarginal(kind, options);
  }
  if (kind == "random") {
    return std::shared_ptr<const Policy>(std::make_shared<RandomPolicy>());
  }
  if (kind.substr(0, kStatic.size()) == kStatic) {
    ASSIGN_OR_RETURN(std::string name,
                     Known(std::string(kind.substr(kStatic.size())), options,
                           "policy.kind"));
    return std::shared_ptr<const Policy>(
        std::make_shared<StaticPolicy>(std::move(name)));
  }
  return Wrong("policy.kind", "policy.kind: '" + std::string(kind) +
                                  "' is none of marginal, paper, random, "
                                  "static:<variant>");
}

}  // namespace aio::policy
