// SPDX-License-Identifier: Apache-2.0
#include "server/route_json.h"

#include <boost/json.hpp>

namespace aio::server {
namespace {

namespace json = boost::json;

json::string Text(std::string_view text) {
  return json::string(text.data(), text.size());
}

json::object EstimateJson(const cost::Estimate& estimate) {
  return {{"prompt_tokens", estimate.prompt_tokens},
          {"cached_tokens", estimate.cached_tokens},
          {"context_tokens", estimate.context_tokens},
          {"output_tokens", estimate.output_tokens},
          {"seconds", estimate.seconds},
          {"prefill_seconds", estimate.prefill_seconds},
          {"seconds_per_token", estimate.seconds_per_token},
          {"bytes_read", estimate.bytes_read}};
}

}  // namespace

std::string RouteJson(const orchestrator::Explanation& explanation) {
  json::object probabilities;
  for (size_t i = 0; i < core::kLabels; ++i) {
    probabilities[core::kLabelNames[i]] = explanation.intent.probabilities[i];
  }
  json::array candidates;
  for (const auto& candidate : explanation.candidates) {
    candidates.push_back(
        json::object{{"variant", Text(candidate.variant)},
                     {"why", Text(candidate.why)},
                     {"estimate", EstimateJson(candidate.estimate)}});
  }
  json::object answer;
  answer["intent"] =
      json::object{{"label", Text(core::Name(explanation.intent.Best()))},
                   {"probabilities", std::move(probabilities)},
                   {"entropy", explanation.intent.Entropy()}};
  answer["variant"] = explanation.variant.empty()
                          ? json::value(nullptr)
                          : json::value(Text(explanation.variant));
  answer["strategy"] = Text(core::Name(explanation.strategy));
  answer["reason"] = Text(explanation.reason);
  answer["probe"] = Text(explanation.probe);
  answer["candidates"] = std::move(candidates);
  return json::serialize(answer);
}

}  // namespace aio::server
