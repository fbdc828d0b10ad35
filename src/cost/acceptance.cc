// SPDX-License-Identifier: Apache-2.0
#include "cost/acceptance.h"

#include <algorithm>
#include <cmath>

namespace aio::cost {
namespace {

// What drafts are taken to be worth before any was tried: guesses, worth
// kPriorTries tries, that experience replaces. Copying intents start higher.
constexpr double kPriorTries = 4;
constexpr std::array<double, kDraftBuckets> kPrior = {0.35, 0.45, 0.6,
                                                      0.75, 0.85, 0.7};
constexpr std::array<double, core::kLabels + 1> kIntentFactor = {
    1.1, 1.0, 0.9, 0.9, 1.1, 1.15, 0.9, 0.7, 1.0};
static_assert(static_cast<int>(core::Label::kCode) == 0 &&
              static_cast<int>(core::Label::kCreative) == 7);
// How many tries of other requests count as much as a request's own.
constexpr double kOthersTries = 12;
// Tries until a memory has half forgotten: a request changes its subject
// quicker than a service its users.
constexpr double kOwnHalf = 40;
constexpr double kOthersHalf = 2000;

double Keep(double half) { return std::exp2(-1 / half); }

}  // namespace

int LookupBucket(int match_length) {
  if (match_length <= 3) return 0;
  if (match_length <= 5) return 1;
  if (match_length <= 8) return 2;
  return match_length <= 16 ? 3 : 4;
}

void DecayedRate::Learn(int drafted, int accepted, double keep) {
  const int tries = std::min(drafted, accepted + 1);
  for (int i = 0; i < tries; ++i) {
    kept = kept * keep + (i < accepted ? 1 : 0);
    tried = tried * keep + 1;
  }
}

double Acceptance::Of(const Own& own, std::optional<core::Label> intent,
                      int bucket) const {
  const auto b = static_cast<size_t>(bucket);
  const double prior = std::min(0.95, kPrior[b] * kIntentFactor[Row(intent)]);
  const double others = rates_[Row(intent)][b].Mean(prior, kPriorTries);
  // The others' word weighs no more than what it stands on.
  const double weight =
      std::min(kOthersTries, rates_[Row(intent)][b].tried + kPriorTries);
  return own.rates[b].Mean(others, weight);
}

void Acceptance::Learn(std::optional<core::Label> intent, int bucket,
                       int drafted, int accepted, Own* own) {
  const auto b = static_cast<size_t>(bucket);
  own->rates[b].Learn(drafted, accepted, Keep(kOwnHalf));
  rates_[Row(intent)][b].Learn(drafted, accepted, Keep(kOthersHalf));
}

}  // namespace aio::cost
