// SPDX-License-Identifier: Apache-2.0
#include "upstream/labels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace aio::upstream {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

// A remote server may claim anything; a probability is at most 1.
double Probability(float logprob) {
  return std::isfinite(logprob) ? std::exp(std::min<double>(logprob, 0)) : 0;
}

// The most a token outside `token.top` can have, in nats.
double UnseenLogprob(const core::TokenLogprob& token) {
  // What one rounding of a float leaves of "all of it".
  constexpr double kRestMin = 1e-7;
  double least = 0;
  double seen = 0;
  for (const auto& top : token.top) {
    if (!std::isfinite(top.logprob)) continue;
    least = std::min<double>(least, top.logprob);
    seen += Probability(top.logprob);
  }
  return std::min(least, std::log(std::max(1 - seen, kRestMin)));
}

}  // namespace

Result<std::vector<float>> LabelLogits(const core::TokenLogprob& token,
                                       const std::vector<std::string>& labels) {
  const double unseen = UnseenLogprob(token);
  bool any = false;
  std::vector<float> logits;
  for (const std::string& label : labels) {
    double probability = 0;
    for (const auto& top : token.top) {
      if (Trimmed(top.bytes) != Trimmed(label)) continue;
      probability += Probability(top.logprob);
    }
    any = any || probability > 0;
    logits.push_back(
        static_cast<float>(probability > 0 ? std::log(probability) : unseen));
  }
  if (any) return logits;
  return Error{ErrorCode::kUnsupported,
               "none of the labels is among the upstream's most probable "
               "tokens",
               ""};
}

}  // namespace aio::upstream
