// SPDX-License-Identifier: Apache-2.0
//
// The quality table: how often each variant is right, by intent, as measured.
// Stands in core because three folders that may not see each other share it:
// `eval` measures and writes it, `config` reads it, the decision side computes
// with it.
//
// Thread safety: plain data and a pure function.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/intent.h"

namespace aio::core {

// Shares of right answers, 0..1; the interval is the 95 % one.
struct Quality {
  double value = 0;
  double low = 0;
  double high = 1;
  int tasks = 0;  // that it was measured on; 0: somebody's word
};

// variant -> [label]; an absent entry was not measured.
using QualityTable =
    std::map<std::string, std::array<std::optional<Quality>, kLabels>,
             std::less<>>;

// The sum over labels of p * Q(variant, label), taken over the labels that the
// table knows for this variant and divided by their probability. Nothing where
// they hold less than half of it: that would be a guess about most requests.
inline std::optional<double> ExpectedQuality(const QualityTable& table,
                                             std::string_view variant,
                                             const Intent& intent) {
  const auto row = table.find(variant);
  if (row == table.end()) return std::nullopt;
  double sum = 0;
  double known = 0;
  for (size_t i = 0; i < kLabels; ++i) {
    if (!row->second[i]) continue;
    sum += intent.probabilities[i] * row->second[i]->value;
    known += intent.probabilities[i];
  }
  // Written so that a NaN is unknown too.
  if (!(known >= 0.5)) return std::nullopt;
  return sum / known;
}

}  // namespace aio::core
