// SPDX-License-Identifier: Apache-2.0
#include "sim/sensing.h"

#include "base/check.h"
#include "base/random.h"

namespace aio::sim {

std::vector<ProbeBin> TextProbeBins() {
  return {{4, 0.27, 0.25},   {22, 0.36, 0.55},  {56, 0.45, 0.39},
          {107, 0.55, 0.52}, {94, 0.66, 0.66},  {141, 0.75, 0.66},
          {221, 0.86, 0.90}, {2850, 0.98, 0.98}};
}

std::vector<ProbeBin> ModelProbeBins() { return {{1, 0.92, 0.92}}; }

core::Intent Sensed(std::span<const ProbeBin> bins, core::Label truth,
                    uint64_t seed) {
  CHECK(!bins.empty());
  double all = 0;
  for (const ProbeBin& bin : bins) all += bin.share;
  double at = RandomUnit(seed, 0, 0) * all;
  size_t i = 0;
  while (i + 1 < bins.size() && at >= bins[i].share) at -= bins[i++].share;
  const ProbeBin& bin = bins[i];
  auto label = static_cast<size_t>(truth);
  if (RandomUnit(seed, 1, 0) >= bin.right) {
    const uint64_t other = RandomBits(seed, 2, 0);
    label = (label + 1 + other % (core::kLabels - 1)) % core::kLabels;
  }
  core::Intent intent;
  intent.probabilities.fill((1 - bin.said) / (core::kLabels - 1));
  intent.probabilities[label] = bin.said;
  return intent;
}

}  // namespace aio::sim
