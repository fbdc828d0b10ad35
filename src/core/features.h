// SPDX-License-Identifier: Apache-2.0
//
// What a request may need and a variant may lack. A policy chooses among those
// that lack nothing.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aio::core {

enum class Feature : uint8_t {
  kChat,
  kCompletions,
  kEmbeddings,
  kTools,       // answers may be tool calls
  kStructured,  // answers follow a schema or a grammar
  kLogprobs,
  kMedia,  // images, sounds, files in messages
};
inline constexpr std::array<std::string_view, 7> kFeatureNames = {
    "chat",       "completions", "embeddings", "tools",
    "structured", "logprobs",    "media"};
inline std::string_view Name(Feature feature) {
  return kFeatureNames[static_cast<size_t>(feature)];
}
inline std::optional<Feature> FeatureNamed(std::string_view name) {
  for (size_t i = 0; i < kFeatureNames.size(); ++i) {
    if (kFeatureNames[i] == name) return static_cast<Feature>(i);
  }
  return std::nullopt;
}

using Features = uint32_t;  // a bit each
inline constexpr Features Bit(Feature feature) {
  return Features{1} << static_cast<unsigned>(feature);
}
// Of the embedded engine.
inline constexpr Features kOwnFeatures =
    Bit(Feature::kChat) | Bit(Feature::kCompletions) | Bit(Feature::kLogprobs);
// Of an upstream, as long as nobody says otherwise: a model either chats or
// embeds.
inline constexpr Features kUpstreamFeatures =
    kOwnFeatures | Bit(Feature::kTools) | Bit(Feature::kStructured) |
    Bit(Feature::kMedia);

// The first that `has` lacks of `needs`.
inline std::optional<Feature> Lacking(Features has, Features needs) {
  for (size_t i = 0; i < kFeatureNames.size(); ++i) {
    const auto feature = static_cast<Feature>(i);
    if ((needs & ~has & Bit(feature)) != 0) return feature;
  }
  return std::nullopt;
}

}  // namespace aio::core
