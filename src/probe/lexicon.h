// SPDX-License-Identifier: Apache-2.0
//
// Words that speak for an intent, in several languages: what a few thousand
// labelled prompts are too few to teach. The text probe is told how many of
// each kind a prompt holds and where; what that means, it learns.
//
// Thread safety: pure; the table is made once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aio::probe {

enum class Cue : uint8_t {
  kProgram,    // languages, tools and things of programming
  kQuantity,   // mathematics: its objects and the verbs that ask for them
  kQuestion,   // words that open a question
  kAdvice,     // a person about themselves
  kPersona,    // "act as", "pretend": the answer is a role
  kSummarize,  //
  kExtract,    // pick out, classify, list as a table or JSON
  kTranslate,  // and the names of languages
  kFiction,    // poem, story, lyrics, slogan, letter
  kCompose,    // write, draft, create: says little alone
};
inline constexpr size_t kCues = 10;

// The cues of a word, of two words joined by a space, or of two to four
// ideographs, folded as Normalize does: bit i stands for Cue i.
uint32_t CuesOf(std::string_view words);

}  // namespace aio::probe
