// SPDX-License-Identifier: Apache-2.0
//
// How likely the next drafted token is to be kept, by how the draft came about:
// of one request, over what the variant's requests of that intent have shown,
// over a prior.
//
// A draft of length k of which m were kept tells m successes and, if m < k, one
// failure: what comes behind the first wrong token tells nothing.
//
// Thread safety: none; plain data and arithmetic.
// Source of the buckets: longer matches are kept more often (docs/
// speculation.md, with what was measured).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/intent.h"
#include "core/request.h"

namespace aio::cost {

// Of lookup by the length of the match: 3, 4-5, 6-8, 9-16, 17 or more tokens;
// of a draft model one for all.
inline constexpr int kDraftBuckets = 6;
inline constexpr int kModelBucket = 5;
int LookupBucket(int match_length);

// Successes and failures that are forgotten: each weighs `keep` times the one
// after it.
struct DecayedRate {
  double kept = 0;
  double tried = 0;
  void Learn(int drafted, int accepted, double keep);
  // With `weight` tries that succeeded at `prior` before.
  double Mean(double prior, double weight) const {
    return (kept + weight * prior) / (tried + weight);
  }
};

// Of one variant.
class Acceptance {
 public:
  // Of one request.
  struct Own {
    std::array<DecayedRate, kDraftBuckets> rates;
  };

  // In (0, 1). `intent`: absent if nobody knows.
  double Of(const Own& own, std::optional<core::Label> intent,
            int bucket) const;
  void Learn(std::optional<core::Label> intent, int bucket, int drafted,
             int accepted, Own* own);

 private:
  static size_t Row(std::optional<core::Label> intent) {
    return intent ? static_cast<size_t>(*intent) : core::kLabels;
  }

  // The last row: intent not known.
  std::array<std::array<DecayedRate, kDraftBuckets>, core::kLabels + 1>
      rates_{};
};

}  // namespace aio::cost
