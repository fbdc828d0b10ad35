// SPDX-License-Identifier: Apache-2.0
#include "server/route_json.h"

#include <cstdint>
#include <string_view>

#include "openai/json.h"

namespace aio::server {
namespace {

using openai::AppendJsonNumber;
using openai::AppendJsonString;

void AppendName(std::string_view name, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->push_back(':');
}

void AppendText(std::string_view name, std::string_view text,
                std::string* out) {
  AppendName(name, out);
  AppendJsonString(text, out);
}

void AppendNumber(std::string_view name, double value, std::string* out) {
  AppendName(name, out);
  AppendJsonNumber(value, 0.0, out);
}

void AppendCount(std::string_view name, int64_t value, std::string* out) {
  AppendName(name, out);
  *out += std::to_string(value);
}

void AppendIntent(const core::Intent& intent, std::string* out) {
  AppendName("intent", out);
  *out += "{";
  AppendText("label", intent.BestName(), out);
  AppendName("probabilities", out);
  *out += "{";
  for (size_t i = 0; i < core::kLabels; ++i) {
    AppendNumber(core::kLabelNames[i], intent.probabilities[i], out);
  }
  *out += "}";
  AppendNumber("entropy", intent.Entropy(), out);
  *out += "}";
}

void AppendPrice(const cost::Price& price, double device_price,
                 std::string* out) {
  AppendName("price", out);
  *out += "{";
  AppendNumber("device_seconds", price.system(), out);
  AppendNumber("device_price", device_price, out);
  AppendNumber("own_seconds", price.own(), out);
  AppendNumber("others_seconds", price.others, out);
  AppendNumber("ttft_seconds", price.ttft, out);
  AppendNumber("tpot_seconds", price.token, out);
  *out += "}";
}

void AppendEstimate(const cost::Estimate& estimate, double device_price,
                    std::string* out) {
  AppendName("estimate", out);
  *out += "{";
  AppendCount("prompt_tokens", estimate.prompt_tokens, out);
  AppendCount("cached_tokens", estimate.cached_tokens, out);
  AppendCount("context_tokens", estimate.context_tokens, out);
  AppendNumber("output_tokens", estimate.output_tokens, out);
  AppendNumber("seconds", estimate.seconds, out);
  AppendNumber("prefill_seconds", estimate.prefill_seconds, out);
  AppendNumber("seconds_per_token", estimate.seconds_per_token, out);
  AppendCount("bytes_read", estimate.bytes_read, out);
  if (estimate.price) AppendPrice(*estimate.price, device_price, out);
  *out += "}";
}

}  // namespace

std::string RouteJson(const orchestrator::Explanation& explanation) {
  std::string out = "{";
  AppendIntent(explanation.intent, &out);
  AppendName("variant", &out);
  if (explanation.variant.empty()) {
    out += "null";
  } else {
    AppendJsonString(explanation.variant, &out);
  }
  if (explanation.thinking) {
    AppendText("thinking", core::Name(*explanation.thinking), &out);
  }
  AppendText("strategy", core::Name(explanation.strategy), &out);
  AppendText("reason", explanation.reason, &out);
  AppendText("probe", explanation.probe, &out);
  AppendNumber("deciding_seconds", Seconds(explanation.deciding), &out);
  AppendName("candidates", &out);
  out += "[";
  for (const auto& candidate : explanation.candidates) {
    out += out.back() == '[' ? "{" : ",{";
    AppendText("variant", candidate.variant, &out);
    if (!candidate.replica.empty()) {
      AppendText("replica", candidate.replica, &out);
    }
    if (candidate.thinking) {
      AppendText("thinking", core::Name(*candidate.thinking), &out);
    }
    AppendText("why", candidate.why, &out);
    if (candidate.quality) AppendNumber("quality", *candidate.quality, &out);
    AppendEstimate(candidate.estimate, candidate.device_price, &out);
    out += "}";
  }
  out += "]}";
  return out;
}

}  // namespace aio::server
