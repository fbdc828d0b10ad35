// SPDX-License-Identifier: Apache-2.0
//
// What a request wants, with a probability each. Plain data.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aio::core {

enum class Label : uint8_t {
  kCode,
  kMath,
  kQa,
  kChat,
  kSummarize,
  kExtract,
  kTranslate,
  kCreative,
};
inline constexpr size_t kLabels = 8;
inline constexpr std::array<std::string_view, kLabels> kLabelNames = {
    "code",      "math",    "qa",        "chat",
    "summarize", "extract", "translate", "creative"};

inline std::string_view Name(Label label) {
  return kLabelNames[static_cast<size_t>(label)];
}
inline std::optional<Label> LabelNamed(std::string_view name) {
  for (size_t i = 0; i < kLabels; ++i) {
    if (kLabelNames[i] == name) return static_cast<Label>(i);
  }
  return std::nullopt;
}

// What a probe means by what it says (probe/meaning.h); as it is made, that.
struct Meaning {
  std::array<std::array<double, kLabels>, kLabels> weight{};  // [is][said]
  std::array<double, kLabels> bias{};                         // [is]
  std::array<bool, kLabels> known{};  // [is]; of others nothing is known

  Meaning() {
    for (size_t i = 0; i < kLabels; ++i) weight[i][i] = 1;
  }
};

// Who said it. kNone: nobody was asked; probabilities are then uniform.
enum class IntentSource : uint8_t { kNone, kPinned, kText, kModel };

struct Intent {
  // [label], sums to 1.
  std::array<double, kLabels> probabilities = Uniform();
  IntentSource source = IntentSource::kNone;

  static constexpr std::array<double, kLabels> Uniform() {
    std::array<double, kLabels> p{};
    for (double& x : p) x = 1.0 / kLabels;
    return p;
  }
  // What somebody who knows has said.
  static Intent Pinned(Label label) {
    Intent intent;
    intent.probabilities.fill(0);
    intent.probabilities[static_cast<size_t>(label)] = 1;
    intent.source = IntentSource::kPinned;
    return intent;
  }
  // The most probable label; the first of equals.
  Label Best() const {
    size_t best = 0;
    for (size_t i = 1; i < kLabels; ++i) {
      if (probabilities[i] > probabilities[best]) best = i;
    }
    return static_cast<Label>(best);
  }
  // The best label's name; "unknown" if nobody was asked.
  std::string_view BestName() const {
    return source == IntentSource::kNone ? "unknown" : Name(Best());
  }
  // Shannon entropy in nats, 0 .. ln 8 = 2.079.
  double Entropy() const {
    double sum = 0;
    for (const double p : probabilities) {
      if (p > 0) sum -= p * std::log(p);
    }
    return sum;
  }
};

}  // namespace aio::core
