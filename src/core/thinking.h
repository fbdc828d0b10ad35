// SPDX-License-Identifier: Apache-2.0
//
// Thinking: what a model writes for itself before it answers. A request may say
// whether it wants it, a variant whether it can be told, and the orchestrator
// chooses where both are open.
//
// Thread safety: plain data and pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aio::core {

// kAuto: the model decides by itself.
enum class Thinking : uint8_t { kOff, kOn, kAuto };
inline constexpr std::array<std::string_view, 3> kThinkingNames = {"off", "on",
                                                                   "auto"};

inline std::string_view Name(Thinking thinking) {
  return kThinkingNames[static_cast<size_t>(thinking)];
}
inline std::optional<Thinking> ThinkingNamed(std::string_view name) {
  for (size_t i = 0; i < kThinkingNames.size(); ++i) {
    if (kThinkingNames[i] == name) return static_cast<Thinking>(i);
  }
  return std::nullopt;
}

// How somebody else's server is told: by the template's enable_thinking, or by
// the last word of a message.
enum class ThinkingSwitch : uint8_t { kNone, kTemplate, kWord };
inline std::optional<ThinkingSwitch> ThinkingSwitchNamed(
    std::string_view name) {
  if (name == "none") return ThinkingSwitch::kNone;
  if (name == "template") return ThinkingSwitch::kTemplate;
  if (name == "word") return ThinkingSwitch::kWord;
  return std::nullopt;
}

// Words that end a user's message and tell openPangu and Qwen3 how to answer
// it. As words of their own only: a path may end in "/think", too.
inline constexpr std::string_view kNoThinkWord = "/no_think";
inline std::optional<Thinking> ThinkingSaid(std::string_view message) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t end = message.find_last_not_of(kSpace);
  if (end == std::string_view::npos) return std::nullopt;
  message = message.substr(0, end + 1);
  const size_t space = message.find_last_of(kSpace);
  const std::string_view word =
      space == std::string_view::npos ? message : message.substr(space + 1);
  if (word == kNoThinkWord) return Thinking::kOff;
  if (word == "/think") return Thinking::kOn;
  if (word == "/auto_think") return Thinking::kAuto;
  return std::nullopt;
}

// Of a variant.
struct ThinkingModes {
  bool on = true;          // it can think, as far as is known
  bool off = true;         // it can answer at once, as far as is known
  bool automatic = false;  // it knows /auto_think
  // What it does unless told; absent: not known, or there is nothing to tell.
  std::optional<Thinking> usual = {};

  // What can be told apart can be chosen between.
  bool both() const { return on && off && usual; }
  Thinking other() const {
    return usual == Thinking::kOn ? Thinking::kOff : Thinking::kOn;
  }
  bool Can(std::optional<Thinking> said) const {
    return said == Thinking::kOn    ? on
           : said == Thinking::kOff ? off
           : said                   ? automatic
                                    : true;
  }
  // What it does for a request that says `said`.
  std::optional<Thinking> For(std::optional<Thinking> said) const {
    if (said == Thinking::kOff && !on) return usual;  // nothing to leave out
    return said && Can(said) ? said : usual;
  }
};

// The quality table's row for a variant that is told so: "large+think",
// "large+no_think", "large+auto_think". The row without a suffix is of what it
// does unless told.
inline constexpr std::array<std::string_view, 3> kThinkingSuffixes = {
    "+no_think", "+think", "+auto_think"};
inline std::string ThinkingRow(std::string_view variant, Thinking thinking) {
  return std::string(variant).append(
      kThinkingSuffixes[static_cast<size_t>(thinking)]);
}
// Of such a row the variant, and what it is told.
struct ThinkingRowParts {
  std::string_view variant;
  std::optional<Thinking> thinking;
};
inline ThinkingRowParts PartsOfThinkingRow(std::string_view row) {
  for (size_t i = 0; i < kThinkingSuffixes.size(); ++i) {
    if (!row.ends_with(kThinkingSuffixes[i])) continue;
    row.remove_suffix(kThinkingSuffixes[i].size());
    return {row, static_cast<Thinking>(i)};
  }
  return {row, std::nullopt};
}

}  // namespace aio::core
