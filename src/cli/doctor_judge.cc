// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>

#include "cli/doctor.h"
#include "sim/profiles.h"
#include "upstream/endpoint.h"

namespace aio::cli {
namespace {

constexpr double kEagerFrom = 1.7;
// vllm_ascend/utils.py: of 2,048 streams.
constexpr int kStreamsMax = 1800;
constexpr int kCaptureSizesDefault = 35;

}  // namespace

std::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kError:
      return "error";
  }
  return "";
}

Finding JudgeTokenTime(double measured, std::optional<double> said) {
  Finding finding;
  finding.check = "time per token";
  finding.text = fmt::format("{:.1f} ms a token", 1e3 * measured);
  if (!said || *said <= 0) {
    finding.verdict = Verdict::kUnknown;
    finding.text += "; no profile and shape to hold it against";
    return finding;
  }
  const double ratio = measured / *said;
  finding.text += fmt::format(", {:.2f} times the profile's {:.1f} ms", ratio,
                              1e3 * *said);
  if (ratio < kEagerFrom) return finding;
  finding.verdict = Verdict::kWarning;
  finding.text +=
      ": is graph mode off (--enforce-eager), or the server busy?";
  return finding;
}

std::vector<Finding> JudgeStreams(const config::Config& config) {
  struct Share {
    int streams = 0;
    std::string text;
    std::string variants;
  };
  std::map<std::string, Share> hosts;
  for (const auto& [name, variant] : config.variants) {
    const config::Upstream& remote = variant.remote;
    const auto shape = sim::FindShape(remote.shape);
    if (variant.upstream.empty() || !remote.profile.starts_with("ascend") ||
        !shape) {
      continue;
    }
    const int sizes = remote.capture_sizes > 0 ? remote.capture_sizes
                                               : kCaptureSizesDefault;
    for (const std::string& url : variant.upstream) {
      const auto endpoint = upstream::ParseEndpoint(url);
      if (!endpoint) continue;
      Share& share =
          hosts[remote.npu.empty() ? endpoint->host : remote.npu];
      share.streams += (shape->layers + 1) * sizes;
      share.text += fmt::format("{}{} x {} of {}",
                                share.text.empty() ? "" : " + ",
                                shape->layers + 1, sizes, name);
      share.variants += (share.variants.empty() ? "" : ", ") + name;
    }
  }
  std::vector<Finding> findings;
  for (const auto& [host, share] : hosts) {
    Finding finding;
    finding.variant = share.variants;
    finding.where = host;
    finding.check = "streams of captured graphs";
    finding.text =
        fmt::format("{} = {} of {}", share.text, share.streams, kStreamsMax);
    if (share.streams > kStreamsMax) {
      finding.verdict = Verdict::kError;
      finding.text +=
          ": capture fewer sizes (cudagraph_capture_sizes, then "
          "capture_sizes here), or use FULL_DECODE_ONLY";
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

Finding JudgeCanary(const std::string& plain_variant, std::string_view plain,
                    std::string_view other) {
  Finding finding;
  finding.check = "tool calls";
  if (plain == other) {
    finding.text = "the same call as '" + plain_variant + "' makes";
    return finding;
  }
  finding.verdict = Verdict::kWarning;
  finding.text = fmt::format(
      "the same greedy request calls {} here and {} on '{}': if one of them "
      "speculates, give it features: {{ tools: false }}",
      other.empty() ? "nothing" : other.substr(0, 200),
      plain.empty() ? "nothing" : plain.substr(0, 200), plain_variant);
  return finding;
}

}  // namespace aio::cli
